"""Short names for what is private to a module, before a board's files are compiled.

Each name that bytecode mentions is a string that the board keeps in RAM once, and that each file
carries. Names with one leading underscore mean nothing outside their module, so in each module
they become `_a`, `_b` and so on, the same few strings in all. A name that any module uses without
defining it (somebody else's private attribute) or that stands in a string keeps its spelling
everywhere; and so do those of a module with a class that inherits from another module's.
"""

import ast
import builtins
from collections.abc import Iterator, Mapping
from itertools import count
from string import ascii_lowercase

from roamkey.bytecode import naming


def shorten(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources of a package's modules, by any key, with private names shortened."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    kept: set[str] = set()
    for tree in trees.values():
        own = set() if inherits(tree) else _defined(tree)
        kept |= (_used(tree) | _defined(tree)) - own
        kept |= set(_texts(tree))
    for tree in trees.values():
        private = sorted(name for name in _defined(tree) - kept if _is_private(name))
        taken = _used(tree) | _defined(tree)
        fresh = (name for name in _short_names() if name not in taken)
        names = dict(zip(private, fresh, strict=False))
        naming.Renamer(names, imported=False).visit(tree)
    return {name: ast.unparse(tree) for name, tree in trees.items()}


def inherits(tree: ast.Module) -> bool:
    """Whether a class has a base from elsewhere: attributes of both would share an object."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    near = {node.name for node in classes} | set(dir(builtins))
    bases = [base for node in classes for base in node.bases]
    return any(not (isinstance(base, ast.Name) and base.id in near) for base in bases)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and len(name) > 2


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _short_names() -> Iterator[str]:
    for number in count():
        tens, ones = divmod(number, len(ascii_lowercase))
        yield "_" + ascii_lowercase[ones] + (str(tens) if tens else "")


def _names(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Every name in a module, with whether it is defined at that place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id, isinstance(node.ctx, ast.Store)
        elif isinstance(node, ast.Attribute):
            of_self = isinstance(node.value, ast.Name) and node.value.id == "self"
            yield node.attr, of_self and isinstance(node.ctx, ast.Store)
        elif isinstance(node, ast.arg):
            yield node.arg, True
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, True
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name), node.asname is not None
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg, False
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from ((name, False) for name in node.names)


def _used(tree: ast.Module) -> set[str]:
    return {name for name, defined in _names(tree) if not defined}


def _defined(tree: ast.Module) -> set[str]:
    return {name for name, defined in _names(tree) if defined}
