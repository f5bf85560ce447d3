"""The file store on a POSIX file system, under both interpreters (littlefs: tests/storage)."""

import os

from harness import on_micropython, raises
from stores import MemoryStore

from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore
from mip6.keystore.records import KEYS, READY, SLOTS
from mip6.ports.files import FileStore

A = b"\x20\x01\x0d\xb8" + bytes(11)


class Folder:
    """A folder of its own below /tmp, gone afterwards."""

    def __enter__(self):
        self.path = "/tmp/roamkey-test-" + "".join(["%02x" % octet for octet in os.urandom(8)])
        return self.path

    def __exit__(self, *_):
        _remove(self.path)


def _remove(path):
    try:
        entries = os.listdir(path)
    except OSError:
        return
    for entry in entries:
        inner = path + "/" + entry
        if os.stat(inner)[0] & 0x4000:
            _remove(inner)
        else:
            os.remove(inner)
    os.rmdir(path)


def key_set():
    return Credentials(
        b"set-0000", A + b"\x01", [Peer(A + b"\x02", b"h" * 8, b"c" * 8, 600, [(0, b"k" * 20)])]
    )


def test_it_keeps_what_a_store_in_memory_keeps():
    with Folder() as path:
        files, memory = FileStore(path + "/deep/er"), MemoryStore()
        for store in (files, memory):
            assert store.read("keys") is None and store.names() == []
            store.remove("keys")
            for name, data in (
                ("keys", b"one"),
                ("seq/0", b"two"),
                ("keys", b""),
                ("seq/1", b"3"),
            ):
                store.write(name, data)
            store.remove("seq/0")
        assert files.names() == memory.names() == ["keys", "seq/1"]
        assert files.read("keys") == b"" and files.read("seq/1") == b"3"
        assert files.read("seq/0") is None


def test_a_key_store_lives_on_it():
    with Folder() as path:
        keystore = Keystore(FileStore(path))
        keystore.load()
        keystore.provision(key_set())
        for _ in range(40):
            keystore.take(0)
        keystore.release()
        after = Keystore(FileStore(path))
        assert after.load() == READY and after.take(0) == (0, 40)
        after.erase()
        assert FileStore(path).names() == ["used"]


def test_files_are_private():
    if on_micropython():
        return  # its os has no modes: the umask decides there
    with Folder() as path:
        Keystore(FileStore(path)).provision(key_set())
        for name in (KEYS, SLOTS[0]):
            assert os.stat(path + "/" + name)[0] & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_an_error():
    with Folder() as path:
        os.mkdir(path)
        with open(path + "/file", "wb"):
            pass
        raises(OSError, FileStore(path + "/file").write, "keys", b"x")
