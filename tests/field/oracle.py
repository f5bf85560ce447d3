"""What a packet capture says, by tshark: the judge of a report's numbers."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

UPDATE, ACKNOWLEDGEMENT = 5, 6  # RFC 6275 sections 6.1.7 and 6.1.8
ENCAPSULATION_PORT = 4191


@dataclass(frozen=True)
class Message:
    """A mobility message: `at_ms` since 1970, as it reached the link; `way`: native, udp6, udp4.

    An acknowledgement inside UDP doesn't say which care-of address it is about: "".
    """

    at_ms: float
    kind: int
    sequence: int
    status: int | None
    care_of_address: str
    way: str


def tshark() -> str:
    """The program; where it is missing the test is skipped, or fails if CI is set."""
    found = shutil.which("tshark")
    if found is None:
        text = "tshark is not installed: the report can't be checked against the capture"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found


def fields(capture: Path, *names: str, only: str = "") -> list[list[str]]:
    """The named fields of each frame; inside UDP those of the inner packet."""
    command = [
        tshark(),
        "-r",
        str(capture),
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "occurrence=l",  # of a packet inside UDP: what is inside
        "-d",
        f"udp.port=={ENCAPSULATION_PORT},ipv6",
    ]
    for name in names:
        command += ["-e", name]
    if only:
        command += ["-Y", only]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


def messages(capture: Path) -> list[Message]:
    """Binding Updates and Acknowledgements, in order."""
    found = []
    names = (
        "frame.time_epoch", "mip6.mhtype", "mip6.bu.seqnr", "mip6.ba.seqnr", "mip6.ba.status",
        "ipv6.src", "ipv6.dst", "ip.src", "udp.srcport", "mip6.ipv4coa.addr", "mip6.acoa.acoa",
    )  # fmt: skip
    for at, kind, updated, acknowledged, status, source, destination, *outer in fields(
        capture, *names, only="mipv6 and not icmpv6"
    ):
        ipv4, port, *care_of = outer
        way = "udp4" if ipv4 else "udp6" if port else "native"
        if int(kind) == UPDATE:
            source = "".join(care_of) or source
            found.append(Message(1000 * float(at), UPDATE, int(updated, 0), None, source, way))
        elif int(kind) == ACKNOWLEDGEMENT:
            found.append(
                Message(
                    1000 * float(at), ACKNOWLEDGEMENT, int(acknowledged, 0), int(status, 0),
                    destination if way == "native" else "", way,
                )
            )  # fmt: skip
    return found


def datagrams(capture: Path, port: int) -> list[tuple[float, bytes]]:
    """(ms since 1970, data) of UDP datagrams to a port; not those that an ICMPv6 error quotes."""
    only = f"udp.dstport == {port} and not icmpv6"
    rows = fields(capture, "frame.time_epoch", "udp.payload", only=only)
    return [(1000 * float(at), bytes.fromhex(data.replace(":", ""))) for at, data in rows]
