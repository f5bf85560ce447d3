"""`roamkey decode` of packets inside UDP: every link, both ways, authenticity, what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from encapsulated_samples import DATAGRAMS, ENCAPSULATED, keys_of, outer_ipv4, sample
from json_output import checked
from mobility_samples import write_capture
from support.decoding import document, run


def one(octets: bytes, *arguments: str) -> dict[str, Any]:
    """The facts of a packet whose damage, if any, is part of what is expected."""
    result = run("--json", *arguments, "-", stdin=octets.hex())
    (found,) = checked("decode", result.stdout)["packets"]
    return dict(found)


def key_file(tmp_path: Path) -> str:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(keys_of()))
    path.chmod(0o600)
    return str(path)


def capture_of(tmp_path: Path, frames: list[bytes], link: int, **how: Any) -> str:
    path = tmp_path / "capture"
    with path.open("wb") as file:
        write_capture(file, frames, link=link, **how)
    return str(path)


ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}
SNAP = bytes.fromhex("aaaa03000000")


@pytest.mark.parametrize("next_generation", [False, True])
@pytest.mark.parametrize(
    "link, before",
    [
        (0, lambda version: b"\x02\0\0\0" if version == 4 else b"\x1e\0\0\0"),
        (1, lambda version: bytes(12) + ETHERTYPE[version]),
        (1, lambda version: bytes(12) + b"\x81\0\0\7" + ETHERTYPE[version]),
        (101, lambda version: b""),
        (105, lambda version: b"\x08\x01" + bytes(22) + SNAP + ETHERTYPE[version]),
        (113, lambda version: bytes(14) + ETHERTYPE[version]),
        (276, lambda version: ETHERTYPE[version] + bytes(18)),
    ],
)
def test_captures_of_every_link(
    tmp_path: Path, link: int, before: Any, next_generation: bool
) -> None:
    frames = [before(octets[0] >> 4) + octets for octets in DATAGRAMS]
    path = capture_of(tmp_path, frames, link, next_generation=next_generation)
    found = document("--keys", key_file(tmp_path), path)
    assert len(found["packets"]) == len(ENCAPSULATED) and found["skipped"] == 0
    for v, facts in zip(ENCAPSULATED, found["packets"], strict=True):
        outer = facts["encapsulation"]
        assert outer["way"] == v["way"] and outer["checksum"]["verdict"] == "right"
        assert {key: outer[key] for key in v["outer"]} == v["outer"]
        home, peer = ("destination", "source")[:: 1 if v["direction"] == "to_node" else -1]
        assert (facts[home], facts[peer]) == (v["hoa"], v["cn"])
        assert facts["home_address"] == v["hoa"] and facts["correspondent"] == v["cn"]
        assert facts["octets"] == len(v["packet"]) // 2
        if "authenticator" in v:
            assert facts["authenticator"]["verdict"] == "right", v["name"]
            assert facts["care_of_address"] == v["coa"]


def test_padding_of_ethernet_and_of_hexadecimal_is_no_part_of_it(tmp_path: Path) -> None:
    frame = bytes(12) + b"\x08\x00" + sample("udp4-nat-bu") + bytes(9)
    assert one(frame) == one(sample("udp4-nat-bu"))


def test_a_technician_reads_it_at_80_columns() -> None:
    result = run(stdin="\n".join(octets.hex() for octets in DATAGRAMS))
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    for wanted in (
        "Packet 1: Binding Update inside UDP",
        "  way             udp4",
        "  from            198.51.100.7, port 61234",
        "  to              203.0.113.5, port 4191",
        "  source          fd00:4191::100  home address",
        "  registers       192.168.1.23  care-of address",
        "  flags           A (acknowledge), F (UDP encapsulation)",
        "  options         IPv4 Care-of Address: 192.168.1.23",
        "  options         NAT Detection: a keepalive each 25 s",
        "  options         NAT Detection: no time suggested",
        "  options         NAT Detection: no keepalives needed",
        "Packet 13: keepalive inside UDP",
        "Packet 15: UDP inside UDP",
        "Packet 18: Binding Error inside UDP",
        "Packet 20: Binding Refresh Request inside UDP",
    ):
        assert wanted in lines, wanted


def test_an_answer_alone_behind_a_nat_says_what_is_missing(tmp_path: Path) -> None:
    keys = key_file(tmp_path)
    alone = one(sample("udp4-nat-ba"), "--keys", keys)
    assert alone["authenticator"]["verdict"] == "not checked"
    assert "stands in the update" in alone["authenticator"]["note"]
    assert "care_of_address" not in alone
    known = one(sample("udp4-public-ba"), "--keys", keys)  # no NAT: the outer address is it
    assert known["authenticator"]["verdict"] == "right"
    assert known["care_of_address"] == "198.51.100.9"
    damaged = bytearray(sample("udp4-public-ba"))
    damaged[-1] ^= 1
    assert one(bytes(damaged), "--keys", keys)["authenticator"]["verdict"] == "wrong"


def test_a_forged_answer_behind_a_nat_is_wrong_once_its_update_was_seen(tmp_path: Path) -> None:
    forged = bytearray(sample("udp4-nat-ba"))
    forged[-1] ^= 1
    text = "\n".join(octets.hex() for octets in (sample("udp4-nat-bu"), forged))
    found = document("--keys", key_file(tmp_path), stdin=text)["packets"]
    assert [facts["authenticator"]["verdict"] for facts in found] == ["right", "wrong"]


def test_the_inner_packet_alone(tmp_path: Path) -> None:
    inner = bytes.fromhex(next(v["packet"] for v in ENCAPSULATED if v["name"] == "udp4-nat-bu"))
    facts = one(inner, "--keys", key_file(tmp_path))
    assert "encapsulation" not in facts and facts["care_of_address"] == "192.168.1.23"
    assert facts["authenticator"]["verdict"] == "right"


def with_inner(change: Any) -> bytes:
    """The first vector with its inner packet changed, outer headers made right again."""
    inner = bytearray(bytes.fromhex(ENCAPSULATED[0]["packet"]))
    return outer_ipv4(bytes(change(inner) or inner))


def test_what_is_wrong_with_it_has_the_reason_under_which_it_is_dropped() -> None:
    def setting(at: int, value: int) -> Any:
        return lambda inner: inner.__setitem__(at, value)

    whole = sample("udp4-nat-bu")
    without = bytearray(whole)
    without[26:28] = b"\0\0"
    options = outer_ipv4(whole[28:], options=b"\x94\x04\0\0")
    for octets, reason in (
        (bytes(without), "udp checksum"),
        (options, "ip options"),
        (with_inner(setting(0, 0x45)), "version"),
        (with_inner(setting(7, 0)), "hop limit"),
        (with_inner(setting(6, 60)), "encapsulated"),
        (with_inner(lambda inner: inner + bytes(4)), "length"),
        (with_inner(lambda inner: inner[:30]), "truncated"),
        (with_inner(lambda inner: inner[:-4]), "truncated"),
    ):
        assert one(octets)["damaged"]["reason"] == reason
    assert one(options)["encapsulation"]["ip_options"] == 4
    assert one(options)["mobility"]["name"] == "Binding Update"
    assert "udp" not in one(with_inner(setting(0, 0x45)))


def test_a_wrong_outer_checksum_shows_the_right_one() -> None:
    octets = bytearray(sample("udp4-nat-bu"))
    right = octets[26:28].hex()
    octets[26] ^= 1
    checksum = one(bytes(octets))["encapsulation"]["checksum"]
    assert checksum["verdict"] == "wrong" and checksum["expected"] == f"0x{right}"


def test_fragments_are_named(tmp_path: Path) -> None:
    whole = sample("udp4-nat-bu")
    first = bytearray(whole[:20] + whole[20:84])
    first[2:4], first[4:8] = (84).to_bytes(2, "big"), b"\xab\xcd\x20\x00"
    rest = bytearray(whole[:20] + whole[84:])
    rest[2:4], rest[4:8] = len(rest).to_bytes(2, "big"), b"\xab\xcd\x00\x08"
    path = capture_of(tmp_path, [bytes(first), bytes(rest)], 101)
    begin, end = document("--all", path)["packets"]
    assert begin["encapsulation"]["fragment"] == {
        "offset": 0, "more": True, "identification": 0xABCD, "protocol": 17,
        "protocol_name": "UDP",
    }  # fmt: skip
    assert begin["encapsulation"]["checksum"]["verdict"] == "not checkable"
    assert begin["mobility"]["sequence"] == 7 and begin["checksum"]["verdict"] == "not checkable"
    assert end["fragment"]["offset"] == 64 and not end["fragment"]["more"]
    assert (end["source"], end["protocol_name"]) == ("198.51.100.7", "UDP")
    assert len(document(path)["packets"]) == 1


def test_other_ipv4_is_skipped_and_shown_on_request(tmp_path: Path) -> None:
    dns = outer_ipv4(b"anything", port=53)
    path = capture_of(tmp_path, [dns, sample("udp4-nat-bu"), b"\x45\0"], 101)
    found = document(path)
    assert [facts["number"] for facts in found["packets"]] == [2] and found["skipped"] == 2
    everything = document("--all", path)["packets"]
    assert everything[0]["destination"] == "203.0.113.5"
    assert everything[0]["protocol_name"] == "UDP"


def test_port_4191_of_an_application_over_the_optimized_route_is_its_own() -> None:
    from mobility_samples import HOME, MOBILE_TO_PEER, PEER, enveloped

    from mip6 import packets

    octets = enveloped(packets.UDP, packets.udp(HOME, PEER, 5000, 4191, b"mine"), MOBILE_TO_PEER)
    facts = one(octets)
    assert "encapsulation" not in facts and facts["udp"]["destination_port"] == 4191
    assert "damaged" not in facts


def test_every_truncation_is_read_without_a_crash(tmp_path: Path) -> None:
    whole = sample("udp4-nat-ba")
    frames = [whole[:end] for end in range(1, len(whole))]
    path = capture_of(tmp_path, frames, 101)
    found = document("--all", "--keys", key_file(tmp_path), path)
    assert len(found["packets"]) == len(frames)
    for facts in found["packets"]:
        assert facts.get("authenticator", {}).get("verdict") != "right"


def icmp_about(cited: bytes, kind: int, code: int) -> bytes:
    """An ICMP error from a router about a packet, made by scapy; it cites 28 octets."""
    from scapy.layers.inet import ICMP, IP

    return bytes(IP(src="192.0.2.1", dst="198.51.100.7") / ICMP(type=kind, code=code) / cited[:28])


def test_icmp_errors_about_it_are_explained(tmp_path: Path) -> None:
    from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6

    errors = [icmp_about(sample("udp4-nat-bu"), kind, code) for kind, code in
              ((3, 3), (3, 4), (3, 13), (3, 9), (11, 0))]  # fmt: skip
    six = IPv6(src="2001:db8::1", dst="2001:db8:b::101") / ICMPv6DestUnreach(code=4)
    errors.append(bytes(six / sample("udp6-bu")))
    others = [icmp_about(outer_ipv4(b"x", port=53), 3, 3), icmp_about(b"", 8, 0)]
    path = capture_of(tmp_path, errors + others, 101)
    found = document(path)
    assert len(found["packets"]) == len(errors) and found["skipped"] == len(others)
    for facts in found["packets"][:-1]:
        about = {"source": "198.51.100.7", "destination": "203.0.113.5"}
        assert facts["icmp"]["about"] == about and facts["icmp"]["advice"]
    assert found["packets"][-1]["icmpv6"]["about"]["destination"] == "2001:db8:c::5"
    printed = run(path).stdout
    assert "ICMP Destination Unreachable, port" in printed and "is the correspondent" in printed
    assert max(map(len, printed.splitlines())) <= 80
    everything = document("--all", path)["packets"]
    assert "about" not in everything[-2]["icmp"] and everything[-1]["icmp"]["type"] == 8
    refusal = run(icmp_about(b"", 3, 3)[:24].hex()).exception
    assert "packet ends inside an ICMP header" in str(refusal)
