"""`roamkey decode` of return routability, tunnels and home registrations."""

import json
from pathlib import Path
from typing import Any

from mobility_samples import write_capture
from routability_samples import ROUTABILITY, routability
from support.decoding import document, run

from mip6 import messages

RIGHT = {"verdict": "right", "by": "return routability"}


def read(tmp_path: Path, packets: list[bytes], *more: str) -> list[dict[str, Any]]:
    path = tmp_path / "capture.pcap"
    with path.open("wb") as file:
        write_capture(file, packets)
    return list(document(*more, str(path))["packets"])


def key_file(tmp_path: Path) -> str:
    """The MN-HA key of the vectors, as a registry would give it."""
    v = next(v for v in ROUTABILITY if "spi" in v)
    nonces = {"home_nonce": bytes(8).hex(), "care_of_nonce": bytes(8).hex()}
    path = tmp_path / "keys.json"
    keys = [{"generation": 0, "kcn": v["key"]}]
    path.write_text(
        json.dumps({"home_address": v["hoa"], "correspondent": v["peer"], **nonces, "keys": keys})
    )
    path.chmod(0o600)
    return str(path)


def test_updates_are_right_by_the_tokens_of_the_tests_that_a_capture_has(tmp_path: Path) -> None:
    names = ["hot-tunnelled", "cot", "cot-alternate", "rr-bu", "rr-ba", "rr-bu-alternate",
             "rr-ba-alternate", "rr-dereg-away",
             "rr-dereg-away-ba", "rr-dereg-home", "rr-dereg-home-ba"]  # fmt: skip
    found = read(tmp_path, [routability(name) for name in names])
    for name, facts in zip(names, found, strict=True):
        if name.startswith("rr"):
            assert facts["authenticator"] == RIGHT, name
            alternate = "2001:db8:b:1::7" in facts["care_of_address"]
            assert alternate == name.endswith("alternate")
        else:
            assert "authenticator" not in facts


def test_a_wrong_one_is_told_from_one_whose_tests_are_not_there(tmp_path: Path) -> None:
    good = routability("rr-bu")
    wrong = bytearray(good)
    wrong[-1] ^= 1
    header = messages.with_checksum(wrong[64:], good[48:64], good[24:40])
    forged = bytes(wrong[:64]) + header
    tests = [routability("hot"), routability("cot")]
    *_, facts = read(tmp_path, [*tests, forged])
    assert facts["authenticator"]["verdict"] == "wrong"
    for part in (tests[:1], tests[1:], []):
        *_, facts = read(tmp_path, [*part, good])
        assert facts["authenticator"] == {"verdict": "not checked"}
        *_, facts = read(tmp_path, [*part, good], "--keys", key_file(tmp_path))
        assert facts["authenticator"] == {"verdict": "no key for this pair"}
    damaged = bytearray(tests[0])
    damaged[-1] ^= 1  # a test with a wrong checksum is nobody's word
    *_, facts = read(tmp_path, [bytes(damaged), tests[1], good])
    assert facts["authenticator"] == {"verdict": "not checked"}


def test_home_registrations_are_right_by_the_key_and_no_other(tmp_path: Path) -> None:
    names = [v["name"] for v in ROUTABILITY if "spi" in v and "inside" not in v]
    found = read(tmp_path, [routability(name) for name in names], "--keys", key_file(tmp_path))
    for name, facts in zip(names, found, strict=True):
        right = {"verdict": "right", "generation": 0, "by": "MN-HA key"}
        assert facts["authenticator"] == right, name
        (option,) = [o for o in facts["mobility"]["options"] if o["type"] == 9]
        assert (option["name"], option["subtype"], option["spi"]) == (
            "Mobility Message Authentication", 1, 256,
        )  # fmt: skip
    damaged = bytearray(routability("home-bu"))
    damaged[-1] ^= 1
    (facts,) = read(tmp_path, [bytes(damaged)], "--keys", key_file(tmp_path))
    assert facts["authenticator"]["verdict"] == "wrong"


def test_what_is_in_a_tunnel_is_read_and_said_to_be(tmp_path: Path) -> None:
    (facts,) = read(tmp_path, [routability("hoti-tunnelled")])
    assert facts["tunnel"] == {
        "source": "2001:db8:b::101", "destination": "2001:db8:a::1", "hop_limit": 64, "octets": 96,
    }  # fmt: skip
    assert facts["meaning"] == {"source": "home address", "destination": "correspondent"}
    assert facts["checksum"]["verdict"] == "right"
    shown = run("-", stdin=routability("hoti-tunnelled").hex()).stdout
    assert "Home Test Init in a tunnel" in shown
    assert "2001:db8:b::101 to 2001:db8:a::1" in shown
    for end in range(41, 96):
        result = run("--json", "-", stdin=routability("hoti-tunnelled")[:end].hex())
        assert result.exit_code == 1 and result.exception.__class__.__name__ != "IndexError"


def test_people_are_told_who_signed(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    with path.open("wb") as file:
        write_capture(file, [routability(name) for name in ("hot", "cot", "rr-bu")])
    assert "right, by return routability" in run(str(path)).stdout
    with path.open("wb") as file:
        write_capture(file, [routability("home-bu")])
    shown = run("--keys", key_file(tmp_path), str(path)).stdout
    assert "right (generation 0, MN-HA key)" in shown
    assert "subtype 1, SPI 256" in shown
