"""Modules that are always in memory together become one, before a board's files are compiled.

Each compiled file repeats the names it uses, and each module has a dictionary, tables and its own
copy of what it imports: together a tenth of the octets in flash and in RAM. What programs import
by name (sharednames.PUBLIC) and what comes and goes by itself (mip6.workshop) stays apart. In a
merged module a member's names are `member_name`; those of the module that gives the name stay.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

#: the module that others find -> its members in order of import, itself among them
GROUPS = {
    "mip6.node": (
        *("packets", "messages", "echo", "records", "sequence", "keyset", "credentials", "pace"),
        *("states", "updates", "binding", "bindings", "uplinks", "node"),
    ),
    "mip6.agent": (
        *("application", "eventlog", "workshop", "desk", "idle", "linereader", "terminal"),
        "agent",
    ),
    "mip6.console": ("jsonrpc", "provisioning", "lines", "seal", "upkeep", "console"),
    "mip6.keychange": ("keycheck", "keychange"),
    "mip6.status": ("keylife", "airlog", "status"),
    "mip6.ports.board": ("files", "board"),
    "mip6.ports.facts": ("scrubbing", "networklist", "facts"),
    "mip6.ports.rp2": ("lwip", "rp2"),
    "mip6.ports.wifi": ("networks", "waiting", "station", "wifi"),
}

_AS_OBJECTS = ("mip6.ports.facts",)  # handed to others whole: each member's names must stay

_BUSY = "mip6.node"  # where a handover is worked out, with these:
_HOT = frozenset(("bytes", "int", "isinstance", "len", "max", "memoryview", "min", "type"))

Names = dict[str, str]


def merge(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources of modules, by full name, with the groups merged under their first name."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    homes: dict[str, str] = {}
    names: dict[str, Names] = {}
    for target, members in GROUPS.items():
        package = target.rpartition(".")[0]
        for member in members if target in trees else ():
            module = f"{package}.{member}"
            if module in trees:
                homes[module] = target
                defined = set(_defined(trees[module].body))
                prefix = "" if module == target or target in _AS_OBJECTS else f"{member}_"
                names[module] = {name: prefix + name for name in defined}
    merged: dict[str, list[ast.stmt]] = {}
    for module in _in_order(trees, homes):
        tree = _Linker(module, homes, names).visit(trees[module])
        body = merged.setdefault(homes.get(module, module), [])
        seen = {ast.unparse(one) for one in body if isinstance(one, (ast.Import, ast.ImportFrom))}
        body.extend(one for one in tree.body if ast.unparse(one) not in seen)
    if _BUSY in merged:
        merged[_BUSY][:0] = _builtins(merged[_BUSY])
    return {
        module: ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))
        for module, body in merged.items()
    }


def _builtins(body: list[ast.stmt]) -> list[ast.stmt]:
    """`len = len` and so on: not to find a name in a large dictionary takes long each time."""
    tree = ast.Module(body, [])
    used = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name)}
    stored = {name for one in ast.walk(tree) for name in _stored(one)}
    return [ast.parse(f"{name} = {name}").body[0] for name in sorted((used - stored) & _HOT)]


def _in_order(trees: Mapping[str, Any], homes: Mapping[str, str]) -> Iterator[str]:
    """Modules that stay as they are, then the members of each group."""
    yield from (module for module in trees if module not in homes)
    yield from homes


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module defines at its top: not those that it imports."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _defined(node.body)
            yield from _defined(node.orelse)
            for handler in getattr(node, "handlers", ()):
                yield from _defined(handler.body)
        elif not isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _stored(node)


def _stored(node: ast.AST) -> Iterator[str]:
    """Names that a statement or a function binds, not looking into functions within."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).split(".")[0]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield child.name
        elif not isinstance(child, (ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.DictComp)):
            yield from _stored(child)


