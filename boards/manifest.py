# The agent and the program that starts it, for freezing into any firmware: the manifests of the
# boards include this file. `platform`: the board's `sys.platform`. Written to build/frozen/ first,
# without what only hosts and other platforms need; every statement keeps its line.
# ruff: noqa: F821 (the names are those of MicroPython's manifestfile.py)
import sys
from pathlib import Path

options.defaults(platform="")
root = Path("..").resolve()  # while a manifest is read, its own folder is the current one
sys.path[:0] = [str(root / "host_tools"), str(root / "firmware")]
from roamkey.build import write_lean_sources  # noqa: E402

lean = root / "build" / "frozen" / options.platform
write_lean_sources(lean, options.platform)
package("mip6", base_path=str(lean))
module("main.py", base_path="../firmware")
