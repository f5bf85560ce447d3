"""Who imports whom, read out of the sources by `ast`: nothing is imported to find out.

For any package, `roamkey` as well as `mip6`: relative imports are resolved, those under
`if TYPE_CHECKING:` don't count, and those inside functions are told apart.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One module imports another: by its whole name, of this package or another one.

    `function`: the function in which that happens, "" at the top of the module.
    """

    importer: str
    imported: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        where = f"{self.importer}:{self.line}" + (
            f" in {self.function}()" if self.function else ""
        )
        return f"{where} imports {self.imported}"


def modules(folder: Path, package: str) -> dict[str, Path]:
    """The modules of the package in a folder: name to file."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [package, *path.relative_to(folder).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def read(folder: Path, package: str) -> list[Import]:
    """Every import in the package that is in a folder."""
    known = modules(folder, package)
    return [each for name, path in known.items() for each in _of_module(name, path, known)]


def circles(imports: Iterable[Import]) -> list[list[str]]:
    """The groups of modules that import each other in a circle, each in order of name."""
    following: dict[str, set[str]] = {}
    for each in imports:
        following.setdefault(each.importer, set()).add(each.imported)
    return [sorted(group) for group in _components(following) if len(group) > 1]


def reached(imports: Iterable[Import], start: str) -> dict[str, list[Import]]:
    """All that is imported where the modules below `start` are: name to the way there.

    With a module its packages are imported.
    """
    by_importer: dict[str, list[Import]] = {}
    for each in imports:
        by_importer.setdefault(each.importer, []).append(each)
    ways: dict[str, list[Import]] = {name: [] for name in by_importer if below(name, start)}
    left = list(ways)
    while left:
        name = left.pop()
        package = name.rpartition(".")[0]
        if package in by_importer and package not in ways:
            ways[package] = ways[name]
            left.append(package)
        for each in by_importer.get(name, ()):
            if each.imported not in ways:
                ways[each.imported] = [*ways[name], each]
                left.append(each.imported)
    return ways


def below(name: str, start: str) -> bool:
    """Whether a module is `start`, or in it."""
    return name == start or name.startswith(start + ".")


def inside_functions(imports: Iterable[Import]) -> dict[str, set[str]]:
    """The imports inside functions: importer to what it imports there."""
    found: dict[str, set[str]] = {}
    for each in imports:
        if each.function:
            found.setdefault(each.importer, set()).add(each.imported)
    return found


def _of_module(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    home = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node, function in _import_nodes(ast.parse(path.read_text(encoding="utf-8")), ""):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno, function)
            continue
        base = node.module or ""
        if node.level:
            parts = home.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
        targets = {f"{base}.{alias.name}" for alias in node.names}
        found = {target if target in known else base for target in targets}
        for target in sorted(found - {name}):
            yield Import(name, target, node.lineno, function)


def _import_nodes(
    tree: ast.AST, function: str
) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, function
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield from _import_nodes(other, function)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _import_nodes(node, node.name)
        else:
            yield from _import_nodes(node, function)


def _components(following: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for after in following.get(name, ()):
            if after not in index:
                visit(after)
                low[name] = min(low[name], low[after])
            elif after in stack:
                low[name] = min(low[name], index[after])
        if low[name] == index[name]:
            at = stack.index(name)
            found.append(stack[at:])
            del stack[at:]

    for name in following:
        if name not in index:
            visit(name)
    return found
