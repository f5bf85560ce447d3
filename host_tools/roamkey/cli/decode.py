"""`roamkey decode`: say what Mobile IPv6 packets say."""

import errno
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import typer
from rich.console import Console

from roamkey.cli.options import PassphraseOption
from roamkey.decode import captures
from roamkey.decode.facts import Facts
from roamkey.decode.reading import Reading
from roamkey.decode.render import show
from roamkey.enroll import keyfile
from roamkey.errors import BadInputError
from roamkey.registry.records import PairKeys

_STDIN = "-"
_HEX = re.compile(r"[0-9a-fA-FxX:\s]+", re.ASCII)


def decode(
    source: str = typer.Argument(
        _STDIN,
        metavar="[PACKET|FILE]",
        show_default=False,
        help="A packet in hexadecimal, from its IPv6, IPv4 or Ethernet header on, or a pcap or "
        "pcapng file. Without it, or with -, stdin gives the one or the other.",
    ),
    keys: str = typer.Option(
        "", metavar="FILE", help="Check authenticators with the keys in FILE (JSON, mode 0600)."
    ),
    registry: str = typer.Option(
        "", metavar="URL", help="Check authenticators with the live keys of this registry."
    ),
    passphrase_file: PassphraseOption = None,
    everything: bool = typer.Option(
        False, "--all", help="Show also the packets of a capture that aren't of mobility."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead."),
) -> None:
    """Decode Mobile IPv6 packets, from hexadecimal or a capture.

    Packets inside UDP (port 4191, over IPv6 or IPv4) are read as any other, and
    said to be inside; the addresses and ports outside are told as well.

    Return routability is checked without keys, where a capture has its tests;
    what is in a tunnel, as to and from a home agent, is read as any other.

    Hexadecimal may have spaces, colons and 0x. Each line is a packet; the dumps
    of tshark, tcpdump, xxd and hexdump are read too. Damaged packets of a
    capture are listed; anything else damaged, a capture that ends early
    included, gives one line and exit code 1.

    The key file holds an object, or a list of objects, with home_address,
    correspondent, home_nonce, care_of_nonce, and keys: a list of objects with
    generation and kcn.

    The JSON document has packets (with encapsulation, tunnel, source, destination, home_address,
    care_of_address, correspondent, mobility, checksum, authenticator, udp,
    icmpv6, fragment, damaged as far as they apply, number, and from a capture time and
    since_first in seconds), skipped, damaged, encrypted,
    truncated and unsupported_link_types.
    """
    if keys == source == _STDIN:
        raise typer.BadParameter("stdin can't give both the keys and the packets")
    if keys and registry:
        raise typer.BadParameter("take the keys from a file or from a registry, not from both")
    reading = Reading(_pairs(keys, registry, passphrase_file), everything)
    file = _open(source)
    if file is None:
        _print(reading, reading.hexadecimal(io.StringIO(source)), as_json)
    else:
        with file:
            _print(reading, _from_file(reading, file, source), as_json)
    if reading.failure:
        name = "stdin: " if source == _STDIN else f"{source}: " if file else ""
        raise BadInputError(f"{name}{reading.failure}")


def _pairs(keys: str, registry: str, passphrase: Path | None) -> Sequence[PairKeys] | None:
    """The keys to check with; None where none were named."""
    if not registry:
        return keyfile.read_pairs(keys) if keys else None
    from roamkey.registry import Registry  # a database library: only where it is needed

    with Registry.open(registry, create=False, passphrase_file=passphrase) as opened:
        return opened.live_keys()


def _open(source: str) -> BinaryIO | None:
    """The file or stdin; None where `source` is hexadecimal itself."""
    if source == _STDIN:
        if sys.stdin.isatty():
            print("hexadecimal, please; end it with Ctrl-D", file=sys.stderr)
        return sys.stdin.buffer
    if not source.strip():
        raise BadInputError("no packet given")
    try:
        return Path(source).open("rb")
    except ValueError:  # a NUL in it
        pass
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise BadInputError(f"{source}: {error.strerror}") from None
    if not _HEX.fullmatch(source):
        raise BadInputError(f"{source[:60]!r}: no such file, and not hexadecimal")
    return None


def _from_file(reading: Reading, file: BinaryIO, source: str) -> Iterator[Facts]:
    """A named file must be a capture; stdin may give either."""
    head = file.read(4)
    if source != _STDIN or captures.is_capture(head):
        return reading.capture(file, head)
    # The first octets aren't lost: no text that begins with them is hexadecimal, or they are it.
    rest = io.TextIOWrapper(io.BufferedReader(_Rejoined(head, file)), "ascii", "replace")
    return reading.hexadecimal(rest)


class _Rejoined(io.RawIOBase):
    """A file with the octets that were read from it already."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As of any file."""
        octets = self._head or self._file.read(len(buffer))
        self._head = b""
        buffer[: len(octets)] = octets
        return len(octets)


def _print(reading: Reading, packets: Iterator[Facts], as_json: bool) -> None:
    if as_json:
        _print_json(reading, packets)
        return
    console = Console(highlight=False, soft_wrap=False)
    shown = 0
    for facts in packets:
        show(facts, console)
        shown += 1
    if reading.skipped or (not shown and not reading.failure):
        console.print(
            f"{shown} shown, {reading.skipped} not of mobility skipped (--all shows them)"
        )
    if reading.encrypted and not reading.failure:
        console.print(f"{reading.encrypted} of these are encrypted (Wi-Fi): nobody knows")
    if reading.unsupported and not reading.failure:
        types = ", ".join(map(str, sorted(reading.unsupported)))
        console.print(f"frames of link type {types} skipped: not supported")


def _print_json(reading: Reading, packets: Iterator[Facts]) -> None:
    """One document, a packet a line, and never more than one in memory."""
    begun = False
    for facts in packets:
        sys.stdout.write(",\n    " if begun else '{\n  "packets": [\n    ')
        sys.stdout.write(json.dumps(facts))
        begun = True
    if begun:
        rest = json.dumps(reading.counts(), indent=2)
        sys.stdout.write("\n  ]," + rest[1:] + "\n")
    elif not reading.failure:
        typer.echo(json.dumps({"packets": [], **reading.counts()}, indent=2))
