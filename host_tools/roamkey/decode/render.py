"""The facts of packets laid out for a terminal of 80 columns."""

import textwrap
from collections.abc import Iterator
from datetime import datetime, timezone

from rich.console import Console
from rich.text import Text

from mip6 import messages, packets
from roamkey.decode.facts import Facts
from roamkey.decode.meanings import FLAGS

_COLOURS = {"right": "green", "wrong": "bold red", "damaged": "bold red", "absent": "yellow",
            "not checkable": "yellow"}  # fmt: skip
_PRINTED = (  # fields of a message that need no words
    ("sequence", "sequence"),
    ("home_nonce_index", "home index"),
    ("care_of_nonce_index", "care-of index"),
    ("home_init_cookie", "home cookie"),
    ("care_of_init_cookie", "care-of cookie"),
    ("home_keygen_token", "home token"),
    ("care_of_keygen_token", "care-of token"),
)

_ICMP = {"icmpv6": "ICMPv6", "icmp": "ICMP"}
_INDENT = 18  # where values begin

Row = tuple[str, str, str]  # label, value, colour ("" for none)


def show(facts: Facts, console: Console) -> None:
    """Print one packet: a title, then a line or more for each thing it says.

    Laid out here and not by rich's tables, which take a millisecond each: captures are long.
    """
    room = max(console.width - _INDENT, 10)
    lines = [(_title(facts), "bold", "")]
    for label, value, colour in _rows(facts):
        head = f"  {label}"
        for part in [value] if len(value) <= room else textwrap.wrap(value, room):
            lines.append((f"{head:<{_INDENT}}", colour, part))
            head = ""
    if console.is_terminal:
        for head, colour, part in lines:
            style = "dim" if part else colour
            console.print(Text.assemble((head, style), (part, colour)))
        console.print()
    else:
        console.file.write(
            "".join(f"{head}{part}".rstrip() + "\n" for head, _, part in lines) + "\n"
        )


def _title(facts: Facts) -> str:
    words = [f"Packet {facts['number']}:" if "number" in facts else "Packet:"]
    if "mobility" in facts:
        words.append(facts["mobility"]["name"])
    elif "icmpv6" in facts or "icmp" in facts:
        name = "icmpv6" if "icmpv6" in facts else "icmp"
        words.append(f"{_ICMP[name]} " + facts[name].get("name", f"type {facts[name]['type']}"))
    elif "encapsulation" in facts and facts.get("protocol") == packets.NO_NEXT_HEADER:
        words.append("keepalive")
    elif "protocol" in facts:
        words.append(facts["protocol_name"])
    if "encapsulation" in facts:
        words.append("inside UDP")
    if "tunnel" in facts:
        words.append("in a tunnel")
    if "since_first" in facts:
        words.append(f"at +{facts['since_first']:.6f} s")
    return " ".join(words)


def _rows(facts: Facts) -> Iterator[Row]:
    if facts.get("time") is not None:
        yield "time", _moment(facts["time"]), ""
    if "encapsulation" in facts:
        yield from _encapsulation(facts["encapsulation"])
    if "tunnel" in facts:
        tunnel = facts["tunnel"]
        yield "tunnel", f"{tunnel['source']} to {tunnel['destination']}", ""
    yield from _addresses(facts)
    if "fragment" in facts:
        yield "fragment", _fragment(facts["fragment"]), ""
    if "mobility" in facts:
        yield from _message(facts["mobility"])
    if "udp" in facts:
        udp = facts["udp"]
        ports = f"port {udp['source_port']} to port {udp['destination_port']}"
        yield "UDP", f"{ports}, {udp['octets']} octets of data", ""
    for name in ("icmpv6", "icmp"):
        if name in facts:
            yield from _icmp(_ICMP[name], facts[name])
    if "checksum" in facts:
        yield _checksum("checksum", facts["checksum"])
    if "authenticator" in facts:
        verdict = facts["authenticator"]
        yield "authenticator", _authenticator(verdict), _COLOURS.get(verdict["verdict"], "yellow")
    if "damaged" in facts:
        yield "damaged", facts["damaged"]["text"], _COLOURS["damaged"]


def _encapsulation(outer: Facts) -> Iterator[Row]:
    """The outer packet: a NAT's address and port, as they were seen where this was captured."""
    yield "way", outer["way"], ""
    for end in ("source", "destination"):
        yield (
            ("from", "to")[end == "destination"],
            f"{outer[end]}, port {outer[f'{end}_port']}",
            "",
        )
    if "fragment" in outer:
        yield "outer fragment", _fragment(outer["fragment"]), "yellow"
    if "ip_options" in outer:
        yield "outer options", f"{outer['ip_options']} octets of IPv4 options", "yellow"
    if outer.get("checksum", {}).get("verdict", "right") != "right":
        yield _checksum("outer checksum", outer["checksum"])


