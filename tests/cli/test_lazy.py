"""The command line imports only what runs, and says what is missing in one line."""

import subprocess
import sys

from typer.testing import CliRunner

from roamkey.cli import COMMANDS, app


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


def test_decode_needs_neither_database_nor_laboratory() -> None:
    done = run(
        "import sys\nsys.argv = ['roamkey', 'decode', '00']\n"
        "from roamkey.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 1\n"
        "heavy = {'sqlalchemy', 'matplotlib', 'pyroute2', 'littlefs'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "roamkey: packet shorter than an IPv6 header\n"


def test_a_missing_package_is_one_line() -> None:
    hide = "import sys\nsys.modules['pyroute2'] = None\n"
    demo = f"{hide}sys.argv = ['roamkey', 'lab', 'demo']\nfrom roamkey.cli import main\nmain()"
    done = run(demo)
    assert done.returncode == 5
    assert done.stderr.startswith("roamkey: `demo` needs the package pyroute2")
    assert done.stderr.count("\n") == 1
    assert run(demo.replace("'demo'", "'-h'")).returncode == 0


def test_every_subcommand_has_a_help() -> None:
    for name in COMMANDS:
        shown = CliRunner().invoke(app, [name, "-h"], prog_name="roamkey")
        assert shown.exit_code == 0, shown.output
        assert "Usage: roamkey " + name in shown.output
