"""One version, in one place: `mip6.__version__`. What else tells one takes it from there."""

import json
import re
from pathlib import Path

import mip6
import roamkey

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "firmware" / "mip6" / "__init__.py"


def test_it_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", mip6.__version__)
    assert SOURCE.read_text().count(f'__version__ = "{mip6.__version__}"') == 1


def test_the_host_has_the_agents() -> None:
    assert roamkey.__version__ is mip6.__version__


def test_the_package_has_the_agents() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"] == {"path": "firmware/mip6/__init__.py"}


def test_mips_package_has_the_agents() -> None:
    """If not: make docs."""
    package = json.loads((REPOSITORY / "firmware" / "package.json").read_text())
    assert package["version"] == mip6.__version__


def test_no_other_file_has_one() -> None:
    text = f'"{mip6.__version__}"'
    found = {
        path
        for folder in ("firmware", "host_tools", "bench", "boards")
        for ending in ("py", "json", "toml")
        for path in (REPOSITORY / folder).rglob(f"*.{ending}")
        if text in path.read_text() and "out" not in path.parts
    }
    assert found == {SOURCE, REPOSITORY / "firmware" / "package.json"}


def test_the_changelog_tells_of_it() -> None:
    """Releases, newest first, below what isn't released yet."""
    headings = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == "Unreleased" and headings[1] == mip6.__version__
    numbers = [tuple(map(int, heading.split("."))) for heading in headings[1:]]
    assert numbers == sorted(set(numbers), reverse=True)
