"""The command `roamkey`, run in this process."""

import sys

from roamkey import cli


def run(monkeypatch, capture, *arguments):
    """Exit code, stdout and stderr of `roamkey ARGUMENTS`; `capture`: capsys or capfd."""
    monkeypatch.setattr(sys, "argv", ["roamkey", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    captured = capture.readouterr()
    return int(str(code or 0)), captured.out, captured.err
