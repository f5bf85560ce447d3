"""Return routability in a capture: tests carry their tokens in the clear (RFC 6275 section 5.2).
Whoever has both tests of an update can tell whether it is right, and anybody on both paths has."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from mip6 import keys, messages, packets

_HELD_MAX = 4096
_KBMS_MAX = 4  # of a pair: of its latest updates

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Latest(Generic[Key, Value]):
    """A dictionary that forgets what it was given first, beyond `_HELD_MAX`."""

    def __init__(self) -> None:
        """Empty."""
        self._held: OrderedDict[Key, Value] = OrderedDict()

    def put(self, key: Key, value: Value) -> None:
        """Keep a value."""
        self._held[key] = value
        self._held.move_to_end(key)
        if len(self._held) > _HELD_MAX:
            self._held.popitem(last=False)

    def get(self, key: Key) -> Value | None:
        """The value, or None."""
        return self._held.get(key)


class Tokens:
    """Tokens of the tests seen, and the Kbm of updates that they vouched for."""

    def __init__(self) -> None:
        """None yet."""
        self._tokens: Latest[tuple[int, bytes, bytes, int], bytes] = Latest()
        self._kbms: Latest[tuple[bytes, bytes], list[bytes]] = Latest()

    def note(self, packet: packets.Packet, message: messages.Message) -> None:
        """A whole message, of whatever kind."""
        if not packet.checksum_ok():
            return
        ends = packet.source, packet.destination
        if message.kind == messages.HOME_TEST:
            found = message.home_nonce_index, message.home_keygen_token
        elif message.kind == messages.CARE_OF_TEST:
            found = message.care_of_nonce_index, message.care_of_keygen_token
        else:
            return
        self._tokens.put((message.kind, *ends, found[0]), found[1])

    def of_update(
        self, home: bytes, care_of: bytes, correspondent: bytes, indices: bytes, removes: bool
    ) -> bytes | None:
        """Kbm by the tokens of these nonce indices (4 octets); None where one wasn't seen."""
        at = int.from_bytes(indices[:2], "big"), int.from_bytes(indices[2:], "big")
        tokens = [self._tokens.get((messages.HOME_TEST, correspondent, home, at[0]))]
        if not removes:
            test = messages.CARE_OF_TEST, correspondent, care_of, at[1]
            tokens.append(self._tokens.get(test))
        if None in tokens:
            return None
        kbm: bytes = keys.binding_management_key(*tokens)  # type: ignore[arg-type]
        return kbm

    def vouched(self, home: bytes, correspondent: bytes, kbm: bytes) -> None:
        """An update was right under this Kbm: its answer will be."""
        others = [one for one in self.of_answer(home, correspondent) if one != kbm]
        self._kbms.put((home, correspondent), [kbm, *others][:_KBMS_MAX])

    def of_answer(self, home: bytes, correspondent: bytes) -> list[bytes]:
        """Kbm of the latest updates of a pair: an acknowledgement names no nonces."""
        return self._kbms.get((home, correspondent)) or []
