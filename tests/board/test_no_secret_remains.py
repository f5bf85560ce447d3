"""After a board's whole life, no Kcn is found in anything but the registry: flash, lines, outputs.

What `tests/conftest.py` searches after each test is what that test wrote; this one looks at all
that the commands and the board said, and at the flash after `erase`.
"""

import base64
import os
import random

import secrets_search
import serial

from roamkey.registry import Registry

ADDRESSES = ("--home-address", "2001:db8:a::1", "--correspondent", "2001:db8:c::2")


def test_the_search_finds_what_is_there() -> None:
    drawn = random.Random(7)
    secret = bytes(drawn.sample(range(256), 32))  # no octet twice, so that a gap is a gap
    noise = drawn.randbytes(7)
    for text in (
        secret,
        secret[:16],
        secret[16:].hex().encode(),
        secret.hex().upper().encode(),
        repr(secret).encode(),
        *(base64.b64encode(noise[:n] + secret + noise) for n in range(7)),
        base64.urlsafe_b64encode(secret),
    ):
        assert secrets_search.found_in(noise + text + noise, [secret]) == 1, text
    assert secrets_search.found_in(noise + secret[:15] + secret[17:], [secret]) == 0


def test_a_whole_life(virtual, roamkey, tmp_path, monkeypatch) -> None:
    heard, read = [], serial.Serial.read
    said: list[str] = []

    def listening(self, size=1):
        octets = read(self, size)
        heard.append(octets)
        return octets

    def run(*words, code=0):
        found, out, error = roamkey(*words)
        said.append(out + error)
        assert found == code, out + error

    monkeypatch.setattr(serial.Serial, "read", listening)
    kcn = os.urandom(32)
    kcn_file, secret = tmp_path / "kcn", tmp_path / "secret"
    for path, text in ((kcn_file, kcn.hex()), (secret, "a long passphrase")):
        path.write_text(text)
        path.chmod(0o600)
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    run("provision", *both, *ADDRESSES, "--kcn-file", kcn_file)
    run("provision", *both, *ADDRESSES, "--kcn-file", kcn_file, "--replace", code=4)
    run("provision", *both, *ADDRESSES, "--generations", 3, "--replace")
    run("status", *both[:2])
    run("status", *both[:2], "--json")
    run("rekey", *both, "--generations", 2, "--json")
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        (pair,) = registry.pairs_for_correspondent(bytes.fromhex("20010db8000c" + "0" * 19 + "2"))
        live = [key.kcn for key in pair.keys]
        assert "kcn" not in repr(pair)
    export = ("export", tmp_path / "out", "--correspondent", "2001:db8:c::2")
    run(*export, "--file-passphrase", secret, *both[2:])
    for target in range(2):
        there = ("--registry", tmp_path / f"there{target}.sqlite")
        run("import", tmp_path / "out", "--file-passphrase", secret, *there)
    run("seal", *both)
    run("rekey", *both, code=4)
    run("unseal", *both)
    held = tmp_path / "held.img"
    virtual.snapshot(held)
    run("erase", *both, "--yes")
    virtual.power_cut()
    made = {*secrets_search.kcns, *live, kcn}
    assert len(live) == 2 and len(made) >= 6
    assert secrets_search.found_in(held.read_bytes(), live) == 2  # the search works here
    assert secrets_search.found_in(virtual.image.read_bytes(), made) == 0
    line = b"".join(heard)
    assert len(line) > 3000 and secrets_search.found_in(line, made) == 0
    assert secrets_search.found_in("".join(said).encode(), made) == 0
    assert secrets_search.found_in((tmp_path / "out").read_bytes(), made) == 0
