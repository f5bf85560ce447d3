"""What a board has in memory together becomes one module, before its files are compiled.

Each compiled file repeats the names it uses, takes whole blocks of flash, and each module has a
dictionary and its own copy of what it imports. What a board has in memory together lies in one
folder (docs/DESIGN.md, "Load units"): a folder below mip6 becomes one module of its name; of the
everyday files of mip6 itself those that stand on such folders become `mip6.agent`, the others
`mip6.base`; what programs may import (`mip6.__all__`) or what comes and goes (terminal.TRANSIENT)
stays a file. Names stay what they are: two members of a unit may not define the same one.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mip6
from mip6.terminal import TRANSIENT
from roamkey.errors import SystemRefusedError

PACKAGE = "mip6"
#: Modules of which a board has nothing: all that they have stands where it is used.
INLINED = (f"{PACKAGE}.compat", f"{PACKAGE}.limits")
_ABOVE, _BASE = f"{PACKAGE}.agent", f"{PACKAGE}.base"
_ROUND = 100  # a member's lines begin behind a multiple: a person can subtract that


@dataclass(frozen=True)
class Unit:
    """A module as it goes to a board. `starts`: after which of its lines the lines of each member
    come, by the member's full name, ascending.
    """

    tree: ast.Module
    starts: Mapping[str, int]


def units_of(trees: Mapping[str, ast.Module]) -> dict[str, str]:
    """The full name of the module that each of these becomes a part of; of a program, which lies
    outside mip6, its own."""
    units = {module: _room_of(module, trees) or _BASE for module in trees}
    everyday = [module for module, unit in units.items() if unit == _BASE]
    rooms = {unit for module, unit in units.items() if unit != module and unit != _BASE}

    def stands_on_rooms(module: str) -> bool:
        origins = {
            whole if whole in trees else origin
            for statement in trees[module].body
            if isinstance(statement, ast.ImportFrom)
            for origin in (_origin(module, statement, trees),)
            for whole in (f"{origin}.{one.name}" for one in statement.names)
        }
        return any(
            units.get(one) in rooms or (one in everyday and stands_on_rooms(one))
            for one in origins
        )

    return units | {module: _ABOVE for module in everyday if stands_on_rooms(module)}


def _room_of(module: str, modules: Mapping[str, Any]) -> str | None:
    """The unit of a module, but for everyday files of mip6 itself."""
    package, _, rest = module.partition(".")
    room, _, inside = rest.partition(".")
    whole = f"{PACKAGE}.{room}"
    alone = room in mip6.__all__ or room in TRANSIENT or whole in INLINED
    if package != PACKAGE or not rest or (alone and not inside):
        return module
    return whole if inside or is_folder(whole, modules) else None


def is_folder(module: str, modules: Mapping[str, Any]) -> bool:
    """Whether it is a package, whose own file has nothing but a docstring."""
    return any(name.startswith(module + ".") for name in modules)


def link(trees: Mapping[str, ast.Module]) -> dict[str, Unit]:
    """The units that mip6's modules make, by full name. Other modules are programs that use them:
    what they import is found where it then is.

    Raises SystemRefusedError where two members define one name, or use each other in a circle.
    """
    units = units_of(trees)
    members: dict[str, list[str]] = {}
    for module in trees:
        if module == PACKAGE or not is_folder(module, trees):
            members.setdefault(units[module], []).append(module)
    return {unit: _unit(unit, modules, trees, units) for unit, modules in sorted(members.items())}


def _unit(
    unit: str, members: list[str], trees: Mapping[str, ast.Module], units: Mapping[str, str]
) -> Unit:
    """The statements of its modules, each behind those that it imports."""
    meanings: dict[str, str] = {}
    body: list[ast.stmt] = []
    seen: set[str] = set()
    starts: dict[str, int] = {}
    end = 0
    for module in _in_order(members, trees):
        lines = max((one.end_lineno or 0 for one in trees[module].body), default=0)
        defined = dict.fromkeys(_defined(trees[module].body), module)
        tree = ast.fix_missing_locations(_Linker(module, units).visit(trees[module]))
        starts[module] = end
        ast.increment_lineno(tree, end)
        end = -(-(end + lines) // _ROUND) * _ROUND
        for name, meaning in (defined | dict(_imported(tree.body))).items():
            if meanings.setdefault(name, meaning) != meaning:
                raise SystemRefusedError(
                    f"{unit}: {name} means {meanings[name]} and {meaning}: give one another name"
                )
        for one in tree.body:
            text = ast.unparse(one) if isinstance(one, (ast.Import, ast.ImportFrom)) else ""
            if text not in seen:
                body.append(one)
                seen |= {text} - {""}
    return Unit(ast.Module(body, []), starts)


def _in_order(members: list[str], trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """The members, each after those that it imports at its top; in order of name otherwise."""
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> Iterator[str]:
        if module in above:
            raise SystemRefusedError(f"a circle of imports: {' -> '.join((*above, module))}")
        if module in done:
            return
        for statement in trees[module].body:
            if isinstance(statement, ast.ImportFrom):
                origin = _origin(module, statement, trees)
                wanted = {origin, *(f"{origin}.{one.name}" for one in statement.names)}
                for other in sorted(wanted & set(members)):
                    yield from visit(other, (*above, module))
        done.add(module)
        yield module

    for module in sorted(members):
        yield from visit(module, ())


def _origin(module: str, node: ast.ImportFrom, modules: Mapping[str, Any]) -> str:
    """The full name of the module that a `from ... import` names."""
    if not node.level:
        return node.module or ""
    is_package = any(name.startswith(module + ".") for name in modules)
    parts = module.split(".") + ([""] if is_package else [])
    return ".".join([*parts[: -node.level], *([node.module] if node.module else [])])


def _imported(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """What the imports at a module's top bind, with what each means."""
    for node in body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origin = "." * node.level + (node.module or "")
                yield alias.asname or alias.name, f"{alias.name} of {origin}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, f"module {alias.name}"


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
    """Makes one module mean the same among linked ones. Units lie in mip6 itself: relative imports
    start there."""

    def __init__(self, module: str, units: Mapping[str, str]) -> None:
        self._module = module
        self._all = units
        self._home = units[module]
        self._own: dict[str, str] = {}  # a name bound by an import -> its name in the unit
        self._modules: set[str] = set()  # names bound to modules of the same unit
        self._scopes: list[set[str]] = []

    # Imports

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        origin = _origin(self._module, node, self._all)
        if origin.partition(".")[0] != PACKAGE:
            return node
        wanted: dict[str, list[ast.alias]] = {}  # by where it then is
        for one in node.names:
            name = one.asname or one.name
            module, unit = self._found(origin, one.name)
            if unit == self._home and module:
                self._modules.add(name)
            elif unit == self._home:
                self._own[name] = one.name
            elif module:  # a module's unit is each of its members
                last = unit.rpartition(".")[2]
                wanted.setdefault(PACKAGE, []).append(ast.alias(last, name))
            else:
                wanted.setdefault(unit, []).append(ast.alias(one.name, name))
        return [self._import(unit, names) for unit, names in wanted.items()] or self._nothing()

    def _found(self, origin: str, name: str) -> tuple[bool, str]:
        """Whether what is imported is a module, and the unit that it is in."""
        whole = f"{origin}.{name}"
        is_module = whole in self._all
        found = whole if is_module else origin
        # what another platform needs isn't there, but has its place
        return is_module, self._all.get(found) or _room_of(found, self._all) or _BASE

    def _import(self, unit: str, names: list[ast.alias]) -> ast.ImportFrom:
        for one in names:
            one.asname = None if one.asname == one.name else one.asname
        if self._module.partition(".")[0] != PACKAGE:
            return ast.ImportFrom(unit, names, 0)
        return ast.ImportFrom(unit.partition(".")[2] or None, names, 1)

    def _nothing(self) -> ast.stmt | None:
        """In place of an import that the unit doesn't need: a branch may hold nothing else."""
        return ast.Pass() if self._scopes else None

    # Names

    def visit_Name(self, node: ast.Name) -> Any:
        if not self._is_local(node.id):
            if node.id in self._modules:
                raise SystemRefusedError(f"{self._module}: module {node.id} used as an object")
            node.id = self._own.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        base = node.value
        if isinstance(base, ast.Name) and base.id in self._modules and not self._is_local(base.id):
            if self._is_local(node.attr):
                raise SystemRefusedError(
                    f"{self._module}: {base.id}.{node.attr} would become the local {node.attr}: "
                    "give one another name"
                )
            return ast.Name(node.attr, node.ctx)
        return self.generic_visit(node)

    # Scopes

    def _is_local(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    def _function(self, node: Any) -> Any:
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
            node.body = [one for part in body for one in _all_of(self.visit(part))] or [ast.Pass()]
            node.decorator_list = [self.visit(one) for one in node.decorator_list]
        else:
            node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def _linked(self, node: ast.ImportFrom) -> set[str]:
        """Names that an import inside a function binds to what is in the same unit."""
        origin = _origin(self._module, node, self._all)
        return {
            one.asname or one.name
            for one in node.names
            if self._found(origin, one.name)[1] == self._home
        }

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
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


def _all_of(visited: Any) -> list[Any]:
    """What a visitor gave: a node, several, none."""
    if isinstance(visited, list):
        return visited
    return [] if visited is None else [visited]
