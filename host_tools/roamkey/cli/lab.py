"""`roamkey lab`: virtual boards and networks on this machine, no hardware needed."""

from roamkey.cli.lazy import lazy_app

app = lazy_app(
    {
        "demo": (
            "roamkey.cli.lab_demo:demo",
            "The main job on virtual boards: provision, register, move, lose power, come back.",
        ),
        "board": (
            "roamkey.cli.lab_board:lab_board",
            "Start a virtual board, print the path of its serial port, and run it until Ctrl-C.",
        ),
        "pico-w": (
            "roamkey.cli.lab_pico_w:pico_w",
            "Run real Pico W firmware in an emulator and print the path of its REPL.",
        ),
        "walk": (
            "roamkey.cli.lab_walk:walk",
            "Walk virtual boards through networks, as a script says; leave the logs of a real "
            "walk.",
        ),
    },
    help="Virtual boards and networks on this machine.",
)


@app.callback()
def _lab() -> None:
    """Virtual boards and networks on this machine."""
