"""`roamkey lab`: virtual boards and networks on this machine, no hardware needed."""

from roamkey.cli.lazy import lazy_app

app = lazy_app(
    {
        "demo": "roamkey.cli.lab_demo:demo",
        "board": "roamkey.cli.lab_board:lab_board",
        "pico-w": "roamkey.cli.lab_pico_w:pico_w",
        "walk": "roamkey.cli.lab_walk:walk",
    },
    help="Virtual boards and networks on this machine.",
)


@app.callback()
def _lab() -> None:
    """Virtual boards and networks on this machine."""
