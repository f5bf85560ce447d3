"""scapy and tshark read the same from the packets, and what `roamkey decode --json` prints."""

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from encapsulated_samples import DATAGRAMS, ENCAPSULATED
from mobility_samples import VECTORS, one_of_each, radiotap, write_capture
from routability_samples import ROUTABILITY
from typer.testing import CliRunner

from mip6 import messages, packets
from roamkey.decode.facts import describe
from roamkey.decode.reading import Reading

_TESTED = [v for v in ROUTABILITY if "inside" not in v]
PACKETS = [bytes.fromhex(v["packet"]) for v in (*VECTORS, *_TESTED)] + one_of_each()
IDS = [v["name"] for v in (*VECTORS, *_TESTED)]
IDS += [f"own-{i}" for i in range(len(one_of_each()))]

#: field of tshark -> path in the facts
SHARED = {
    "ipv6.src": ("source",),
    "ipv6.dst": ("destination",),
    "ipv6.hlim": ("hop_limit",),
    "ipv6.opt.mipv6.home_address": ("home_address_option",),
    "ipv6.routing.mipv6.home_address": ("routing_header", "address"),
    "ipv6.routing.segleft": ("routing_header", "segments_left"),
    "mip6.mhtype": ("mobility", "type"),
    "mip6.csum": ("checksum", "value"),
    "mip6.bu.seqnr": ("mobility", "sequence"),
    "mip6.ba.seqnr": ("mobility", "sequence"),
    "mip6.ba.status": ("mobility", "status"),
    "mip6.be.status": ("mobility", "status"),
    "mip6.be.haddr": ("mobility", "home_address"),
    "mip6.hot.nindex": ("mobility", "home_nonce_index"),
    "mip6.cot.nindex": ("mobility", "care_of_nonce_index"),
    "mip6.hoti.cookie": ("mobility", "home_init_cookie"),
    "mip6.hot.cookie": ("mobility", "home_init_cookie"),
    "mip6.coti.cookie": ("mobility", "care_of_init_cookie"),
    "mip6.cot.cookie": ("mobility", "care_of_init_cookie"),
    "udp.srcport": ("udp", "source_port"),
    "udp.dstport": ("udp", "destination_port"),
}
#: field of tshark -> (type of the option, its value in the facts)
OPTIONS = {
    "mip6.bra.interval": (messages.BINDING_REFRESH_ADVICE, "interval_s"),
    "mip6.acoa.acoa": (messages.ALTERNATE_CARE_OF_ADDRESS, "address"),
    "mip6.ni.hni": (messages.NONCE_INDICES, "home_nonce_index"),
    "mip6.ni.cni": (messages.NONCE_INDICES, "care_of_nonce_index"),
    "mip6.bad.auth": (messages.BINDING_AUTHORIZATION_DATA, "authenticator"),
    "mip6.auth.subtype": (messages.AUTHENTICATION, "subtype"),
    "mip6.auth.mobility_spi": (messages.AUTHENTICATION, "spi"),
    "mip6.auth.auth_data": (messages.AUTHENTICATION, "authenticator"),
}
FLAGS = {
    "A": "mip6.bu.a_flag",
    "H": "mip6.bu.h_flag",
    "L": "mip6.bu.l_flag",
    "K": "mip6.bu.k_flag",
}
OTHERS = ("mip6.hlen", "mip6.bu.lifetime", "mip6.ba.lifetime", "mip6.ba.k_flag", "frame.number",
          "frame.time_epoch", "_ws.malformed", "_ws.expert.message", "udp.checksum.status",
          "mip6.hot.token")  # fmt: skip


@pytest.fixture(scope="module")
def tshark() -> str:
    found = shutil.which("tshark")
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail("tshark is not installed, and CI is set")
    pytest.skip("tshark is not installed: these packets weren't compared with it")


