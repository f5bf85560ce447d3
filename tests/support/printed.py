"""The command lines that documents print: in blocks of code, and between backquotes."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What a line of a block begins with that is to be typed.
_PROGRAMS = (
    "make", "roamkey", "sudo", "nft", "sysctl", "systemctl", "pipx", "ssh", "tcpdump",
    "pg_dump", "pg_restore", "ping", "python3", "pip", "mpremote", "nc",
)  # fmt: skip
_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")
_COMMENT = re.compile(r"\s{2,}#.*")


@dataclass(frozen=True)
class Line:
    """`text`: what is printed; `whole`: it can be typed as it stands, a program comes first."""

    document: str
    text: str
    whole: bool

    @property
    def words(self) -> list[str]:
        """Of roamkey: its arguments; empty for other programs."""
        words = shlex.split(self.text.replace("[", "").replace("]", ""))
        while words and words[0] == "sudo":
            words = words[1:]
        if words and Path(words[0]).name == "roamkey":
            return words[1:]
        return [] if self.whole else words


def documents() -> list[Path]:
    """README, and what is in docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def lines(commands: set[str]) -> list[Line]:
    """Every line there is, in the order of the documents, each text once. `commands`: the first
    words of roamkey's; what begins with one and goes on is a line without its program."""
    found: dict[str, Line] = {}
    for path in documents():
        for one in _lines(path.name, path.read_text(encoding="utf-8"), commands):
            found.setdefault(one.text, one)
    return list(found.values())


def _lines(name: str, text: str, commands: set[str]) -> Iterator[Line]:
    """Those of one document, in their order."""
    at: list[tuple[int, Line]] = []
    for block in [*_FENCED.finditer(text), *_INDENTED.finditer(_blanked(text, _FENCED))]:
        inside = block[1] if block.re is _FENCED else block[0]
        typed = [_COMMENT.sub("", line).strip() for line in inside.splitlines() if line.strip()]
        if typed and _program(typed[0]):
            at += [(block.start(), Line(name, line, True)) for line in typed]
    prose = _blanked(_blanked(text, _FENCED), _INDENTED)
    for span in _INLINE.finditer(prose):
        typed_here = " ".join(span[1].split())
        first, _, more = typed_here.partition(" ")
        if more and _program(typed_here):
            at.append((span.start(), Line(name, typed_here, True)))
        elif more and first in commands and not re.fullmatch(r"[a-z ]+", typed_here):
            at.append((span.start(), Line(name, typed_here, False)))
    yield from (line for _, line in sorted(at, key=lambda one: one[0]))


def _program(line: str) -> bool:
    first = line.split()[0]
    return Path(first).name in _PROGRAMS and not first.startswith("/etc/")


def _blanked(text: str, what: re.Pattern[str]) -> str:
    return what.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