def _fragment(part: Facts) -> str:
    more = "more follow" if part["more"] else "the last"
    what = f"of {part['protocol_name']}, number {part['identification']:08x}"
    return f"{what}, from octet {part['offset']} on, {more}"


def _checksum(label: str, checksum: Facts) -> Row:
    end = checksum["verdict"]
    if end == "wrong":
        end += f", {checksum['expected']} expected"
    return label, f"{checksum['value']} {end}", _COLOURS[checksum["verdict"]]


def _addresses(facts: Facts) -> Iterator[Row]:
    meaning = facts.get("meaning", {})
    for end, behind in (("source", "home_address_option"), ("destination", "routing_header")):
        if end not in facts:
            continue
        yield end, _with_meaning(facts[end], meaning.get(end)), ""
        if behind == "home_address_option" and behind in facts:
            yield "", f"{facts[behind]}  home address, in the Home Address option", ""
        elif behind in facts:
            route = facts[behind]
            done = "" if route["segments_left"] else " (already used)"
            yield "", f"{route['address']}  home address, in the routing header{done}", ""
    care_of = facts.get("care_of_address")
    if care_of and care_of not in (facts["source"], facts["destination"]):
        update = facts.get("mobility", {}).get("type") == messages.BINDING_UPDATE
        yield "registers" if update else "of", _with_meaning(care_of, "care-of address"), ""


def _with_meaning(address: str, meaning: str | None) -> str:
    return f"{address}  {meaning}" if meaning else address


def _message(mobility: Facts) -> Iterator[Row]:
    if "status" in mobility:
        bad = mobility["status"] >= messages.REASON_UNSPECIFIED or "home_address" in mobility
        colour = "bold red" if bad else "green"
        yield "status", f"{mobility['status']} {mobility['status_name']}", colour
        if "advice" in mobility:
            yield "", mobility["advice"], "yellow"
    for field, label in _PRINTED:
        if field in mobility:
            yield label, str(mobility[field]), ""
    if "flags" in mobility:
        yield "flags", _flags(mobility), ""
    if "lifetime_s" in mobility:
        yield "lifetime", _lifetime(mobility), ""
    if "home_address" in mobility:
        yield "home address", mobility["home_address"], ""
    for i, option in enumerate(mobility.get("options", ())):
        yield "options" if i == 0 else "", _option(option), ""


def _flags(mobility: Facts) -> str:
    names = [
        f"{letter} ({name})"
        for letter, _, name in FLAGS[mobility["type"]]
        if letter in mobility["flags"]
    ]
    if "flags_unknown" in mobility:
        names.append(f"unknown {mobility['flags_unknown']}")
    return ", ".join(names) or "none"


def _lifetime(mobility: Facts) -> str:
    seconds = mobility["lifetime_s"]
    if seconds:
        return f"{seconds} s ({mobility['lifetime']})"
    if mobility["type"] == messages.BINDING_UPDATE:
        return "0 s: deletes the binding"
    return "0 s: no binding"


def _option(option: Facts) -> str:
    name: str = option["name"]
    if "interval_s" in option:
        return f"{name}: {option['interval_s']} s ({option['interval']})"
    if "refresh_s" in option:
        return f"{name}: {option['refresh']}{', UDP demanded' if option['forced'] else ''}"
    if "address" in option:
        return f"{name}: {option['address']}"
    if "home_nonce_index" in option:
        indices = option["home_nonce_index"], option["care_of_nonce_index"]
        return f"{name}: home {indices[0]}, care-of {indices[1]}"
    if "spi" in option:
        kind = f"subtype {option['subtype']}, SPI {option['spi']}"
        return f"{name}: {kind}, {option['authenticator']}"
    if "authenticator" in option:
        return f"{name}: {option['authenticator']}"
    data = option.get("data", "")
    if option["type"] == messages.PADN and not data.strip("0"):
        return f"{name}({option['octets'] + 2})"
    return f"{name}: {data}" if data else name


def _authenticator(verdict: Facts) -> str:
    words: str = verdict["verdict"]
    if words == "absent":
        words = "absent: the message isn't signed"
    if "generation" in verdict:
        words += f" (generation {verdict['generation']}"
        if "kbm" not in verdict:
            words += f", {verdict['by']})"
        else:
            words += ")" if words.startswith("wrong") else f", Kbm of a {verdict['kbm']})"
    elif "by" in verdict:
        words += f", by {verdict['by']}"
    return f"{words}: {verdict['note']}" if "note" in verdict else words


def _icmp(name: str, icmp: Facts) -> Iterator[Row]:
    pointer = f", pointer {icmp['pointer']}" if "pointer" in icmp else ""
    yield name, f"type {icmp['type']}, code {icmp['code']}{pointer}", ""
    if "about" in icmp:
        about = icmp["about"]
        yield "about", f"the packet {about['source']} to {about['destination']}", ""
        yield "", icmp["advice"], "yellow"


def _moment(seconds: float) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):  # a clock that never was set right
        return f"{seconds:.6f} s since 1970"
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f UTC")
