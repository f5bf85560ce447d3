"""`roamkey field record`: real sockets, and files that are whole however it ends."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from roamkey.errors import RefusedError, SystemRefusedError
from roamkey.field.recording import Arrived, Listener, Recording, number_of


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.bind(("::1", 0))
        return int(one.getsockname()[1])


class Recorder:
    """The command, and datagrams to it."""

    def __init__(self, folder: Path, *options: str, **environ: str) -> None:
        self.port = free_port()
        self.file = folder / "data.jsonl"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "roamkey", "field", "record", str(folder),
             "--port", str(self.port), *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environ},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        assert self.first.startswith("recording UDP port"), self.first

    def send(self, *numbers: Any) -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            for number in numbers:
                one.sendto(json.dumps({"n": number}).encode(), ("::1", self.port))

    def lines(self, wanted: int) -> list[dict[str, Any]]:
        """What is in the file, once so much is."""
        until = time.monotonic() + 30
        while True:
            text = self.file.read_text()
            if text.count("\n") >= wanted:
                assert text.endswith("\n")
                return [json.loads(line) for line in text.splitlines()]
            assert time.monotonic() < until, text
            time.sleep(0.02)

    def end(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, said = self.process.communicate(timeout=30)
        return self.process.returncode, out, said


def test_what_arrives_is_recorded_until_ctrl_c(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "walk"
    begun = time.time() * 1000
    recorder = Recorder(folder)
    recorder.send(0, 1, 3, "none")
    found = recorder.lines(3)
    assert [one["number"] for one in found] == [0, 1, 3]
    assert {one["home_address"] for one in found} == {"::1"}
    assert all(begun <= one["at_ms"] <= time.time() * 1000 for one in found)
    code, out, said = recorder.end(signal.SIGINT)
    assert (code, said) == (0, "")
    assert "::1  3 datagrams\n1 without a number: left out\n" in out
    assert f"roamkey field report {folder}" in out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_however_it_ends_the_file_is_whole_and_is_gone_on_with(
    tmp_path: Path, number: signal.Signals
) -> None:
    for rounds in range(2):
        recorder = Recorder(tmp_path)
        recorder.send(*range(50))
        time.sleep(0.5)  # what came so long ago is in the file
        recorder.end(number)
        assert len(recorder.lines(50 * (rounds + 1))) == 50 * (rounds + 1)
        with recorder.file.open("a") as file:
            file.write('{"at_ms": 12')  # a power cut amid a line
    with Recording(recorder.file, 1 << 20) as again:
        assert again.add(iter([Arrived(1.0, "::1", 7, 8)]))
    assert len(recorder.lines(101)) == 101


def test_the_file_has_a_bound(tmp_path: Path) -> None:
    with Recording(tmp_path / "data.jsonl", 200) as file:
        assert file.add(iter([Arrived(1.0, "::1", 7, 8)]))
        assert not file.add(Arrived(1.0, "::1", n, 8) for n in range(3))
    assert (tmp_path / "data.jsonl").read_text().count("\n") == 1


def test_a_full_disk_is_one_line_and_leaves_whole_lines(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with Recording(tmp_path / "data.jsonl", 1 << 20) as file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, limit[1]))
            assert file.add(iter([Arrived(1.0, "::1", 7, 8)]))
            with pytest.raises(SystemRefusedError, match="File too large"):
                file.add(Arrived(1.0, "::1", n, 8) for n in range(9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "data.jsonl").read_text().count("\n") == 1


def test_one_recording_a_file(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    with Recording(path, 1 << 20), pytest.raises(RefusedError, match="another recording"):
        Recording(path, 1 << 20)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_NET_RAW")
def test_beside_the_program_that_has_the_port(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as program:
        program.bind(("::1", 0))
        port = program.getsockname()[1]
        listener = Listener(port)
        assert listener.beside
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b'{"n": 5}', ("::1", port))
            sender.sendto(b'{"n": 6}', ("::1", free_port()))
        found = [one for _ in range(20) for one in listener.take(0.05)]
        listener.close()
        assert [(one.home_address, one.number, one.octets) for one in found] == [("::1", 5, 8)]
        assert program.recv(100) == b'{"n": 5}'


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes an ordinary user")
def test_an_ordinary_user_is_told_what_to_do(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as program:
        program.bind(("::", 0))
        code = (
            "import os, sys\nfrom roamkey.field.recording import Listener\nos.setuid(65534)\n"
            f"try:\n    Listener({program.getsockname()[1]})\nexcept Exception as error:\n"
            "    print(error)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is another program's: stop it, or listen beside it as root (sudo)" in done.stdout


@pytest.mark.parametrize(
    ("payload", "number"),
    [(b'{"n": 4, "v": 1}', 4), (b"17", 17), (b"-1", None), (b'{"n": true}', None), (b"[1]", None),
     (b"\xff", None), (b"[" * 5000, None), (b'{"n": 1e3}', None), (b"9" * 400, None)],
)  # fmt: skip
def test_numbers(payload: bytes, number: int | None) -> None:
    assert number_of(payload) == number
