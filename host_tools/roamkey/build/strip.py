"""What only hosts need of the agent's files, and imports that nothing needs: left out for a board.

The host tools and the tests build on the same files as the board (docs/DESIGN.md, "The house"). A
board never makes an acknowledgement or provisions another board, counts a violation without
reading its text, and shows no object to anybody. A mistake in its own program has no text there.

Once named numbers stand where they are used, many an import serves nothing: `const` is one in each
file. A board pays for each with a name, an entry in the module's dictionary and, where nobody else
imports it, a module. What another module takes from here (`from .here import name`) stays.
"""

import ast
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

#: module -> functions, classes, methods ("Class.method") and variables
HOST_ONLY = {
    "mip6.bindings.states": ("EVENTS", "ACTIONS", "_packed", "rows"),
    "mip6.console.framing": ("cut",),
    "mip6.console.params": ("new_keys_of", "parameters_of", "reach_of"),
    "mip6.messages": ("with_checksum", "_Writer", "Message.encode"),
    "mip6.packets": ("parse", "routing_header"),
}

_CAUGHT = ("Exhausted",)  # by binding.py
_CORE = (
    "mip6.keys",
    "mip6.messages",
    "mip6.packets",
)  # where ValueError is a mistake in a program

_TYPES_ONLY = "TYPE_CHECKING"
_RECEIVED = (6, 7)  # Binding Acknowledgement and Binding Error: a node asks for their fields


def _layouts(messages: ModuleType) -> dict[int, Any]:
    """Of each message its size; fields of those that a mobile node reads, and no names."""
    return {
        kind: ("", octets, fields if kind in _RECEIVED else ())
        for kind, (_, octets, fields) in messages.LAYOUTS.items()
    }


#: module -> variable -> what a board has in its place
VALUES: dict[str, dict[str, Callable[[ModuleType], Any]]] = {
    "mip6.compat": {"MICROPYTHON": lambda _: True},
    "mip6.messages": {
        "LAYOUTS": _layouts,
        "OPTIONS": lambda messages: {
            kind: ("", octets)
            for kind, (_, octets, _) in messages.OPTIONS.items()
            if octets is not None
        },
    },
    "mip6.bindings.states": {"_TABLE": lambda states: states._TABLE},
}


def strip_host_only(trees: Mapping[str, ast.Module]) -> None:
    """Take what only hosts need out of the agent's modules, by full name.

    Raises KeyError for a name in the lists that isn't there any more.
    """
    for module, tree in trees.items():
        for name in HOST_ONLY.get(module, ()):
            _remove(tree, name)
        for name, value in VALUES.get(module, {}).items():
            statement = _find(tree, name)
            assert isinstance(statement, ast.Assign)
            text = repr(value(import_module(module)))
            if text == "True":
                text = "const(True)"
            value_of = ast.parse(text, mode="eval").body
            for node in ast.walk(value_of):
                ast.copy_location(node, statement)
            statement.value = value_of
        ast.fix_missing_locations(_Mute(module).visit(tree))


class _Mute(ast.NodeTransformer):
    """Takes away the texts that nobody reads on a board, and how objects show themselves."""

    def __init__(self, module: str) -> None:
        self._module = module

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = getattr(node.func, "id", None)
        if name == "Violation":
            node.args = [node.args[0], ast.Constant("")]
        elif name in _CAUGHT or (name == "ValueError" and self._module in _CORE):
            node.args = []
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [one for one in node.body if getattr(one, "name", None) != "__repr__"]
        return self.generic_visit(node)


def _remove(tree: ast.Module, name: str) -> None:
    first, _, rest = name.partition(".")
    scope: ast.Module | ast.ClassDef = tree
    if rest:
        found = _find(tree, first)
        assert isinstance(found, ast.ClassDef)
        scope = found
    scope.body.remove(_find(scope, rest or first))


def _find(scope: ast.Module | ast.ClassDef, name: str) -> ast.stmt:
    for node in scope.body:
        if getattr(node, "name", None) == name:
            return node
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return node
    raise KeyError(name)


def strip_needless_imports(trees: Mapping[str, ast.Module]) -> None:
    """Take unused relative imports out of a package's modules, by full name."""
    wanted = {name for tree in trees.values() for name in _wanted(tree)}
    for tree in trees.values():
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        _Remover(used | wanted).visit(tree)


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


def strip_types(tree: ast.Module) -> None:
    """Leave out what only type checkers read: annotations, and blocks of `if TYPE_CHECKING`."""
    _Untyped().visit(tree)


class _Untyped(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if getattr(node.test, "id", None) == _TYPES_ONLY:
            return node.orelse or None
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if getattr(node.targets[0], "id", None) == _TYPES_ONLY:
            return None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: Any) -> ast.AST:
        node.returns = None
        return self.visit_ClassDef(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.copy_location(ast.Pass(), node)]
        return node  # type: ignore[no-any-return]
