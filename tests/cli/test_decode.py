"""`roamkey decode`: its inputs, what it prints, its verdicts, and one line for what is damaged."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from json_output import checked
from mobility_samples import (
    CARE_OF,
    HOME,
    MOBILE_TO_PEER,
    OLD_KCN,
    PEER,
    PEER_TO_MOBILE,
    VECTORS,
    acknowledgement,
    enveloped,
    key_file,
    message_packet,
    one_of_each,
    radiotap,
    signed,
    update,
    vector,
    write_capture,
)
from support import edges
from support.decoding import document, run

from mip6 import messages, packets
from roamkey.errors import RoamkeyError

ETHERNET = bytes(12) + b"\x86\xdd"


def packet_of(octets: bytes, *arguments: str) -> dict[str, Any]:
    (found,) = document(octets.hex(), *arguments)["packets"]
    return dict(found)


def refused(*arguments: str, stdin: str | bytes = "") -> str:
    """The one line with which the command fails."""
    result = run(*arguments, stdin=stdin)
    assert isinstance(result.exception, RoamkeyError), (result.output, result.exception)
    assert result.exception.exit_code == 1
    line = str(result.exception)
    assert line and "\n" not in line
    return line


def capture_of(tmp_path: Path, frames: list[bytes], **how: Any) -> str:
    path = tmp_path / "capture"
    with path.open("wb") as file:
        write_capture(file, frames, **how)
    return str(path)


def keys_for(tmp_path: Path, document: Any) -> str:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return str(path)


# Inputs


def forms(octets: bytes) -> list[str]:
    text = octets.hex()
    pairs = [text[i : i + 2] for i in range(0, len(text), 2)]
    rows = [pairs[i : i + 16] for i in range(0, len(pairs), 16)]
    words = ["".join(pairs[i : i + 2]) for i in range(0, len(pairs), 2)]
    shown = "`abc 00ff beef cafe."  # a dump's characters may look like hexadecimal
    return [
        text,
        text.upper() + "\n\n",
        "0x" + text,
        " ".join("0x" + pair for pair in pairs),
        ":".join(pairs),
        " ".join(words),
        "\n".join(f"{i * 16:04x}  {' '.join(row):<47}   {shown}" for i, row in enumerate(rows)),
        "\n".join(
            f"{i * 16:08x}: {' '.join(words[8 * i : 8 * i + 8]):<39}  {shown}"
            for i in range(len(rows))
        ),
        "\n".join(
            f"{i * 16:08x}  {' '.join(row[:8])}  {' '.join(row[8:]):<23}  |{shown}|"
            for i, row in enumerate(rows)
        ),
        "\n".join(
            f"\t0x{i * 16:04x}:  {' '.join(words[8 * i : 8 * i + 8])}" for i in range(len(rows))
        ),
    ]


@pytest.mark.parametrize("form", range(10))
@pytest.mark.parametrize("framed", [False, True])
def test_hexadecimal_in_every_form(form: int, framed: bool) -> None:
    octets = vector("kcn32-static-bu")
    text = forms(ETHERNET + octets if framed else octets)[form]
    (found,) = document("-", stdin=text)["packets"]
    assert found == packet_of(octets)
    assert document(stdin=text + "\n" + text)["packets"][1] == {**found, "number": 2}


@pytest.mark.parametrize("next_generation", [False, True])
@pytest.mark.parametrize(
    "link, before",
    [
        (0, b"\x1e\x00\x00\x00"),
        (0, b"\x00\x00\x00\x0a"),
        (1, ETHERNET),
        (1, bytes(12) + b"\x81\x00\x00\x07\x86\xdd"),
        (1, bytes(12) + b"\x88\xa8\x00\x07\x81\x00\x00\x08\x86\xdd"),
        (101, b""),
        (228, b""),
        (229, b""),
        (113, bytes(14) + b"\x86\xdd"),
        (276, b"\x86\xdd" + bytes(18)),
    ],
)
def test_captures_of_every_link(
    tmp_path: Path, link: int, before: bytes, next_generation: bool
) -> None:
    frames = [before + vector("kcn32-static-bu"), before + vector("kcn32-static-ba")]
    path = capture_of(tmp_path, frames, link=link, next_generation=next_generation)
    found = document(path)
    update, answer = found["packets"]
    assert update["mobility"]["name"] == "Binding Update"
    assert (update["number"], update["since_first"]) == (1, 0.0)
    assert (answer["number"], answer["since_first"]) == (2, 0.125)
    assert update["time"] == pytest.approx(1_700_000_000.25)
    assert found["skipped"] == found["damaged"] == 0 and not found["truncated"]
    assert document(stdin=Path(path).read_bytes()) == found


def test_other_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    plain = packets.udp(PEER, CARE_OF, 53, 1053, b"data")
    dns = packets.ipv6_header(PEER, CARE_OF, packets.UDP, len(plain)) + plain
    frames = [ETHERNET + dns, bytes(12) + b"\x08\x00" + bytes(28), ETHERNET + vector("no-ack")]
    path = capture_of(tmp_path, frames, link=1)
    found = document(path)
    assert [p["number"] for p in found["packets"]] == [3] and found["skipped"] == 2
    assert "1 shown, 2 not of mobility skipped" in run(path).stdout
    everything = document("--all", path)
    assert [p["number"] for p in everything["packets"]] == [1, 3]
    assert everything["packets"][0]["udp"]["destination_port"] == 1053
    assert "home_address" not in everything["packets"][0]


def test_interfaces_of_two_link_types(tmp_path: Path) -> None:
    """A pcapng file from two devices, big-endian, one of them unsupported, and a simple block."""

    def block(kind: int, body: bytes) -> bytes:
        octets = 12 + len(body)
        return struct.pack(">II", kind, octets) + body + struct.pack(">I", octets)

    def described(link: int, options: bytes = b"") -> bytes:
        return block(1, struct.pack(">HHI", link, 0, 0) + options)

    def packet(interface: int, time: int, octets: bytes) -> bytes:
        head = struct.pack(">IIIII", interface, time >> 32, time & 0xFFFFFFFF, *[len(octets)] * 2)
        return block(6, head + octets)

    octets = vector("no-ack")
    nanoseconds = struct.pack(">HHB3xHH", 9, 1, 9, 0, 0)
    capture = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    capture += described(229) + described(147) + described(101, nanoseconds)
    capture += packet(0, 5_000_000, octets) + packet(1, 0, octets) + packet(2, 6 * 10**9, octets)
    capture += block(3, struct.pack(">I", len(octets)) + octets)
    path = tmp_path / "mixed.pcapng"
    path.write_bytes(capture)
    found = document(str(path))
    assert [p["number"] for p in found["packets"]] == [1, 3, 4]
    assert [p.get("time") for p in found["packets"]] == [5.0, 6.0, None]
    assert found["unsupported_link_types"] == [147]
    assert "link type 147 skipped" in run(str(path)).stdout


# What is printed


def test_a_technician_reads_it_at_80_columns() -> None:
    text = "\n".join(packet.hex() for packet in one_of_each())
    result = run(stdin=text)
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    for wanted in (
        "Packet 1: Binding Update",
        "  source          2001:db8:1:0:5054:ff:fe12:3456  care-of address",
        "  destination     2001:db8:c::2  correspondent",
        "  sequence        5",
        "  flags           A (acknowledge)",
        "  lifetime        420 s (7 min)",
        "  lifetime        0 s: deletes the binding",
        "  status          0 accepted",
        "  status          135 sequence number out of window",
        "  status          1 unknown binding for the Home Address option",
        "                  Nonce Indices: home 3, care-of 4",
        "  authenticator   not checked",
        "  authenticator   absent: the message isn't signed",
        "  UDP             port 40001 to port 40000, 6 octets of data",
        "  home cookie     81636f6f6b696531",
    ):
        assert wanted in lines, wanted
    assert sum(line.endswith(" right") for line in lines) == len(one_of_each())


@pytest.mark.parametrize("status", [*range(2), *range(128, 140), 174, 77, 200])
def test_every_status_has_a_name_and_a_way_on(status: int) -> None:
    facts = packet_of(message_packet(acknowledgement(status=status), PEER_TO_MOBILE))
    assert facts["mobility"]["status_name"]
    assert status == 0 or facts["mobility"]["advice"]


def test_who_is_who() -> None:
    facts = packet_of(vector("kcn32-static-ba"))
    assert facts["meaning"] == {"source": "correspondent", "destination": "care-of address"}
    assert facts["routing_header"] == {"address": "2001:db8:a::121", "segments_left": 1}
    assert facts["home_address"] == "2001:db8:a::121"
    assert facts["care_of_address"] == "2001:db8:b::101"
    assert facts["correspondent"] == "2001:db8:c::2"
    assert packet_of(vector("dereg-from-home"))["meaning"]["source"] == "home address"


def test_a_wrong_checksum_shows_the_right_one() -> None:
    octets = bytearray(vector("no-ack"))
    octets[69] ^= 1
    facts = packet_of(octets)
    right = vector("no-ack")[68:70].hex()
    assert facts["checksum"]["verdict"] == "wrong"
    assert facts["checksum"]["expected"] == f"0x{right}"
    assert f"wrong, 0x{right} expected" in run(octets.hex()).stdout


def test_an_unknown_message_type_is_no_damage() -> None:
    octets = bytearray(message_packet(messages.Message(0), PEER_TO_MOBILE))
    octets[66] = 13
    facts = packet_of(octets)
    assert facts["mobility"]["name"] == "unknown message type 13" and "damaged" not in facts


def test_icmpv6_errors_about_mobility() -> None:
    cited = vector("kcn32-static-bu")
    body = bytes((4, 2, 0, 0, 0, 0, 0, 44)) + cited
    octets = packets.ipv6_header(PEER, CARE_OF, packets.ICMPV6, len(body)) + body
    facts = packet_of(octets)
    assert facts["icmpv6"]["name"] == "Parameter Problem, unrecognized option"
    assert facts["icmpv6"]["pointer"] == 44
    assert facts["icmpv6"]["about"]["destination"] == "2001:db8:c::2"
    assert "no harm" in run(octets.hex()).stdout


def test_one_of_each_is_as_the_schema_says(tmp_path: Path) -> None:
    path = capture_of(tmp_path, one_of_each())
    found = document(path, "--keys", keys_for(tmp_path, key_file()))
    kinds = {facts["mobility"]["type"] for facts in found["packets"] if "mobility" in facts}
    assert kinds == set(range(8))


# Authenticators


def test_every_vector_is_right_with_its_key(tmp_path: Path) -> None:
    for v in VECTORS:
        keys = keys_for(tmp_path, key_file([v], own=False))
        facts = packet_of(bytes.fromhex(v["packet"]), "--keys", keys)
        form = "binding" if v["kbm_used"] == v["kbm_both_tokens"] else "deletion"
        assert facts["authenticator"] == {
            "verdict": "right",
            "generation": 0,
            "kbm": form,
            "by": "static key",
        }


def verdict(tmp_path: Path, octets: bytes) -> dict[str, Any]:
    return dict(packet_of(octets, "--keys", keys_for(tmp_path, key_file()))["authenticator"])


def test_the_generation_that_signed(tmp_path: Path) -> None:
    new = verdict(tmp_path, signed(update(), MOBILE_TO_PEER))
    assert new == {"verdict": "right", "generation": 7, "kbm": "binding", "by": "static key"}
    old = signed(acknowledgement(), PEER_TO_MOBILE, OLD_KCN)
    assert verdict(tmp_path, old)["generation"] == 6
    shown = run(old.hex(), "--keys", keys_for(tmp_path, key_file())).stdout
    assert "right (generation 6, Kbm of a binding)" in shown


def test_an_alternate_care_of_address_counts(tmp_path: Path) -> None:
    other = bytes(15) + b"\x07"
    options = [(messages.ALTERNATE_CARE_OF_ADDRESS, other)]
    right = signed(update(options=options), MOBILE_TO_PEER, care_of=other)
    assert verdict(tmp_path, right)["verdict"] == "right"
    assert packet_of(right)["care_of_address"] == "::7"
    assert "::7  care-of address" in run(right.hex()).stdout
    wrong = signed(update(options=options), MOBILE_TO_PEER)
    assert verdict(tmp_path, wrong)["verdict"] == "wrong"


def test_the_wrong_form_of_kbm_is_wrong(tmp_path: Path) -> None:
    octets = signed(update(), MOBILE_TO_PEER, deletion=True)
    found = verdict(tmp_path, octets)
    assert found["verdict"] == "wrong" and found["generation"] == 7
    assert found["note"] == "made with the Kbm of a deletion, where that of a binding is due"
    octets = signed(update(lifetime=0), MOBILE_TO_PEER)
    assert "where that of a deletion is due" in verdict(tmp_path, octets)["note"]


def test_other_verdicts(tmp_path: Path) -> None:
    good = bytearray(signed(update(), MOBILE_TO_PEER))
    good[-1] ^= 1
    assert verdict(tmp_path, bytes(good)) == {"verdict": "wrong"}
    strange = signed(update(), MOBILE_TO_PEER, b"a key of somebody else's")
    assert verdict(tmp_path, strange) == {"verdict": "wrong"}
    assert verdict(tmp_path, vector("kcn32-static-bu")) == {"verdict": "no key for this pair"}
    assert verdict(tmp_path, message_packet(update(), MOBILE_TO_PEER)) == {"verdict": "absent"}
    assert packet_of(good)["authenticator"] == {"verdict": "not checked"}
    after = [(messages.BINDING_AUTHORIZATION_DATA, bytes(12)), (99, b"after it")]
    found = verdict(tmp_path, message_packet(update(options=after), MOBILE_TO_PEER))
    assert found["verdict"] == "wrong" and "last" in found["note"]
    short = [(messages.BINDING_AUTHORIZATION_DATA, bytes(4))]
    found = verdict(tmp_path, message_packet(update(options=short), MOBILE_TO_PEER))
    assert found["verdict"] == "wrong"


def test_keys_are_never_shown(tmp_path: Path) -> None:
    keys = keys_for(tmp_path, key_file())
    for octets in one_of_each():
        for arguments in ((), ("--json",)):
            shown = run(octets.hex(), "--keys", keys, *arguments).output
            for secret in (key["kcn"] for key in key_file()[0]["keys"]):
                assert secret not in shown


def test_key_files_that_are_refused(tmp_path: Path) -> None:
    octets = vector("no-ack").hex()
    keys = keys_for(tmp_path, key_file())
    Path(keys).chmod(0o644)
    assert "0644" in refused(octets, "--keys", keys)
    assert "No such file" in refused(octets, "--keys", str(tmp_path / "absent"))
    assert run("-", "--keys", "-").exit_code == 2


# Damage


@pytest.mark.parametrize(
    "source, line",
    [
        ("60", "packet shorter than an IPv6 header"),
        ("6", "line 1: an odd number of hexadecimal digits (1)"),
        ("5500" + "00" * 60, "not an IPv6 packet"),
        ("4500" + "00" * 60, "impossible lengths in an IPv4 header"),
        ("4500" + "00" * 12, "packet shorter than an IPv4 header"),
        ("4f000040" + "00" * 20, "packet shorter than its IPv4 header"),
        ("no hex", "'no hex': no such file, and not hexadecimal"),
        (" ", "no packet given"),
        ("a\0b", "no such file"),
        ("60" * 3000, "packet shorter than its payload length"),
    ],
)
def test_damaged_hexadecimal(source: str, line: str) -> None:
    assert line in refused(source)
    assert run(source).stdout == ""
    assert run("--json", source).stdout == ""


def test_damaged_stdin() -> None:
    assert refused() == "stdin: no packet given"
    assert "line 1" in refused(stdin="zz")
    assert refused(stdin=b"\xff\xfe")


def test_every_truncation_of_a_packet_is_one_line() -> None:
    octets = vector("kcn32-static-bu")
    for end in range(1, len(octets)):
        assert refused(octets[:end].hex())


def test_one_damaged_packet_among_several() -> None:
    good = vector("no-ack").hex()
    result = run("--json", stdin=f"{good}\n{good[:-2]}\n{good}")
    assert isinstance(result.exception, RoamkeyError)
    assert str(result.exception).endswith("packet 2: packet shorter than its payload length")
    found = checked("decode", result.stdout)
    assert found["damaged"] == 1 and found["packets"][1]["damaged"]["reason"] == "truncated"
    assert "mobility" in found["packets"][2]


def test_damaged_packets_of_a_capture_are_listed(tmp_path: Path) -> None:
    good = vector("no-ack")
    bad_option = bytearray(good)
    bad_option[77] = 200
    path = capture_of(tmp_path, [good, good[:50], bytes(bad_option), good])
    found = document(path)
    assert found["damaged"] == 2 and len(found["packets"]) == 4
    assert found["packets"][1]["damaged"]["reason"] == "truncated"
    assert found["packets"][2]["damaged"]["reason"] == "option"
    assert found["packets"][2]["home_address_option"] == "2001:db8:a::100"
    shown = run(path)
    assert shown.exit_code == 0
    assert "damaged         packet shorter than its payload length" in shown.stdout
    assert "damaged         mobility option runs past the message" in shown.stdout


def test_packets_cut_when_captured_say_so(tmp_path: Path) -> None:
    path = Path(capture_of(tmp_path, [vector("no-ack")[:64]]))
    content = bytearray(path.read_bytes())
    content[24 + 12 : 24 + 16] = (96).to_bytes(4, "little")
    path.write_bytes(content)
    (found,) = document(str(path))["packets"]
    assert found["damaged"]["text"].endswith("(the capture kept 64 of 96 octets)")


@pytest.mark.parametrize("next_generation", [False, True])
def test_every_truncation_of_a_capture_is_one_line(tmp_path: Path, next_generation: bool) -> None:
    path = Path(
        capture_of(tmp_path, [vector("no-ack"), vector("no-ack")], next_generation=next_generation)
    )
    content = path.read_bytes()
    # Between records a shortened file is a shorter capture.
    whole = {24, 24 + 16 + 96} if not next_generation else {28, 48, 48 + 32 + 96}
    for end in range(len(content)):
        path.write_bytes(content[:end])
        if end in whole:
            assert run(str(path)).exit_code == 0
        elif end >= 4:
            line = refused(str(path))
            assert line == f"{path}: the capture file ends in the midst of a packet"
        else:
            assert "not a pcap" in refused(str(path))


def test_a_capture_that_ends_early_still_gives_what_it_has(tmp_path: Path) -> None:
    path = Path(capture_of(tmp_path, [vector("no-ack"), vector("no-ack")]))
    path.write_bytes(path.read_bytes()[:-1])
    result = run("--json", str(path))
    found = checked("decode", result.stdout)
    assert found["truncated"] and len(found["packets"]) == 1
    assert isinstance(result.exception, RoamkeyError)


def test_files_that_are_no_captures(tmp_path: Path) -> None:
    other = tmp_path / "other"
    for content in (b"", b"\xd4\xc3", b"plain text", vector("no-ack").hex().encode()):
        other.write_bytes(content)
        assert refused(str(other)) == f"{other}: not a pcap or pcapng file"
        assert run("--json", str(other)).stdout == ""
    assert "Is a directory" in refused(str(tmp_path))
    path = capture_of(tmp_path, [b"frame"], link=147)
    assert "link type 147" in refused(path)


def test_data_of_a_damaged_datagram() -> None:
    datagram = bytearray(packets.udp(HOME, PEER, 1, 2, b"data"))
    datagram[5] += 1
    assert "UDP length 13" in refused(
        enveloped(packets.UDP, bytes(datagram), MOBILE_TO_PEER).hex()
    )


# What is there of a packet that isn't whole

CUT = (
    "6000000000383c4020010db800010000000000000000001020010db8000c0000000000000000000287020102"
    "0000c91020010db8000a000000000000000000013b0305005d4a0007000000690104"
)
FRAGMENT = (
    "6000000000283c4020010db800010000000000000000001020010db8000c000000000000000000022c020102"
    "0000c91020010db8000a0000000000000000000111000001000000011388138904b80001"
)
UNKNOWN = (
    "600000000010874020010db800010000000000000000001020010db8000c000000000000000000023b010b00"
    "b52d00002a2a2a2a2a2a2a2a"
)


def cut_capture(tmp_path: Path, octets: bytes, whole: int) -> str:
    """A capture of one frame whose end wasn't kept."""
    path = Path(capture_of(tmp_path, [octets]))
    content = bytearray(path.read_bytes())
    content[24 + 12 : 24 + 16] = whole.to_bytes(4, "little")
    path.write_bytes(content)
    return str(path)


