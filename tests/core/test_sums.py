"""What is installed, as a host is told: eight files at a time, each by its SHA-256."""

import binascii
import hashlib
import os

from mip6.maintenance import sums

FOLDER = "/tmp/mip6-test-sums"
CONTENTS = {
    "/main.py": b"print('hello')\n",
    "/agent/slot": b"a",
    "/agent/a.json": b'{"agent": "1.2.3", "files": {"x": "' + b"0" * 200 + b'"}}',
    "/agent/a/mip6/empty.mpy": b"",
    "/agent/a/mip6/long.mpy": bytes(range(256)) * 17,
}
CONTENTS.update({"/agent/b/mip6/%02d.mpy" % n: bytes([n]) for n in range(11)})


def _make(path):
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass
        at = path.find("/", at + 1)


def _remove(path):
    try:
        names = os.listdir(path)
    except OSError:
        try:
            os.remove(path)
        except OSError:
            pass
        return
    for name in names:
        _remove(path + "/" + name)
    os.rmdir(path)


def test_every_file_once_in_portions():
    _remove(FOLDER)
    for name, content in CONTENTS.items():
        _make(FOLDER + name)
        with open(FOLDER + name, "wb") as file:
            file.write(content)
    found, skip, portions = [], 0, 0
    while skip is not None:
        told = sums.tell(skip, FOLDER)
        found += told["files"]
        skip = told["next"]
        portions += 1
        assert 0 < len(told["files"]) <= 8 and skip in (None, len(found))
    _remove(FOLDER)
    assert portions == 2 and len(found) == len(CONTENTS) == 16
    for path, total, head in found:
        content = CONTENTS[path]
        assert total == binascii.hexlify(hashlib.sha256(content).digest()).decode()
        assert head == (content[:64].decode() if path.endswith(".json") else None)


def test_nothing_is_installed():
    _remove(FOLDER)
    told = sums.tell(0, FOLDER)
    assert told["files"] == [] and told["next"] is None
