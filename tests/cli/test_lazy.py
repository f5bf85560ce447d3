"""The command line imports only what runs, and says what is missing in one line."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from roamkey.cli import COMMANDS, app


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


HEAVY = {
    "alembic", "cryptography", "importlib.metadata", "jsonschema", "littlefs", "matplotlib",
    "mpremote", "prometheus_client", "pyroute2", "rich", "serial", "sqlalchemy",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said", "may"),
    [
        (["decode", "00"], 1, "packet shorter than an IPv6 header", {"rich"}),
        (["status", "--port", "/nowhere"], 3, "/nowhere: no such port", {"serial"}),
        (["status", "--prot", "x"], 2, "No such option", {"serial"}),
        (
            ["registry", "info", "--registry", "/nowhere"],
            1,
            "no registry at",
            {"sqlalchemy"},
        ),
        (["completion"], 2, "Missing argument", set()),
        (["correspondent", "-h"], 0, "", set()),
    ],
)
def test_only_what_runs_is_imported(words: list[str], code: int, said: str, may: set[str]) -> None:
    """What others weigh is measured by bench/startup.py."""
    done = run(
        f"import sys\nsys.argv = ['roamkey', *{words}]\n"
        "from roamkey.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        "print('\\n', code, *sys.modules)\n"
    )
    found, *modules = done.stdout.splitlines()[-1].split()
    parser = {"importlib.metadata"}  # typer's own libraries ask it for plugins
    assert int(found) == code and said in done.stderr, done.stderr
    assert (HEAVY - may - parser) & set(modules) == set()
    assert "sqlalchemy.dialects.postgresql" not in modules


def test_the_list_of_commands_needs_none_of_them() -> None:
    done = run(
        "import sys\nsys.argv = ['roamkey', '--help']\n"
        "from roamkey.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "ours = {name for name in sys.modules if name.startswith(('roamkey', 'mip6'))}\n"
        "wanted = {'cli', 'cli.ending', 'cli.helptext', 'errors', 'extras', 'interrupts'}\n"
        "wanted = {'mip6', 'roamkey', *(f'roamkey.{name}' for name in wanted)}\n"
        "assert ours == wanted, ours\n"
        "heavy = {'typer', 'rich', 'inspect', 'importlib.metadata', 'json'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert done.returncode == 0, done.stderr
    assert "\nBoards:\n  boards         List the boards" in done.stdout


@pytest.mark.parametrize("table", ["cli", "cli.correspondent", "cli.field", "cli.lab", "cli.log"])
def test_the_list_says_what_each_says_of_itself(table: str) -> None:
    module = import_module(f"roamkey.{table}")
    group = typer.main.get_command(module.app)
    context = group.make_context("roamkey", [], resilient_parsing=True)
    for name, summary in group.summaries(context).items():
        own = group.get_command(context, name).help
        assert own.split("\n\n")[0] == summary, name


def test_every_subcommand_has_a_help() -> None:
    for name in COMMANDS:
        shown = CliRunner().invoke(app, [name, "-h"], prog_name="roamkey")
        assert shown.exit_code == 0, shown.output
        assert "Usage: roamkey " + name in shown.output
