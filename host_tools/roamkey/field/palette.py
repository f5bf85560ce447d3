"""Colours of charts and page: one set for light, one for dark, and one of names for the page.

A chart on the page is an SVG whose colours are the page's CSS variables, so it follows the
reader's choice of light or dark. matplotlib knows nothing of those: it draws in stand-in colours,
which are replaced afterwards. Hues stay apart for colour-blind eyes (after Okabe and Ito).
"""

from dataclasses import dataclass

_LIGHT = {
    "paper": "#fcfbf8", "card": "#ffffff", "ink": "#21211f", "soft": "#6a6963", "line": "#e3e1da",
    "n1": "#2b6ca8", "n2": "#c7861c", "n3": "#3c8a68", "n4": "#8a5a9c", "n5": "#a8553a",
    "down": "#c9c6bd", "router": "#b9a9c4", "address": "#9aa7b4",
    "roamkey": "#2f6f9f", "test": "#a79bd0", "send": "#5f86b3", "again": "#c4572e",
    "there": "#2f7f8c", "back": "#74b3ae", "data": "#dcb567", "alarm": "#b3402a",
}  # fmt: skip
_DARK = {
    "paper": "#161718", "card": "#1e2021", "ink": "#e9e7e1", "soft": "#a09e97", "line": "#34373a",
    "n1": "#6aa5dc", "n2": "#e2ab4d", "n3": "#6dbd97", "n4": "#b890ca", "n5": "#d78f74",
    "down": "#56585a", "router": "#8d7b9b", "address": "#71808f",
    "roamkey": "#5ba0d0", "test": "#b9aee6", "send": "#7ea6d6", "again": "#e57b53",
    "there": "#4fabb8", "back": "#8fd0ca", "data": "#c9a255", "alarm": "#ec8068",
}  # fmt: skip

NETWORKS = ("n1", "n2", "n3", "n4", "n5")


@dataclass(frozen=True)
class Palette:
    """Colours by name, as matplotlib takes them."""

    colours: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.colours[name]


LIGHT = Palette(_LIGHT)
DARK = Palette(_DARK)
#: Stand-ins: colours that occur nowhere else.
NAMES = Palette({name: f"#0f1e{number:02x}" for number, name in enumerate(_LIGHT, 16)})


def to_variables(svg: str) -> str:
    """An SVG drawn in `NAMES`, in the page's variables."""
    for name, colour in NAMES.colours.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg


def as_css(palette: Palette) -> str:
    """The variables' declarations."""
    return " ".join(f"--{name}: {colour};" for name, colour in palette.colours.items())
