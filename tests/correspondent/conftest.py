"""A correspondent and its registry for each test."""

import pytest
from support.nodes import Scene


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path / "registry.sqlite")
    yield made
    made.registry.close()
