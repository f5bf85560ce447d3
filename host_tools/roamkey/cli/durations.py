"""Times on the command line: `90`, `90s`, `30m`, `1h`, `2d`, also `1h30m` and `0.5`; in seconds.

wait: Annotated[float, typer.Option("--wait", metavar=TIME, parser=span(0, 86400))] = 60.0
lifetime: Annotated[int, typer.Option("--lifetime", metavar=TIME, parser=seconds(4, 262140))]
"""

import re
from collections.abc import Callable

import typer

#: The metavar of an option that is a time.
TIME = "TIME"

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|[dhms])")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")


def read(text: str) -> float:
    """The seconds that a text says; a number alone is seconds. Raises ValueError for none."""
    word = text.strip().lower()
    if _NUMBER.fullmatch(word):
        return float(word)
    parts = _PART.findall(word)
    sizes = [_UNITS[unit] for _, unit in parts]
    whole = "".join(number + unit for number, unit in parts) == word
    if not parts or not whole or sizes != sorted(set(sizes), reverse=True):
        raise ValueError(f"{text!r} is no time: say it as 90, 90s, 30m, 1h or 2d")
    return sum(float(number) * size for (number, _), size in zip(parts, sizes, strict=True))


def text(amount: float) -> str:
    """Seconds as `read` takes them, and a person: 3600 is "1h", 5400 "1h30m", 0.5 "500ms"."""
    rest = round(amount * 1000)
    said = ""
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, round(size * 1000))
        if count:
            said += f"{count}{unit}"
    return said or "0s"


def span(least: float = 0.0, most: float = 366 * 86400.0) -> Callable[[str], float]:
    """A parser for typer of a time between these, in seconds; parts of a second count."""

    def time(value: str) -> float:
        try:
            amount = read(str(value))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if not least <= amount <= most:
            raise typer.BadParameter(f"{value} is not from {text(least)} to {text(most)}")
        return amount

    return time


def seconds(least: int = 0, most: int = 366 * 86400) -> Callable[[str], int]:
    """As `span`, in whole seconds."""
    parse = span(least, most)

    def time(value: str) -> int:
        amount = parse(value)
        if amount != int(amount):
            raise typer.BadParameter(f"{value} is not a whole number of seconds")
        return int(amount)

    return time
