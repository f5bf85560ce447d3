"""The correspondent against packets inside UDP that another program made, and those against
tshark and scapy."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from scapy.layers import inet, inet6
from scapy.utils import RawPcapWriter
from support.mutations import address, cache_of

from mip6 import addresses, packets
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.correspondent.core.entries import encapsulated

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS = json.loads((FOLDER / "exchanges.json").read_text())
NOW = 1_700_000_000_000
FIELDS = (
    "mip6.mhtype", "mip6.bu.seqnr", "mip6.bu.lifetime", "mip6.bu.f_flag", "mip6.ba.seqnr",
    "mip6.ba.lifetime", "mip6.acoa.acoa", "mip6.ipv4coa.addr", "mip6.natd.refresh_t",
    "mip6.bad.auth", "_ws.malformed",
)  # fmt: skip
UNSIGNED = (1, 2, 3, 7)  # traffic class and flow label, hop limit

each = pytest.mark.parametrize("v", VECTORS, ids=[v["name"] for v in VECTORS])


def endpoint_of(v):
    outer, local = addresses.parse(v["outer_source"]), addresses.parse(v["local"])
    return Endpoint(outer, v["outer_port"], local)


def update_of(v):
    return encapsulated(endpoint_of(v).packed, bytes.fromhex(v["update"]))


@each
def test_an_update_is_taken_and_answered_to_the_octet(v):
    cache = cache_of(v)
    verdict = cache.judge(update_of(v), NOW)
    assert verdict.outcome == ("accepted" if v["lifetime"] else "removed")
    assert verdict.care_of_address == addresses.parse(v["coa"])
    assert verdict.reply.payload.hex() == v["answer"]
    assert verdict.reply.endpoint == endpoint_of(v).packed
    again = cache.judge(update_of(v), NOW)
    assert (again.outcome, again.status) == ("refused", 135)


@each
def test_every_flipped_bit_and_every_cut_is_dropped(v):
    whole = bytes.fromhex(v["update"])
    cache = cache_of(v)
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        if bit // 8 in UNSIGNED or bit < 4:
            continue
        verdict = cache.judge(update_of(v)._replace(payload=bytes(damaged)), NOW)
        assert (verdict.outcome, verdict.change) == ("dropped", None), bit
    for length in range(len(whole)):
        verdict = cache.judge(update_of(v)._replace(payload=whole[:length]), NOW)
        assert (verdict.outcome, verdict.reply) == ("dropped", None), length
    other = address("2001:db8:c::3")
    assert cache_of(v, correspondent=other).judge(update_of(v), NOW).outcome == "dropped"
    assert cache.judge(update_of(v), NOW).change is not None, "the packet itself is still good"


@pytest.fixture(scope="module")
def tshark():
    found = shutil.which("tshark")
    if not found and os.environ.get("CI"):
        pytest.fail("tshark is not installed, and CI is set")
    return found or pytest.skip("tshark is not installed: these weren't compared with it")


def datagram(v, kind):
    """As it crosses the network, by scapy."""
    ends = {"src": v["outer_source"], "dst": v["local"]}
    ports = {"sport": v["outer_port"], "dport": packets.ENCAPSULATION_PORT}
    if kind == "answer":
        ends = {"src": ends["dst"], "dst": ends["src"]}
        ports = {"sport": ports["dport"], "dport": ports["sport"]}
    outer = inet.IP if "." in v["local"] else inet6.IPv6
    return outer(**ends) / inet.UDP(**ports) / bytes.fromhex(v[kind])


@pytest.mark.parametrize("kind", ["update", "answer"])
def test_tshark_reads_the_same(tshark, tmp_path, kind):
    capture = tmp_path / "udp.pcap"
    with RawPcapWriter(str(capture), linktype=101) as file:  # 101: an IP packet, of either version
        for v in VECTORS:
            file.write(bytes(datagram(v, kind)))
    command = [tshark, "-r", str(capture), "-n", "-d", "udp.port==4191,ipv6"]
    command += ["-T", "fields", "-E", "separator=,"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    rows = [dict(zip(FIELDS, row.split(","), strict=True)) for row in done.stdout.splitlines()]
    assert len(rows) == len(VECTORS)
    for v, read in zip(VECTORS, rows, strict=True):
        name, other, message = ("bu", "ba", "5") if kind == "update" else ("ba", "bu", "6")
        assert (read["mip6.mhtype"], read["_ws.malformed"]) == (message, "")
        assert read[f"mip6.{name}.seqnr"] == str(v["sequence"])
        assert read[f"mip6.{name}.lifetime"] == str(v["lifetime"])
        assert read[f"mip6.{other}.seqnr"] == ""
        authenticator = bytes.fromhex(v[kind])[-12:].hex()
        assert read["mip6.bad.auth"].replace(":", "") == authenticator
        care_of = [read["mip6.ipv4coa.addr"], read["mip6.acoa.acoa"]]
        if kind == "update":
            assert read["mip6.bu.f_flag"] in ("1", "True")
            assert care_of == ([v["coa"], ""] if "." in v["local"] else ["", v["coa"]])
        else:
            assert care_of == ["", ""]
            behind_nat = v["coa"] != v["outer_source"]
            assert read["mip6.natd.refresh_t"] == ("25" if behind_nat else "")


@each
@pytest.mark.parametrize("kind", ["update", "answer"])
def test_scapy_makes_the_same_checksum(v, kind):
    octets = bytes.fromhex(v[kind])
    read = inet6.IPv6(octets)
    message = read.payload
    ends = (read.src, read.dst)
    assert ends == ((v["hoa"], v["cn"]) if kind == "update" else (v["cn"], v["hoa"]))
    assert (message.mhtype, message.seq, message.mhtime) == (
        5 if kind == "update" else 6, v["sequence"], v["lifetime"]
    )  # fmt: skip
    del message.cksum
    assert bytes(read) == octets
