"""A home agent and its registry for each test."""

import pytest
from support.homes import HomeScene


@pytest.fixture
def scene(tmp_path):
    made = HomeScene(tmp_path / "registry.sqlite")
    yield made
    made.registry.close()
