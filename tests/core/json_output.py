"""What commands print with --json, against the schemas that the package carries."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from roamkey.schemas import schema


def checked(command: str, out: str) -> Any:
    """The document that a command printed: one, which fits the command's schema."""
    assert out.endswith("\n")
    told = json.loads(out)
    validator = Draft202012Validator(
        schema(command), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(told)
    return told


def checked_lines(command: str, out: str) -> list[Any]:
    """The documents of a command that prints one a line."""
    return [checked(command, line) for line in out.splitlines(keepends=True)]