def test_a_cut_packet_shows_what_is_there(tmp_path: Path) -> None:
    octets = bytes.fromhex(CUT)
    path = cut_capture(tmp_path, octets, 96)
    found = document(path)
    (facts,) = found["packets"]
    assert (facts["source"], facts["destination"]) == ("2001:db8:1::10", "2001:db8:c::2")
    assert facts["home_address"] == facts["home_address_option"] == "2001:db8:a::1"
    assert facts["correspondent"] == "2001:db8:c::2" and "care_of_address" not in facts
    mobility = facts["mobility"]
    assert (mobility["type"], mobility["sequence"], mobility["lifetime_s"]) == (5, 7, 420)
    assert facts["checksum"] == {"value": "0x5d4a", "verdict": "not checkable"}
    assert facts["damaged"]["text"].endswith("(the capture kept 78 of 96 octets)")
    assert found["damaged"] == 1 and found["skipped"] == 0
    shown = run(path).stdout
    assert "sequence        7" in shown and "0x5d4a not checkable" in shown
    # As hexadecimal the same is shown, and the failure said.
    result = run("--json", CUT)
    assert "payload length" in str(result.exception)
    (alone,) = checked("decode", result.stdout)["packets"]
    assert alone["mobility"] == mobility


@pytest.mark.parametrize("name", ["altcoa-nonce", "kcn32-static-ba", "kcn32-static-bu"])
def test_a_packet_cut_anywhere_says_nothing_that_the_whole_does_not(
    tmp_path: Path, name: str
) -> None:
    octets = vector(name)
    whole = packet_of(octets)
    for end in range(1, len(octets)):
        found = document(cut_capture(tmp_path, octets[:end], len(octets)))
        assert found["damaged"] == 1
        facts = found["packets"][0]
        for key in facts.keys() & {"source", "destination", "home_address", "correspondent"}:
            assert facts[key] == whole[key]
        assert (
            "care_of_address" not in facts or facts["care_of_address"] == whole["care_of_address"]
        )
        mobility = facts.get("mobility", {})
        options = mobility.pop("options", [])
        assert options == whole["mobility"]["options"][: len(options)]
        assert mobility.items() <= whole["mobility"].items()
        assert facts.get("checksum", {}).get("verdict", "not checkable") == "not checkable"


