"""Addresses: text and 16 octets (RFC 4291, RFC 5952); an IPv4 address is an IPv4-mapped one.

Written out because lwIP's ports of MicroPython have no `inet_pton`.
"""

from .compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .protocols import Octets


IPV4_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2


def parse(text: object) -> bytes:
    """The 16 octets of an address in text; raises ValueError (one line that doesn't repeat it)."""
    if not isinstance(text, str) or text.count("::") > 1 or ":::" in text:
        raise ValueError("not an IPv6 address")
    if "." in text:
        return IPV4_MAPPED + _ipv4(text[7:] if text[:7].lower() == "::ffff:" else text)
    if "::" in text:
        left, right = (_groups(half) if half else [] for half in text.split("::"))
        missing = 8 - len(left) - len(right)
        if missing < 1:
            raise ValueError("not an IPv6 address")
        groups = left + [0] * missing + right
    else:
        groups = _groups(text)
    if len(groups) != 8:
        raise ValueError("not an IPv6 address")
    return b"".join(group.to_bytes(2, "big") for group in groups)


def _ipv4(text: str) -> bytes:
    """The 4 octets of "a.b.c.d"; no zeros in front, which some take for octal numbers."""
    words = text.split(".")
    octets = []
    for word in words:
        if not 1 <= len(word) <= 3 or any(digit not in "0123456789" for digit in word):
            raise ValueError("not an IPv4 address")
        octets.append(int(word))
        if str(octets[-1]) != word or octets[-1] > 255:
            raise ValueError("not an IPv4 address")
    if len(octets) != 4:
        raise ValueError("not an IPv4 address")
    return bytes(octets)


def _groups(text: str) -> list[int]:
    """The 16-bit groups of "a:b:c"."""
    groups = []
    for word in text.split(":"):
        if not 1 <= len(word) <= 4 or any(digit not in "0123456789abcdefABCDEF" for digit in word):
            raise ValueError("not an IPv6 address")
        groups.append(int(word, 16))
    return groups


def text(octets: "Octets") -> str:
    """The text of an address of 16 octets, as RFC 5952 writes it; an IPv4-mapped one in dots."""
    if is_ipv4(octets):
        return ".".join(str(octet) for octet in octets[12:])
    groups = [octets[i] << 8 | octets[i + 1] for i in range(0, 16, 2)]
    best_start, best_length = 0, 1  # a single zero group isn't shortened
    start = 0
    while start < 8:
        end = start
        while end < 8 and not groups[end]:
            end += 1
        if end - start > best_length:
            best_start, best_length = start, end - start
        start = end + 1
    words = ["%x" % group for group in groups]
    if best_length == 1:
        return ":".join(words)
    left = ":".join(words[:best_start])
    return left + "::" + ":".join(words[best_start + best_length :])


def is_ipv4(octets: "Octets") -> bool:
    """Whether an address (16 octets) is an IPv4 one, mapped."""
    return octets[:12] == IPV4_MAPPED


def is_autoip(octets: "Octets") -> bool:
    """Whether an IPv4 address is one that a host gave itself, since nobody did (RFC 3927)."""
    return octets[:14] == IPV4_MAPPED + b"\xa9\xfe"


def is_unicast_global(octets: "Octets") -> bool:
    """Whether an address may be a home or a correspondent address (RFC 6275 section 9.5.1): not
    unspecified, loopback, IPv4-mapped, link-local, site-local or multicast.

    Unique local addresses (fc00::/7) have global scope (RFC 4193) and pass.
    """
    if octets[0] == 0xFF or (octets[0] == 0xFE and octets[1] & 0x80):
        return False
    return any(octets[:10])  # ::, ::1, IPv4-compatible and IPv4-mapped start with 80 zero bits
