"""Named numbers put where they are used, before a board's files are compiled.

MicroPython's compiler does so for `_NAME = const(1)` within a file. A public name that other files
use (`packets.UDP`) stays in the module's dictionary, in the table of interned strings, and is
looked up at each use. Here such names become numbers in every file and their definitions go: for
the agent that is a tenth of its RAM. What the source means doesn't change, provided that nothing
outside the files given asks for a name by itself.
"""

import ast
from collections.abc import Iterable, Mapping
from typing import TypeGuard

Numbers = dict[str, int]


def inline(trees: Mapping[str, ast.Module]) -> None:
    """Inline the constants of a package's modules.

    `trees`: by a module's full name ("mip6.packets"); a package's own file has the package's name.
    """
    packages = {name for name in trees if any(other.startswith(name + ".") for other in trees)}
    known = {name: _numbers(tree) for name, tree in trees.items()}
    for name, tree in trees.items():
        imports = _Imports(name, name in packages, known)
        _Inliner(imports, known[name], _bound_inside(tree)).visit(tree)


def _is_constant(node: ast.stmt) -> TypeGuard[ast.Assign]:
    """Whether a statement is `NAME = const(...)`."""
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "const"
    )


def _name_of(statement: ast.Assign) -> str:
    target = statement.targets[0]
    assert isinstance(target, ast.Name)
    return target.id


def _numbers(tree: ast.Module) -> Numbers:
    """The constants that a module defines at its top, each from numbers and earlier ones."""
    found: Numbers = {}
    for statement in tree.body:
        if _is_constant(statement):
            assert isinstance(statement.value, ast.Call)
            (expression,) = statement.value.args
            value = eval(  # the project's own source, and nothing but its earlier numbers in reach
                compile(ast.Expression(expression), "constants", "eval"),
                {"__builtins__": {}},
                dict(found),
            )
            if isinstance(value, int):
                found[_name_of(statement)] = value
    return found


class _Imports:
    """What a module's relative imports name: modules, and constants of modules."""

    def __init__(self, module: str, is_package: bool, known: Mapping[str, Numbers]) -> None:
        self._parts = module.split(".") + ([""] if is_package else [])
        self._known = known

    def origin(self, statement: ast.ImportFrom) -> str:
        """The full name of the module that a `from ... import` names."""
        parts = self._parts[: -statement.level] if statement.level else []
        return ".".join([*parts, *([statement.module] if statement.module else [])])

    def modules(self, statement: ast.ImportFrom) -> Iterable[tuple[str, Numbers]]:
        """Each name that the statement binds to one of the modules, with its constants."""
        for alias in statement.names:
            numbers = self._known.get(f"{self.origin(statement)}.{alias.name}")
            if numbers is not None:
                yield alias.asname or alias.name, numbers

    def constant(self, statement: ast.ImportFrom, alias: ast.alias) -> int | None:
        """The number that a name of the statement stands for, if it is a constant."""
        return self._known.get(self.origin(statement), {}).get(alias.name)


class _Inliner(ast.NodeTransformer):
    def __init__(self, imports: _Imports, own: Numbers, bound: set[str]) -> None:
        self._imports = imports
        self._bound = bound
        self._names = {name: value for name, value in own.items() if name not in bound}
        self._modules: dict[str, Numbers] = {}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        for name, numbers in self._imports.modules(node):
            if name not in self._bound:
                self._modules[name] = numbers
        kept = []
        for alias in node.names:
            value = self._imports.constant(node, alias)
            name = alias.asname or alias.name
            if value is None or name in self._bound:
                kept.append(alias)
            else:
                self._names[name] = value
        node.names = kept
        return node if kept else None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if _is_constant(node) and _name_of(node) in self._names:
            return None
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            value = self._modules.get(node.value.id, {}).get(node.attr)
            if value is not None:
                return ast.Constant(value)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self._names:
            return ast.Constant(self._names[node.id])
        return node


def _bound_inside(tree: ast.Module) -> set[str]:
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
