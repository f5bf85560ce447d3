"""The facts of a mobility message and of its options."""

from typing import Any

from mip6 import messages
from mip6.addresses import IPV4_MAPPED
from mip6.limits import LIFETIME_UNIT_S
from roamkey.decode.meanings import (
    ACKNOWLEDGEMENT_STATUS,
    ERROR_STATUS,
    FLAGS,
    OTHER_OPTIONS,
    duration,
    text_of,
)

Facts = dict[str, Any]

_SPI_END = 5  # of the authentication option's data: subtype, SPI (RFC 4285 section 5)


def mobility_facts(message: messages.Message, octets: int) -> Facts:
    """The facts of a message (see `facts`), whose encoded length is `octets`."""
    name, _, fields = messages.LAYOUTS[message.kind]
    facts: Facts = {"type": message.kind, "name": name, "octets": octets}
    for field, _, size in fields:
        value = getattr(message, field)
        if size > 2:
            value = text_of(value) if field == "home_address" else value.hex()
        if field == "flags":
            facts |= _flags(message.kind, value, size)
        elif field == "lifetime":
            seconds = value * LIFETIME_UNIT_S
            facts |= {"lifetime_s": seconds, "lifetime": duration(seconds)}
        elif field != "reserved":
            facts[field] = value
        if field == "status":
            table = ERROR_STATUS if message.kind == messages.BINDING_ERROR else None
            facts |= _status(value, table or ACKNOWLEDGEMENT_STATUS)
    facts["options"] = [_option(kind, data) for kind, data in message.options]
    return facts


def _flags(kind: int, value: int, size: int) -> Facts:
    known = FLAGS[kind]
    letters = [letter for letter, bit, _ in known if value & bit]
    others = value & ~sum(bit for _, bit, _ in known)
    facts: Facts = {"flags": "".join(letters), "flags_value": f"0x{value:0{2 * size}x}"}
    if others:
        facts["flags_unknown"] = f"0x{others:0{2 * size}x}"
    return facts


def _status(value: int, table: dict[int, tuple[str, str]]) -> Facts:
    name, advice = table.get(value, ("", ""))
    if not name:
        name = "unknown status"
        if table is ACKNOWLEDGEMENT_STATUS:
            name += ", accepted" if value < messages.REASON_UNSPECIFIED else ", refused"
        advice = "a status that RFC 6275 doesn't know: consult the peer's documentation"
    return {"status_name": name, "advice": advice} if advice else {"status_name": name}


def _option(kind: int, data: bytes) -> Facts:
    if kind in messages.OPTIONS:
        name = messages.OPTIONS[kind][0]
    else:
        name = OTHER_OPTIONS.get(kind, f"unknown option {kind}")
    facts: Facts = {"type": kind, "name": name, "octets": len(data)}
    if kind == messages.BINDING_REFRESH_ADVICE:
        seconds = int.from_bytes(data, "big") * LIFETIME_UNIT_S
        facts |= {"interval_s": seconds, "interval": duration(seconds)}
    elif kind == messages.ALTERNATE_CARE_OF_ADDRESS:
        facts["address"] = text_of(data)
    elif kind == messages.IPV4_CARE_OF_ADDRESS:
        facts["address"] = text_of(IPV4_MAPPED + data[2:])
    elif kind == messages.NAT_DETECTION:
        refresh = int.from_bytes(data[2:], "big")
        facts |= {
            "forced": bool(data[0] & 0x80),
            "refresh_s": refresh,
            "refresh": _refresh(refresh),
        }
    elif kind == messages.NONCE_INDICES:
        facts["home_nonce_index"] = int.from_bytes(data[:2], "big")
        facts["care_of_nonce_index"] = int.from_bytes(data[2:], "big")
    elif kind == messages.BINDING_AUTHORIZATION_DATA:
        facts["authenticator"] = data.hex()
    elif kind == messages.AUTHENTICATION and len(data) > _SPI_END:
        facts["subtype"] = data[0]
        facts["spi"] = int.from_bytes(data[1:_SPI_END], "big")
        facts["authenticator"] = data[_SPI_END:].hex()
    elif kind != messages.PAD1:
        facts["data"] = data.hex()
    return facts


def _refresh(seconds: int) -> str:
    """How often a node is to send a keepalive (RFC 5555 section 3.2.2)."""
    if seconds == 0xFFFFFFFF:
        return "no keepalives needed"
    return f"a keepalive each {duration(seconds)}" if seconds else "no time suggested"
