"""Key files: what is taken, and one line without the secret for everything else."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roamkey.enroll.keyfile import read_kcn, read_pairs
from roamkey.errors import BadInputError

KCN = "00112233445566778899aabbccddeeff01234567"


def private(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


def pair(**changes: Any) -> dict[str, Any]:
    return {
        "home_address": "2001:db8:a::1",
        "correspondent": "2001:db8:c::2",
        "home_nonce": "00" * 8,
        "care_of_nonce": "11" * 32,
        "keys": [{"generation": 0, "kcn": KCN}],
        **changes,
    }


def refused(read: Any, path: Path | str) -> str:
    with pytest.raises(BadInputError) as caught:
        read(path)
    line = str(caught.value)
    assert "\n" not in line and KCN[:10] not in line.lower()
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return line


@pytest.mark.parametrize("text", [KCN, KCN + "\n", f"  {KCN.upper()}\r\n"], ids=range(3))
def test_kcn_is_read(tmp_path: Path, text: str) -> None:
    assert read_kcn(private(tmp_path / "kcn", text)) == bytes.fromhex(KCN)


def test_kcn_of_any_length_from_20_octets(tmp_path: Path) -> None:
    for octets in (20, 64, 65, 255):
        assert read_kcn(private(tmp_path / "kcn", "5a" * octets)) == b"\x5a" * octets


@pytest.mark.parametrize(
    "text, reason",
    [
        (KCN[:38], "has 19 octets, at least 20"),
        (KCN + "0", "not hexadecimal"),
        (KCN[:-1] + "g", "not hexadecimal"),
        (KCN[:20] + " " + KCN[20:], "not hexadecimal"),
        (KCN + "\n" + KCN, "not hexadecimal"),
        ("0x" + KCN, "not hexadecimal"),
        ("", "empty"),
        (" \n", "empty"),
        ("00" * 256, "has 256 octets, at most 255"),
        ("00" * 5000, "too long"),
        (KCN.encode() + b"\xff", "ASCII"),
        ("١" * 40, "ASCII"),
    ],
    ids=range(12),
)
def test_kcn_is_refused(tmp_path: Path, text: str | bytes, reason: str) -> None:
    line = refused(read_kcn, private(tmp_path / "kcn", text))
    assert any(part in line for part in reason.split("|")), line
    assert "kcn" in line


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "kcn", KCN)
    path.chmod(mode)
    assert f"{mode:04o}" in refused(read_kcn, path)
    assert f"{mode:04o}" in refused(read_pairs, path)


def test_missing_or_directory_is_refused(tmp_path: Path) -> None:
    for read in (read_kcn, read_pairs):
        assert "No such file" in refused(read, tmp_path / "absent")
        assert "Is a directory" in refused(read, tmp_path)
        refused(read, "a\0b")


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    def give(text: str) -> None:
        stdin = SimpleNamespace(buffer=io.BytesIO(text.encode()), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", stdin)

    give(KCN + "\n")
    assert read_kcn("-") == bytes.fromhex(KCN)
    give(json.dumps(pair()))
    assert len(read_pairs("-")) == 1
    give("")
    assert refused(read_kcn, "-") == "stdin: empty"


def test_pairs_are_read(tmp_path: Path) -> None:
    keys = [{"generation": 3, "kcn": "ab" * 20}, {"generation": 1, "kcn": "cd" * 65}]
    other = pair(home_address="2001:db8:a::9")
    path = private(tmp_path / "keys", json.dumps([pair(keys=keys), other]))
    first, second = read_pairs(path)
    assert first.home_address.hex() == "20010db8000a00000000000000000001"
    assert first.correspondent.hex() == "20010db8000c00000000000000000002"
    assert (first.home_nonce, first.care_of_nonce) == (bytes(8), b"\x11" * 32)
    assert [key.generation for key in first.keys] == [1, 3]
    assert second.keys[0].kcn == bytes.fromhex(KCN)
    assert read_pairs(private(path, json.dumps(other))) == (second,)


def test_repr_hides_the_secrets(tmp_path: Path) -> None:
    (found,) = read_pairs(private(tmp_path / "keys", json.dumps(pair())))
    assert KCN not in repr(found) and repr(bytes.fromhex(KCN)) not in repr(found)


@pytest.mark.parametrize(
    "document",
    [
        "{",
        '"' + KCN + '"',
        KCN,
        "[]",
        "[[]]",
        "[" * 100_000,
        "9" * 10_000,
        pair(extra=1),
        {KCN: 1},
        {key: value for key, value in pair().items() if key != "home_nonce"},
        pair(home_address="192.0.2.1"),
        pair(home_address=5),
        pair(correspondent=KCN),
        pair(home_nonce="00" * 7),
        pair(care_of_nonce="00" * 33),
        pair(keys=[]),
        pair(keys={}),
        pair(keys=[{"generation": 0, "kcn": KCN[:38]}]),
        pair(keys=[{"generation": 0, "kcn": KCN + "zz"}]),
        pair(keys=[{"generation": -1, "kcn": KCN}]),
        pair(keys=[{"generation": True, "kcn": KCN}]),
        pair(keys=[{"generation": 0, "kcn": KCN}, {"generation": 0, "kcn": "ab" * 20}]),
        pair(keys=[{"generation": 0, "kcn": KCN}, {"generation": 1, "kcn": KCN}]),
        pair(keys=[{"generation": 0, "kcn": KCN}, {"generation": 1, "kcn": KCN + "00"}]),
        [pair(), pair()],
        [pair(), pair(home_address="2001:db8:a::2")],
    ],
    ids=range(26),
)
def test_pairs_are_refused(tmp_path: Path, document: Any) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    assert str(tmp_path) in refused(read_pairs, private(tmp_path / "keys", text))
