"""`roamkey node`: this machine as a mobile node."""

from roamkey.cli.lazy import lazy_app

app = lazy_app(
    {
        "run": (
            "roamkey.cli.node_run:run",
            "Have all programs of this machine use its home address, until SIGTERM or Ctrl-C. "
            "Needs CAP_NET_RAW and CAP_NET_ADMIN.",
        ),
    },
    help="A Linux machine as a mobile node: this one.",
)


@app.callback()
def _node() -> None:
    """A Linux machine as a mobile node: this one."""