def test_an_ordinary_packet_that_was_cut_is_skipped(tmp_path: Path) -> None:
    datagram = packets.udp(PEER, CARE_OF, 53, 1053, bytes(200))
    octets = packets.ipv6_header(PEER, CARE_OF, packets.UDP, len(datagram)) + datagram
    for end in (45, 60, 100):
        path = cut_capture(tmp_path, octets[:end], len(octets))
        found = document(path)
        assert (found["packets"], found["skipped"], found["damaged"]) == ([], 1, 0)
        assert document("--all", path)["damaged"] == 1
    # Shorter than it says although the capture kept all: that is damage.
    assert document(capture_of(tmp_path, [octets[:100]]))["damaged"] == 1


def test_fragments_behind_mobility_headers_are_shown(tmp_path: Path) -> None:
    octets = bytes.fromhex(FRAGMENT)
    facts = packet_of(octets)
    assert facts["home_address"] == "2001:db8:a::1" and "damaged" not in facts
    assert facts["fragment"] == {
        "offset": 0, "more": True, "identification": 1, "protocol": 17, "protocol_name": "UDP",
    }  # fmt: skip
    path = capture_of(tmp_path, [octets, octets[:40] + octets[64:]])
    content = bytearray(Path(path).read_bytes())
    second = 24 + 16 + len(octets) + 16
    content[second + 4 : second + 7] = b"\0\x10\x2c"  # an ordinary one, without the option
    Path(path).write_bytes(content)
    found = document(path)
    assert (len(found["packets"]), found["skipped"], found["damaged"]) == (1, 1, 0)
    assert "of UDP, number 00000001, from octet 0 on, more follow" in run(path).stdout
    later = bytearray(octets)
    later[66:68] = b"\x05\xc8"
    assert packet_of(bytes(later))["fragment"]["offset"] == 1480
    assert not packet_of(bytes(later))["fragment"]["more"]


