# The agent and the program that starts it, for freezing into any firmware: the manifests of the
# boards include this file. `without`: how the names begin of what a board has no use
# for in mip6.
# ruff: noqa: F821 (the names are those of MicroPython's manifestfile.py)
from pathlib import Path

options.defaults(without=())
agent = Path("../firmware/mip6")  # while a manifest is read, its own folder is the current one
files = sorted(path.relative_to(agent).as_posix() for path in agent.rglob("*.py"))
package(
    "mip6",
    files=[name for name in files if not name.startswith(tuple(options.without))],
    base_path="../firmware",
)
module("main.py", base_path="../firmware")
