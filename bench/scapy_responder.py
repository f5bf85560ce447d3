"""A correspondent as one would write it on scapy in an afternoon: what ours is measured beside.

It does the same for a Binding Update of the usual layout (checks checksum, key, authenticator and
number, and builds the acknowledgement), and keeps what it accepted in memory only.
"""

import hashlib
import hmac
from ipaddress import IPv6Address

from scapy.layers.inet6 import (
    HAO,
    MIP6MH_BA,
    MIP6MH_BU,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrRouting,
    MIP6OptBindingAuthData,
    in6_chksum,
)

from roamkey.registry.encryption import Secrets

_MOBILITY = 135


class ScapyResponder:
    """Binding Updates in, acknowledgements out, as octets from the extension header on."""

    def __init__(self, correspondent: IPv6Address, secrets: dict[bytes, Secrets]) -> None:
        """`secrets` by home address (16 octets)."""
        self._text = str(correspondent)
        self._octets = correspondent.packed
        self._secrets = secrets
        self._last: dict[bytes, int] = {}
        self.bindings: dict[bytes, bytes] = {}

    def answer(self, payload: bytes, source: bytes) -> bytes | None:
        """The acknowledgement to one update; None for whatever isn't right."""
        packet = IPv6ExtHdrDestOpt(payload)
        update = packet[MIP6MH_BU]
        option = next(one for one in packet.options if isinstance(one, HAO))
        home_text = option.hoa
        home = IPv6Address(home_text).packed
        header = payload[24:]
        pseudo = IPv6(src=home_text, dst=self._text, nh=_MOBILITY)
        found = self._secrets.get(home)
        last = update.options[-1]
        if (
            found is None
            or in6_chksum(_MOBILITY, pseudo, header)
            or not isinstance(last, MIP6OptBindingAuthData)
        ):
            return None
        kbm = self._kbm(found, home, source)
        claimed = last.authenticator.to_bytes(12, "big")
        if not hmac.compare_digest(self._mac(kbm, source, header), claimed):
            return None
        if update.seq <= self._last.get(home, -1):
            return None
        self._last[home] = update.seq
        self.bindings[home] = source
        return self._acknowledge(update, home_text, source, kbm)

    def _acknowledge(self, update: MIP6MH_BU, home: str, source: bytes, kbm: bytes) -> bytes:
        data = MIP6OptBindingAuthData(olen=12)
        made = MIP6MH_BA(status=0, seq=update.seq, mhtime=update.mhtime, options=[data], cksum=0)
        mac = self._mac(kbm, source, bytes(made))
        del made.cksum  # from now on scapy computes it
        data.authenticator = int.from_bytes(mac, "big")
        route = IPv6ExtHdrRouting(type=2, segleft=1, addresses=[home])
        whole = IPv6(src=self._text, dst=str(IPv6Address(source))) / route / made
        return bytes(whole)[40:]

    def _kbm(self, found: Secrets, home: bytes, care_of: bytes) -> bytes:
        home_token = hmac.digest(found.kcn, home + found.home_nonce + b"\0", "sha1")[:8]
        care_of_token = hmac.digest(found.kcn, care_of + found.care_of_nonce + b"\1", "sha1")[:8]
        return hashlib.sha1(home_token + care_of_token).digest()

    def _mac(self, kbm: bytes, care_of: bytes, header: bytes) -> bytes:
        covered = header[:4] + b"\0\0" + header[6:-12]
        return hmac.digest(kbm, care_of + self._octets + covered, "sha1")[:12]
