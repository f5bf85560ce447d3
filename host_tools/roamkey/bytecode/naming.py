"""What the steps that change names have in common."""

import ast
from collections.abc import Mapping


def bound_inside(tree: ast.Module) -> set[str]:
    """Names that functions of a module bind for themselves: there they mean something else."""
    bound: set[str] = set()
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for node in ast.walk(function):
                if isinstance(node, ast.arg):
                    bound.add(node.arg)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    bound.add(node.id)
    return bound


class Renamer(ast.NodeTransformer):
    """Gives names others, wherever they stand. `imported`: also where they are imported, not only
    where an import gives a name of its own."""

    def __init__(self, names: Mapping[str, str], imported: bool) -> None:
        self._names = names
        self._in_imports = ("name", "asname") if imported else ("asname",)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        elsewhere = ("id", "attr", "arg", "name", "asname")
        for field in self._in_imports if isinstance(node, ast.alias) else elsewhere:
            value = getattr(node, field, None)
            if isinstance(value, str):
                setattr(node, field, self._names.get(value, value))
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = [self._names.get(name, name) for name in node.names]
        return node
