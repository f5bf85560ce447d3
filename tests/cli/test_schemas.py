"""Every command with --json has a schema, and every schema a command."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import typer
from support.commands import commands

from roamkey.cli import app
from roamkey.schemas import names, schema


def test_every_command_with_json_has_a_schema_and_none_is_left_over() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert ("correspondent", "run") in found and ("lab", "demo") in found
    with_json = {
        path
        for path, command in found.items()
        if any("--json" in option.opts for option in command.params)
    }
    assert sorted("-".join(path) for path in with_json) == names()


@pytest.mark.parametrize("name", names())
def test_schemas_are_schemas(name: str) -> None:
    found = schema(name)
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("name", names())
def test_objects_name_all_that_they_may_hold(name: str) -> None:
    """None has fields that its schema doesn't know, but maps from names that aren't fixed."""
    for part in objects(schema(name)):
        assert "additionalProperties" in part, part
        closed = part["additionalProperties"] is False
        assert closed == ("properties" in part), part
        assert set(part.get("required", ())) <= set(part.get("properties", ())), part


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """The parts of a schema that describe objects."""
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from objects(one)
