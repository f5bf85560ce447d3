"""The file store on a POSIX file system, under both interpreters (littlefs: tests/storage)."""

import os

from harness import on_micropython, raises
from stores import MemoryStore

from mip6.eventlog import EventLog
from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore
from mip6.keystore.records import KEYS, READY, SLOTS
from mip6.maintenance import scrubbing
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


def test_what_a_cut_left_half_written_is_no_record_and_goes():
    with Folder() as path:
        store = FileStore(path)
        for name in ("keys", "log/000001"):
            store.write(name, b"whole")
            with open(path + "/" + name + ".new", "wb") as file:
                file.write(b"hal")
        assert store.names() == ["keys", "log/000001"]
        assert sorted(os.listdir(path)) == ["keys", "log"]
        assert os.listdir(path + "/log") == ["000001"]
        with open(path + "/keys.new", "wb") as file:
            file.write(b"secret")
        store.remove("keys")
        assert os.listdir(path) == ["log"]


def test_space_of_a_scrub_that_a_cut_ended_is_given_back():
    with Folder() as path:
        store = FileStore(path)
        store.write("filler", bytes(100))
        assert scrubbing.end_filling(store) and store.names() == []
        assert not scrubbing.end_filling(store)


def test_an_event_log_goes_on_after_a_cut_in_its_first_write():
    with Folder() as path:
        blocks = []
        for _ in range(3):
            log = EventLog(lambda: 0, FileStore(path))
            log.write_lines()
            log.save()
            blocks.append((log.block, log.tell(None)["text"].count(" boot ")))
            with open(path + "/000001.new", "wb") as file:
                file.write(b"0 bo")
        assert blocks == [(1, 1), (1, 2), (1, 3)]


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