def test_who_is_who_is_said_only_where_the_message_tells() -> None:
    facts = packet_of(bytes.fromhex(UNKNOWN))
    assert facts["mobility"]["type"] == 11
    for name in ("meaning", "correspondent", "home_address", "care_of_address"):
        assert name not in facts


def test_a_damaged_option_leaves_the_fixed_part(tmp_path: Path) -> None:
    octets = bytearray(vector("altcoa-nonce"))
    whole = packet_of(bytes(octets))["mobility"]
    at = bytes(octets).index(bytes((messages.BINDING_AUTHORIZATION_DATA, 12)))
    octets[at + 1] = 200
    (facts,) = document(capture_of(tmp_path, [bytes(octets)]))["packets"]
    assert facts["damaged"]["reason"] == "option"
    assert facts["mobility"] == {**whole, "options": whole["options"][:-1]}
    assert facts["authenticator"]["verdict"] == "not checked"


# Captures that are long, or strange


def test_wifi_in_monitor_mode(tmp_path: Path) -> None:
    octets = vector("kcn32-static-bu")
    beacon = radiotap(b"")[:25] + b"\x80\x00" + bytes(40)
    frames = [
        radiotap(octets), radiotap(octets, qos=True), radiotap(octets, qos=True, padded=True),
        radiotap(octets, secret=True), beacon, b"", radiotap(octets)[:30],
    ]  # fmt: skip
    path = capture_of(tmp_path, frames, link=127)
    found = document(path)
    assert [facts["number"] for facts in found["packets"]] == [1, 2, 3]
    assert (found["skipped"], found["encrypted"]) == (4, 1)
    assert "1 of these are encrypted (Wi-Fi)" in run(path).stdout
    plain = [frame[25:] for frame in (frames[0], frames[1])]
    assert len(document(capture_of(tmp_path, plain, link=105))["packets"]) == 2
    secret = capture_of(tmp_path, [radiotap(octets, secret=True)], link=127)
    assert "every frame of data is encrypted (Wi-Fi)" in refused(secret)


