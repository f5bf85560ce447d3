"""The names that a module uses most come first, before a board's files are compiled.

The compiler numbers names as it meets them, and bytecode mentions them by number: below 128 that
takes one octet, above two. In a large module many busy names would come late. An expression in
front that never runs has the compiler meet them before. They stand in it as attributes, because
the first of the compiler's passes looks at those only.
"""

import ast
from collections import Counter
from collections.abc import Mapping
from keyword import iskeyword

from roamkey.bytecode import naming

_ONE_OCTET = 124  # numbers below 128, less those that the compiler itself gives out first


def frequent_first(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources of modules, by any key, with that expression where it pays."""
    return {module: _front(text) for module, text in sources.items()}


def _front(text: str) -> str:
    tree = ast.parse(text)
    uses = Counter(_mentioned(tree))
    if len(uses) <= _ONE_OCTET:
        return text
    busy = [name for name, count in uses.most_common(_ONE_OCTET) if count > 7]
    return f"if not __name__:\n    __name__.{'.'.join(busy)}\n{text}"


def _mentioned(tree: ast.Module) -> list[str]:
    """Every name that bytecode mentions, once for each place: not the variables of functions."""
    local = naming.bound_inside(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.append(node.attr)
        elif isinstance(node, ast.Name) and node.id not in local:
            found.append(node.id)
        elif isinstance(node, ast.arg):
            found.append(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return [name for name in found if name.isidentifier() and not iskeyword(name)]