def dissect(tshark: str, capture: Path) -> list[dict[str, str]]:
    """The fields of each packet of a capture, as tshark prints them."""
    fields = [*SHARED, *OPTIONS, *FLAGS.values(), *OTHERS]
    command = [tshark, "-r", str(capture), "-n", "-T", "fields", "-E", "separator=,"]
    command += ["-E", "quote=d", "-E", "occurrence=f", "-o", "udp.check_checksum:TRUE"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [dict(zip(fields, row, strict=True)) for row in csv.reader(io.StringIO(done.stdout))]


def malformed(fields: dict[str, str]) -> bool:
    """Whether tshark complains of the packet."""
    return bool(fields["_ws.malformed"]) or "past end" in fields["_ws.expert.message"]


def number(text: str) -> int:
    return int(text, 16 if text.startswith("0x") else 10)


def at_path(facts: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = facts
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def compare(ours: dict[str, Any], theirs: dict[str, str]) -> set[str]:
    """Assert that the two agree; return the fields that were compared."""
    compared = set()
    for field, path in SHARED.items():
        if not theirs[field]:
            continue
        value = at_path(ours, path)
        if isinstance(value, int):
            assert number(theirs[field]) == value, field
        elif "cookie" in field:
            assert number(theirs[field]) == int(value, 16), field
        else:
            assert theirs[field] == value, field
        compared.add(field)
    assert bool(theirs["ipv6.opt.mipv6.home_address"]) == ("home_address_option" in ours)
    assert bool(theirs["ipv6.routing.mipv6.home_address"]) == ("routing_header" in ours)
    assert bool(theirs["mip6.mhtype"]) == ("mobility" in ours)
    if "udp" in ours:
        assert theirs["udp.checksum.status"] in ("1", "Good")
    if "mobility" in ours:
        compared |= compare_message(ours["mobility"], theirs)
    return compared


def compare_message(mobility: dict[str, Any], theirs: dict[str, str]) -> set[str]:
    compared = set()
    assert 8 * (number(theirs["mip6.hlen"]) + 1) == mobility["octets"]
    for field in ("mip6.bu.lifetime", "mip6.ba.lifetime"):
        if theirs[field]:
            assert number(theirs[field]) * 4 == mobility["lifetime_s"]
            compared.add(field)
    if mobility["type"] == messages.BINDING_UPDATE:
        for letter, field in FLAGS.items():
            assert (theirs[field] in ("1", "True")) == (letter in mobility["flags"]), field
        compared |= set(FLAGS.values())
    # tshark calls the token of a Care-of Test by the name of the other one.
    token = mobility.get("home_keygen_token") or mobility.get("care_of_keygen_token")
    assert bool(theirs["mip6.hot.token"]) == bool(token)
    assert not token or number(theirs["mip6.hot.token"]) == int(token, 16)
    if mobility["type"] == messages.BINDING_ACKNOWLEDGEMENT:
        assert (theirs["mip6.ba.k_flag"] in ("1", "True")) == ("K" in mobility["flags"])
    for field, (kind, name) in OPTIONS.items():
        found = [option[name] for option in mobility["options"] if option["type"] == kind]
        assert bool(theirs[field]) == bool(found), field
        if not found:
            continue
        compared.add(field)
        if field == "mip6.bra.interval":
            assert number(theirs[field]) * 4 == found[0]
        elif isinstance(found[0], int):
            assert number(theirs[field]) == found[0]
        elif field == "mip6.auth.auth_data":  # tshark 4.0 stops two octets before its end
            read = theirs[field].replace(":", "")
            assert len(read) >= 20 and found[0].startswith(read)
        else:
            assert theirs[field].replace(":", "") == found[0].replace(":", "")
    return compared


@pytest.mark.parametrize("next_generation", [False, True], ids=["pcap", "pcapng"])
def test_decode_agrees_with_tshark(tshark: str, tmp_path: Path, next_generation: bool) -> None:
    import typer

    from roamkey.cli.decode import decode

    app = typer.Typer()
    app.command()(decode)
    capture = tmp_path / "all.pcap"
    with capture.open("wb") as file:
        write_capture(file, PACKETS, next_generation=next_generation)
    result = CliRunner().invoke(app, ["--json", str(capture)])
    assert result.exit_code == 0, result.output
    ours = json.loads(result.stdout)["packets"]
    theirs = dissect(tshark, capture)
    assert len(ours) == len(theirs) == len(PACKETS)
    compared: set[str] = set()
    for facts, fields in zip(ours, theirs, strict=True):
        assert not malformed(fields), fields
        assert facts["number"] == int(fields["frame.number"])
        assert abs(facts["time"] - float(fields["frame.time_epoch"])) < 1e-6
        assert facts["checksum"]["verdict"] == "right"
        compared |= compare(facts, fields)
    assert compared == {*SHARED, *OPTIONS, *FLAGS.values(), "mip6.bu.lifetime", "mip6.ba.lifetime"}


def test_tshark_finds_the_same_packets_malformed(tshark: str, tmp_path: Path) -> None:
    """A message cut at every multiple of eight, its lengths made to fit."""
    packet = bytes.fromhex(next(v["packet"] for v in VECTORS if v["name"] == "altcoa-nonce"))
    cuts = []
    for end in range(64 + 16, len(packet), 8):
        cut = bytearray(packet[:end])
        cut[4:6] = (end - 40).to_bytes(2, "big")
        cut[65] = (end - 64) // 8 - 1
        cuts.append(bytes(cut))
    capture = tmp_path / "cut.pcap"
    with capture.open("wb") as file:
        write_capture(file, cuts)
    found = set()
    for cut, fields in zip(cuts, dissect(tshark, capture), strict=True):
        assert malformed(fields) == ("damaged" in describe(cut)), fields
        found.add(malformed(fields))
    assert found == {False, True}


@pytest.mark.parametrize("how", [{}, {"qos": True}, {"qos": True, "padded": True}])
def test_tshark_finds_the_same_packets_in_wifi(
    tshark: str, tmp_path: Path, how: dict[str, bool]
) -> None:
    capture = tmp_path / "wifi.pcap"
    with capture.open("wb") as file:
        write_capture(file, [radiotap(packet, **how) for packet in PACKETS], link=127)
    with capture.open("rb") as file:
        ours = list(Reading().capture(file))
    theirs = dissect(tshark, capture)
    assert len(ours) == len(theirs) == len(PACKETS)
    for facts, fields in zip(ours, theirs, strict=True):
        compare(facts, fields)


def test_tshark_reads_tunnels_and_their_inner_packets(tshark: str, tmp_path: Path) -> None:
    tunnelled = [v for v in ROUTABILITY if v.get("inside") == "tunnel"]
    assert len(tunnelled) == 2
    capture = tmp_path / "tunnel.pcap"
    with capture.open("wb") as file:
        write_capture(file, [bytes.fromhex(v["packet"]) for v in tunnelled])
    with capture.open("rb") as file:
        ours = list(Reading().capture(file))
    fields = ["ipv6.src", "ipv6.dst", "mip6.mhtype", "mip6.csum", "_ws.malformed"]
    command = [tshark, "-r", str(capture), "-n", "-T", "fields", "-E", "separator=;"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    for facts, line in zip(ours, done.stdout.splitlines(), strict=True):
        row = dict(zip(fields, line.split(";"), strict=True))
        assert row["_ws.malformed"] == ""
        outer = facts["tunnel"]
        assert row["ipv6.src"].split(",") == [outer["source"], facts["source"]]
        assert row["ipv6.dst"].split(",") == [outer["destination"], facts["destination"]]
        assert number(row["mip6.mhtype"]) == facts["mobility"]["type"]
        assert row["mip6.csum"] == facts["checksum"]["value"]


INSIDE = {
    "mip6.mhtype": ("mobility", "type"),
    "mip6.bu.seqnr": ("mobility", "sequence"),
    "mip6.ba.seqnr": ("mobility", "sequence"),
    "mip6.ba.status": ("mobility", "status"),
    "mip6.be.haddr": ("mobility", "home_address"),
    "ip.src": ("encapsulation", "source"),
    "ip.dst": ("encapsulation", "destination"),
    "ip.ttl": ("encapsulation", "hop_limit"),
}


def test_decode_agrees_with_tshark_inside_udp(tshark: str, tmp_path: Path) -> None:
    """Outer and inner addresses, ports, messages, the options of RFC 5555, checksums."""
    capture = tmp_path / "encapsulated.pcap"
    with capture.open("wb") as file:
        write_capture(file, DATAGRAMS, link=101)
    fields = [*INSIDE, "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "mip6.bu.f_flag",
              "mip6.ipv4coa.addr", "mip6.acoa.acoa", "mip6.natd.refresh_t", "mip6.bad.auth",
              "udp.checksum.status", "_ws.malformed", "mip6.natd.f_flag"]  # fmt: skip
    command = [tshark, "-r", str(capture), "-n", "-T", "fields", "-E", "separator=;"]
    command += ["-d", "udp.port==4191,ipv6", "-o", "udp.check_checksum:TRUE"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    rows = [dict(zip(fields, line.split(";"), strict=True)) for line in done.stdout.splitlines()]
    with capture.open("rb") as file:
        ours = list(Reading().capture(file))
    assert len(rows) == len(ours) == len(DATAGRAMS)
    compared = set()
    for facts, row in zip(ours, rows, strict=True):
        assert not row["_ws.malformed"]
        outer = facts["encapsulation"]
        for field, path in INSIDE.items():
            if row[field]:
                value = at_path(facts, path)
                assert row[field] == value or number(row[field]) == value, field
                compared.add(field)
        ends = {"src": "source", "dst": "destination"}
        for short, end in ends.items():
            addresses = row[f"ipv6.{short}"].split(",")
            assert addresses[-1] == facts[end]
            assert len(addresses) == 1 or addresses[0] == outer[end]
            ports = [int(port) for port in row[f"udp.{short}port"].split(",")]
            inner = [facts["udp"][f"{end}_port"]] if "udp" in facts else []
            assert ports == [outer[f"{end}_port"], *inner]
        assert set(row["udp.checksum.status"].split(",")) <= {"1", "Good"}
        assert outer["checksum"]["verdict"] == "right"
        options = {
            option["type"]: option for option in facts.get("mobility", {}).get("options", ())
        }
        for field, kind, name in (
            ("mip6.ipv4coa.addr", messages.IPV4_CARE_OF_ADDRESS, "address"),
            ("mip6.acoa.acoa", messages.ALTERNATE_CARE_OF_ADDRESS, "address"),
            ("mip6.natd.refresh_t", messages.NAT_DETECTION, "refresh_s"),
            ("mip6.bad.auth", messages.BINDING_AUTHORIZATION_DATA, "authenticator"),
        ):
            assert bool(row[field]) == (kind in options), field
            if row[field]:
                theirs: Any = (
                    row[field].replace(":", "") if name == "authenticator" else row[field]
                )
                assert theirs == str(options[kind][name]), field
                compared.add(field)
        if row["mip6.bu.f_flag"]:
            assert row["mip6.bu.f_flag"] in ("1", "True") and facts["mobility"]["flags"] == "AF"
    assert compared == {*INSIDE, "mip6.ipv4coa.addr", "mip6.acoa.acoa", "mip6.natd.refresh_t",
                        "mip6.bad.auth"}  # fmt: skip


@pytest.mark.parametrize("v", ENCAPSULATED, ids=lambda v: v["name"])
def test_scapy_reads_the_same_inside_udp(v: dict[str, Any]) -> None:
    """Outer and inner packet, and that their checksums are what scapy makes of them."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6

    whole = bytes.fromhex(v["datagram"])
    facts = describe(whole)
    outer = facts["encapsulation"]
    read = (IP if v["way"] == "udp4" else IPv6)(whole)
    assert (read.src, read.dst) == (outer["source"], outer["destination"])
    datagram = read[UDP]
    assert (datagram.sport, datagram.dport) == (outer["source_port"], outer["destination_port"])
    inner = IPv6(bytes(datagram.payload))
    assert (inner.src, inner.dst, inner.nh) == (
        facts["source"], facts["destination"], facts["protocol"],
    )  # fmt: skip
    kept = bytes(inner)
    upper = inner.payload
    if has_checksum(upper):
        delattr(upper, "cksum" if hasattr(upper, "cksum") else "chksum")
    assert bytes(inner) == kept
    del datagram.chksum
    assert bytes(read) == whole


@pytest.mark.parametrize("packet", PACKETS, ids=IDS)
def test_scapy_builds_the_same_octets(packet: bytes) -> None:
    """scapy reads the packet, forgets the checksum, and builds it again."""
    from scapy.layers import inet6

    read = inet6.IPv6(packet)
    options = read.getlayer(inet6.IPv6ExtHdrDestOpt)
    if options:
        # scapy sums over the home address only where that option stands alone; it pads itself.
        options.options = [option for option in options.options if option.otype == 0xC9]
    upper = next(
        layer for layer in (read.getlayer(i) for i in range(8)) if layer and has_checksum(layer)
    )
    field = "cksum" if hasattr(upper, "cksum") else "chksum"
    value = getattr(upper, field)
    delattr(upper, field)
    assert bytes(read) == packet
    assert f"0x{value:04x}" == describe(packet)["checksum"]["value"]


def has_checksum(layer: Any) -> bool:
    return "cksum" in layer.fields or "chksum" in layer.fields


@pytest.mark.parametrize("packet", PACKETS, ids=IDS)
def test_scapy_reads_the_same_fields(packet: bytes) -> None:
    from scapy.layers import inet6

    facts = describe(packet)
    read = inet6.IPv6(packet)
    assert read.src == facts["source"] and read.dst == facts["destination"]
    if "home_address_option" in facts:
        options = read[inet6.IPv6ExtHdrDestOpt].options
        assert facts["home_address_option"] in [getattr(o, "hoa", None) for o in options]
    if "routing_header" in facts:
        header = read[inet6.IPv6ExtHdrRouting]
        assert header.addresses == [facts["routing_header"]["address"]]
    if facts["protocol"] != packets.MOBILITY:
        return
    mobility = facts["mobility"]
    layer = read.lastlayer()
    while not hasattr(layer, "mhtype"):
        layer = layer.underlayer
    assert layer.mhtype == mobility["type"] and layer.nh == packets.NO_NEXT_HEADER
    assert 8 * (layer.len + 1) == mobility["octets"]
    if "sequence" in mobility:
        assert layer.seq == mobility["sequence"]
        assert layer.mhtime * 4 == mobility["lifetime_s"]
    if "status" in mobility:
        assert layer.status == mobility["status"]
    if "sequence" in mobility:
        types = [option["type"] for option in mobility["options"]]
        assert [option.otype for option in layer.options] == types