class _Linker(ast.NodeTransformer):
    """Makes one module mean the same among merged ones."""

    def __init__(self, module: str, homes: Mapping[str, str], names: Mapping[str, Names]) -> None:
        self._module = module
        self._homes = homes
        self._names = names
        self._home = homes.get(module)
        self._own = dict(names.get(module, {}))  # global name -> its name in the merged module
        self._modules: dict[str, str] = {}  # name bound to a module that was merged -> module
        self._scopes: list[set[str]] = []

    # Imports

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        parts = self._module.split(".")[: -node.level] if node.level else []
        origin = ".".join([*parts, *([node.module] if node.module else [])])
        if origin in self._homes:
            return self._of_names(node, origin)
        kept = []
        for alias in node.names:
            module = f"{origin}.{alias.name}"
            home = self._homes.get(module)
            bound = alias.asname or alias.name
            if home is not None:
                self._modules[bound] = module
                alias = ast.alias(home.rpartition(".")[2], bound)
            if home is None or home != self._home:
                kept.append(alias)
        node.names = kept
        return node if kept else None

    def _of_names(self, node: ast.ImportFrom, origin: str) -> Any:
        renamed = self._names[origin]
        if self._homes[origin] == self._home:
            for alias in node.names:
                self._own[alias.asname or alias.name] = renamed.get(alias.name, alias.name)
            return None
        node.names = [
            ast.alias(renamed.get(one.name, one.name), one.asname or one.name)
            for one in node.names
        ]
        package, _, last = (node.module or "").rpartition(".")
        home = self._homes[origin].rpartition(".")[2]
        node.module = f"{package}.{home}" if package else home
        assert last == origin.rpartition(".")[2]
        return node

    # Names

    def visit_Name(self, node: ast.Name) -> Any:
        if not self._is_local(node.id):
            if self._home and self._homes.get(self._modules.get(node.id, "")) == self._home:
                raise ValueError(f"{self._module}: module {node.id} used as an object")
            node.id = self._own.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        base = node.value
        if isinstance(base, ast.Name) and not self._is_local(base.id):
            module = self._modules.get(base.id)
            if module is not None:
                name = self._names[module].get(node.attr, node.attr)
                if self._homes[module] == self._home:
                    return ast.Name(name, node.ctx)
                node.attr = name
                return node
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._own.get(name, name) for name in node.names]
        return node

    # Scopes

    def _is_local(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    def _function(self, node: Any) -> Any:
        if not self._scopes and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.name = self._own.get(node.name, node.name)
        arguments = node.args
        arguments.defaults = [self.visit(one) for one in arguments.defaults]
        body = node.body if isinstance(node.body, list) else [node.body]
        local = {one.arg for one in ast.walk(arguments) if isinstance(one, ast.arg)}
        local.update(name for part in body for name in _bound(part))
        for inner in body:
            for one in ast.walk(inner):
                if isinstance(one, ast.Global):
                    local -= set(one.names)
                elif isinstance(one, ast.ImportFrom):
                    local -= self._linked(one)
        self._scopes.append(local)
        if isinstance(node.body, list):
            visited = [self.visit(one) for one in body]
            node.body = [one for one in visited if one is not None] or [ast.Pass()]
            node.decorator_list = [self.visit(one) for one in node.decorator_list]
        else:
            node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def _linked(self, node: ast.ImportFrom) -> set[str]:
        """Names that an import inside a function binds to what is in the same merged module."""
        parts = self._module.split(".")[: -node.level] if node.level else []
        origin = ".".join([*parts, *([node.module] if node.module else [])])
        found = set()
        for alias in node.names:
            home = self._homes.get(origin) or self._homes.get(f"{origin}.{alias.name}")
            if home is not None and (home == self._home or origin not in self._homes):
                found.add(alias.asname or alias.name)
        return found

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if not self._scopes:
            node.name = self._own.get(node.name, node.name)
        node.bases = [self.visit(one) for one in node.bases]
        outer = self._scopes
        for index, statement in enumerate(node.body):
            # Functions don't see the names of the class; statements of the class do.
            is_function = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
            hidden = set() if is_function else {name for one in node.body for name in _bound(one)}
            self._scopes = [*outer, hidden]
            node.body[index] = self.visit(statement)
        self._scopes = outer
        return node

    def _comprehension(self, node: Any) -> Any:
        self._scopes.append({name for one in node.generators for name in _stored(one.target)})
        self.generic_visit(node)
        self._scopes.pop()
        return node

    visit_ListComp = visit_GeneratorExp = visit_DictComp = visit_SetComp = _comprehension


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that a statement binds in its function, its own name if it is one."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    else:
        yield from _stored(node)
