"""Which key signed each update on the wire, and that no number was used twice under one."""

from collections.abc import Iterable
from dataclasses import replace

from mip6 import keys, messages, packets
from roamkey.decode import authenticity
from roamkey.lab.wire import Signal
from roamkey.registry import PairKeys, Registry

_ETHERNET_OCTETS = 14


class UnderKeys:
    """Every Kcn that a registry ever showed it. For native updates."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, PairKeys] = {}

    def learn(self, registry: Registry) -> None:
        """Take in the keys that are live now, those on their way to a board among them."""
        for pair in registry.live_keys():
            for key in pair.keys:
                self._pairs[keys.canonical(key.kcn)] = replace(pair, keys=(key,))

    def numbers(self, signals: Iterable[Signal]) -> list[list[int]]:
        """The sequence numbers of the updates, those under each Kcn that has any; AssertionError
        for one under no known Kcn, or a number that one Kcn had twice."""
        found: dict[bytes, list[int]] = {}
        for signal in signals:
            if signal.is_update:
                found.setdefault(self._signer(signal), []).append(signal.sequence)
        for sent in found.values():
            assert len(sent) == len(set(sent)), f"a number came twice: {sent}"
        return list(found.values())

    def _signer(self, signal: Signal) -> bytes:
        packet = packets.parse(signal.frame[_ETHERNET_OCTETS:])
        message = messages.decode(packet.payload)
        whom = authenticity.about(packet, message)
        for kcn, pair in self._pairs.items():
            verdict, _ = authenticity.check(packet, message, whom, authenticity.by_pair([pair]))
            if verdict.verdict == authenticity.RIGHT:
                return kcn
        raise AssertionError(f"update {signal.sequence}: under no key that was ever given")
