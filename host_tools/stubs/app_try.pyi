"""/app_try.py, a program that is tried: as /app.py."""

from mip6.node import Node

async def main(node: Node, /) -> None: ...
