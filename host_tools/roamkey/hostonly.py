"""Functions of the agent's files that only hosts call: left out of what is compiled for a board.

The host tools and the tests build on the same files as the board (docs/DESIGN.md, "The house"); a
board never makes an acknowledgement or provisions another board.
"""

import ast
from collections.abc import Mapping

#: module -> functions, classes and methods ("Class.method")
HOST_ONLY = {
    "mip6.lines": ("cut",),
    "mip6.messages": ("with_checksum", "_Writer", "Message.encode"),
    "mip6.packets": ("routing_header", "ipv6_header"),
    "mip6.provisioning": ("new_keys_of", "parameters_of"),
}


def without_host_only(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources of the agent's modules, by full name, without what only hosts call.

    Raises KeyError for a name in the list that isn't there any more.
    """
    result = dict(sources)
    for module, names in HOST_ONLY.items():
        tree = ast.parse(sources[module])
        for name in names:
            _remove(tree, name)
        result[module] = ast.unparse(tree)
    return result


def _remove(scope: ast.Module | ast.ClassDef, name: str) -> None:
    first, _, rest = name.partition(".")
    for node in scope.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == first:
            if not rest:
                scope.body.remove(node)
                return
            if isinstance(node, ast.ClassDef):
                _remove(node, rest)
                return
    raise KeyError(name)
