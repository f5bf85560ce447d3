"""/app.py, the user's program on a board: see docs/APPLICATIONS.md."""

from mip6.node import Node

async def main(node: Node, /) -> None: ...
