"""`roamkey decode` run in this process: what it prints, its document."""

from typing import Any

import typer
from json_output import checked
from typer.testing import CliRunner, Result

from roamkey.cli.decode import decode

app = typer.Typer()
app.command()(decode)


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def document(*arguments: str, stdin: str | bytes = "") -> dict[str, Any]:
    result = run("--json", *arguments, stdin=stdin)
    assert result.exit_code == 0, (result.output, result.exception)
    return dict(checked("decode", result.stdout))
