"""Imports that nothing needs any more, left out before a board's files are compiled.

Once named numbers stand where they are used, many an import serves nothing: `const` is one in each
file. A board pays for each with a name, an entry in the module's dictionary and, where nobody else
imports it, a module. What another module takes from here (`from .here import name`) stays.
"""

import ast
from collections.abc import Mapping


def without_needless_imports(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources of a package's modules, by full name, without unused relative imports."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    wanted = {name for tree in trees.values() for name in _wanted(tree)}
    for tree in trees.values():
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        _Remover(used | wanted).visit(tree)
    return {name: ast.unparse(ast.fix_missing_locations(tree)) for name, tree in trees.items()}


def _wanted(tree: ast.Module) -> set[str]:
    """Names that a module may take from another: attributes, and `from .module import name`."""
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node.module not in (None, "compat"):
            found |= {alias.name for alias in node.names}
    return found


class _Remover(ast.NodeTransformer):
    def __init__(self, used: set[str]) -> None:
        self._used = used

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        if node.level == 0:
            return node
        node.names = [one for one in node.names if (one.asname or one.name) in self._used]
        return node if node.names else None
