"""`roamkey correspondent`: the daemon, and looks at it."""

from roamkey.cli.lazy import lazy_app

app = lazy_app(
    {
        "status": (
            "roamkey.cli.correspondent_watch:status",
            "Show how the running daemon does. Exit code 5 where none runs.",
        ),
        "drops": (
            "roamkey.cli.correspondent_watch:drops",
            "Show what the running daemon dropped and refused, why, and what to do about it.",
        ),
        "path": (
            "roamkey.cli.correspondent_watch:path",
            "Show by which ways nodes arrive, from where, and what to let in. Exit code 5 where "
            "no daemon runs.",
        ),
        "unit": (
            "roamkey.cli.correspondent_watch:unit",
            "Print a systemd unit that runs the daemon with the least rights that do.",
        ),
        "monitoring": (
            "roamkey.cli.correspondent_watch:monitoring",
            "Print example alert rules for Prometheus, or a dashboard to import into Grafana.",
        ),
        "events": (
            "roamkey.cli.correspondent_events:events",
            "Show what happened: bindings made, moved, removed and expired, refusals, drops, "
            "data gaps.",
        ),
        "page": (
            "roamkey.cli.correspondent_page:page",
            "Serve the live page: nodes, their timelines, what was dropped and what to do "
            "about it.",
        ),
        "run": (
            "roamkey.cli.correspondent_run:run",
            "Serve an address until SIGTERM (exit code 0) or Ctrl-C (130). Needs CAP_NET_RAW, "
            "and CAP_NET_ADMIN for the data plane. Under sudo it goes on as the user who "
            "called it, with these rights alone, unless the registry is another's.",
        ),
        "bindings": ("roamkey.cli.correspondent_watch:bindings", "Show where the nodes are."),
    },
    help="The Linux end: follow boards to where they are.",
)


@app.callback()
def _correspondent() -> None:
    """The Linux end: follow boards to where they are."""
