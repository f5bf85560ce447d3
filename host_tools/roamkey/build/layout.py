"""Source text whose statements stand on given lines, so that a traceback tells where to look.

`ast.unparse` writes statements one below the other. Here each begins on the line that its node
says, with empty lines before it: bytecode keeps but the numbers of lines.
"""

import ast
import copy
from typing import Any


def lay_out(module: ast.Module) -> str:
    """The text of a module; nodes say their lines (`lineno`, ascending, 1 the first)."""
    text = _Text()
    text.block(module.body, 0)
    return "\n".join(text.lines) + "\n"


class _Text:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def block(self, body: list[Any], depth: int) -> None:
        for node in body:
            self._statement(node, depth)

    def _put(self, text: str, depth: int) -> None:
        self.lines.extend("    " * depth + line for line in text.split("\n"))

    def _statement(self, node: Any, depth: int) -> None:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        self.lines.extend([""] * (first - 1 - len(self.lines)))
        if isinstance(node, ast.Try):
            self._try(node, depth)
        elif hasattr(node, "body"):
            self._compound(node, _header(node), depth)
        else:
            self._put(ast.unparse(node), depth)

    def _compound(self, node: Any, header: str, depth: int) -> None:
        self._put(header, depth)
        self.block(node.body, depth + 1)
        other = getattr(node, "orelse", [])
        if isinstance(node, ast.If) and len(other) == 1 and isinstance(other[0], ast.If):
            self.lines.extend([""] * (other[0].lineno - 1 - len(self.lines)))
            self._compound(other[0], "el" + _header(other[0]), depth)
        else:
            self._other("else:", other, depth)

    def _try(self, node: ast.Try, depth: int) -> None:
        self._put("try:", depth)
        self.block(node.body, depth + 1)
        for handler in node.handlers:
            self._put(_header(handler), depth)
            self.block(handler.body, depth + 1)
        self._other("else:", node.orelse, depth)
        self._other("finally:", node.finalbody, depth)

    def _other(self, word: str, body: list[Any], depth: int) -> None:
        if body:
            self._put(word, depth)
            self.block(body, depth + 1)


def _header(node: Any) -> str:
    """The lines of a compound statement up to its colon."""
    bare = copy.copy(node)
    bare.body = [ast.Pass()]
    if hasattr(bare, "orelse"):
        bare.orelse = []
    return ast.unparse(bare).rpartition("\n")[0]