def block(kind: int, body: bytes) -> bytes:
    octets = 12 + len(body)
    return struct.pack(">II", kind, octets) + body + struct.pack(">I", octets)


@pytest.mark.parametrize(
    "options",
    [
        struct.pack(">HHQ", 14, 8, 1 << 62),
        struct.pack(">HH64s", 14, 64, b"\x7f" * 64),
        struct.pack(">HH", 14, 0),
        struct.pack(">HH", 9, 0),
        struct.pack(">HHB3x", 9, 1, 0x7F),
        struct.pack(">HHB3x", 9, 1, 0xFF),
        struct.pack(">HH8s", 9, 8, b"\x06" * 8),
    ],
)
def test_clocks_of_pcapng_that_make_no_sense(tmp_path: Path, options: bytes) -> None:
    octets = vector("no-ack")
    capture = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    capture += block(1, struct.pack(">HHI", 229, 0, 0) + options)
    capture += block(6, struct.pack(">IIIII", 0, 7, 7, len(octets), len(octets)) + octets)
    path = tmp_path / "strange.pcapng"
    path.write_bytes(capture)
    for arguments in ((), ("--json",)):
        result = run(*arguments, str(path))
        assert result.exit_code == 0 or isinstance(result.exception, RoamkeyError)
        if arguments and result.stdout:
            checked("decode", result.stdout)


