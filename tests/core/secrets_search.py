"""Every Kcn that a test makes, and the search for it in what must not hold one."""

import base64
from collections.abc import Iterable

#: What has entered any key set in this process.
kcns: set[bytes] = set()

_DISTINCT = 12  # different octets: tests also use keys such as "kkkk…"


def spellings(secret: bytes) -> list[bytes]:
    """How an octet string may stand in an output: as it is, in hex, in base64, as Python shows it.

    Base64 depends on where it starts in its text: the octets that are whole in each of the three.
    """
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    found.append(repr(secret).encode()[2:-1])
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)
        found += [text[4:-4], text[4:-4].replace(b"+", b"-").replace(b"/", b"_")]
    return found


def found_in(content: bytes, secrets: Iterable[bytes] | None = None) -> int:
    """How many of the secrets stand in `content`, whole or a half of them, in any spelling."""
    count = 0
    for secret in kcns if secrets is None else secrets:
        middle = len(secret) // 2
        parts = (secret, secret[:middle], secret[middle:])
        count += any(text in content for part in parts for text in spellings(part))
    return count


def collect_from(peer_class: type) -> None:
    """Have every Kcn that enters a `keyset.Peer` noted in `kcns`, but the simplest ones."""
    made = peer_class.__init__

    def noting(self, *given, **named):
        made(self, *given, **named)
        kcns.update(kcn for _, kcn in self.generations if len(set(kcn)) >= _DISTINCT)

    peer_class.__init__ = noting
