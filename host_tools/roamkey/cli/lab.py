"""`roamkey lab`: virtual boards and networks on this machine, no hardware needed."""

from roamkey.cli.lazy import lazy_app

app = lazy_app(
    {
        "up": (
            "roamkey.cli.lab_play:up",
            "Make a playground: networks of several kinds, a virtual board, a correspondent, its "
            "page.",
        ),
        "status": (
            "roamkey.cli.lab_play:status",
            "Tell what is in the playground, where its board is, and where its page. Exit code 4 "
            "where none is up.",
        ),
        "move": (
            "roamkey.cli.lab_play:move",
            "Take the playground's board to another network, and wait until its correspondent "
            "knows.",
        ),
        "cut": (
            "roamkey.cli.lab_play:cut",
            "Cut the power of the playground's board, give it back, and wait until it is "
            "registered.",
        ),
        "run": (
            "roamkey.cli.lab_play:app_of_run",
            "Run a command on a host of the playground, as root there, with its board and "
            "registry.",
        ),
        "shell": (
            "roamkey.cli.lab_play:shell",
            "Open a shell on a host of the playground: there every line of the documents works as "
            "printed, ping and sudo among them.",
        ),
        "down": (
            "roamkey.cli.lab_play:down",
            "Take the playground down, with all that it kept: board, keys, registry, logs.",
        ),
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
        "esp32": (
            "roamkey.cli.lab_esp32:esp32",
            "Run real ESP32-C3 firmware in an emulator and print the path of its UART.",
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
