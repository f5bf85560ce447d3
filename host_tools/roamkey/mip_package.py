"""`firmware/package.json`: the agent as a package of `mip`, MicroPython's package manager.

    python -m roamkey.mip_package firmware/package.json

`mpremote mip install …/package.json` puts the agent into /lib and /main.py in place, as source.
The shims stay out: the firmware of boards has SHA-1 built in; and what only routers run.
"""

import json
import sys
from pathlib import Path

from mip6 import __version__
from roamkey.firmware import board_files

_LIBRARY = "/lib/"
_AGENT = "/lib/mip6/"
_OF_ROUTERS = "/lib/mip6/programs/"


def text() -> str:
    """The file's text. Paths are relative to mip's target, which is /lib, and to the file."""
    urls = [["../main.py", "main.py"]]
    for there in board_files():
        if there.startswith(_AGENT) and not there.startswith(_OF_ROUTERS):
            path = there.removeprefix(_LIBRARY)
            urls.append([path, path])
    lines = ",\n".join(f"    {json.dumps(pair)}" for pair in urls)
    return f'{{\n  "version": "{__version__}",\n  "deps": [],\n  "urls": [\n{lines}\n  ]\n}}\n'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text())
