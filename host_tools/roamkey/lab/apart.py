"""For tests and benches: what they run knows nothing of the registry, boards and playground of
whoever runs them, and leaves nothing there.
"""

import atexit
import os
import shutil
import tempfile

_KEPT = (
    "ROAMKEY_PATIENCE",
    "ROAMKEY_TEST",
)  # beginnings of names: they say how to run, not on what
_FOLDERS = ("XDG_DATA_HOME", "XDG_STATE_HOME")


def stand_apart() -> None:
    """From now on, for this process and all that it starts: no `ROAMKEY_…` of the caller's, no
    serial port but those that are named, and folders of its own that end with it."""
    for name in [name for name in os.environ if name.startswith("ROAMKEY_")]:
        if not name.startswith(_KEPT):
            del os.environ[name]
    os.environ["ROAMKEY_PORTS"] = ""
    folder = tempfile.mkdtemp(prefix="roamkey-apart-")
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a fork has this, too
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    os.environ.update(dict.fromkeys(_FOLDERS, folder))