def test_too_many_interfaces_are_damage(tmp_path: Path) -> None:
    capture = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    capture += 5000 * block(1, struct.pack(">HHI", 229, 0, 0))
    (tmp_path / "many.pcapng").write_bytes(capture)
    assert "damaged capture file" in refused(str(tmp_path / "many.pcapng"))


def test_the_first_bad_line_ends_hexadecimal_and_the_document_is_whole() -> None:
    good = vector("no-ack").hex()
    result = run("--json", stdin=f"{good}\n{good}\nno hexadecimal\n{good}\n")
    assert str(result.exception) == "stdin: line 3: not hexadecimal"
    assert len(checked("decode", result.stdout)["packets"]) == 2
    result = run("--json", stdin=f"{good[:-2]}\nzz\n")
    assert str(result.exception) == "stdin: line 2: not hexadecimal"


def test_lines_and_dumps_have_an_end() -> None:
    assert "line 1: longer than any packet" in refused(stdin="60" * 300_000)
    rows = (f"{16 * at:06x}: {'60' * 16}\n" for at in range(5_000))
    assert "a packet of more than" in refused(stdin="".join(rows))


@pytest.mark.parametrize("form", ["pcap", "text"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_long_input_takes_no_more_memory(tmp_path: Path, form: str, as_json: bool) -> None:
    """Ten times as much, and the same but for a few megabytes."""
    peaks = []
    for times in (20, 200):
        path = tmp_path / "long"
        if form == "pcap":
            with path.open("wb") as file:
                write_capture(file, times * one_of_each())
        else:
            path.write_text(times * "".join(f"{one.hex()}\n" for one in one_of_each()))
        peaks.append(edges.decode(path, form == "text", as_json)[0])
    assert peaks[1] < peaks[0] + 8_192, peaks
