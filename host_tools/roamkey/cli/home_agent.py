"""`roamkey home-agent`: the daemon, and looks at it."""

from roamkey.cli.lazy import lazy_app

app = lazy_app(
    {
        "status": (
            "roamkey.cli.home_agent_watch:status",
            "Show how the running daemon does. Exit code 5 where none runs.",
        ),
        "drops": (
            "roamkey.cli.home_agent_watch:drops",
            "Show what the running daemon dropped and refused, why, and what to do about it.",
        ),
        "unit": (
            "roamkey.cli.home_agent_watch:unit",
            "Print a systemd unit that runs the daemon with the least rights that do.",
        ),
        "events": (
            "roamkey.cli.correspondent_events:events",
            "Show what happened: bindings made, moved, removed and expired, refusals, drops, "
            "data gaps.",
        ),
        "run": (
            "roamkey.cli.home_agent_run:run",
            "Serve an address until SIGTERM (exit code 0) or Ctrl-C (130). Needs CAP_NET_RAW, "
            "CAP_NET_ADMIN and, for the kernel's tunnels, CAP_BPF, and a host that forwards IPv6. "
            "Under sudo it goes on as the user who called it, with these rights alone, unless the "
            "registry is another's.",
        ),
        "bindings": ("roamkey.cli.home_agent_watch:bindings", "Show where the nodes are."),
    },
    help="The home agent: have nodes reached at their home addresses, wherever they are.",
)


@app.callback()
def _home_agent() -> None:
    """The home agent: have nodes reached at their home addresses, wherever they are."""
