"""What isn't a Binding Update: data, keepalives, and messages for others. Of what claims to be a
bound node's it counts whether it comes from where that is."""

from collections.abc import Callable

from mip6 import messages
from roamkey.correspondent.core import endpoints, replies
from roamkey.correspondent.core.entries import Inbound, Verdict, dropped
from roamkey.correspondent.core.limiter import Limiter
from roamkey.registry.records import Binding


class Others:
    """Judges them. `home` is the home address that a packet claims, None where it claims none;
    `now` is in milliseconds."""

    def __init__(
        self,
        correspondent: bytes,
        binding: Callable[[bytes, int], Binding | None],
        limiter: Limiter,
    ) -> None:
        """`binding(home, now)`: where a node is; `limiter`: of errors to strangers, but for those
        who come inside UDP, who have one of their own."""
        self._correspondent = correspondent
        self._binding = binding
        self._limiter = limiter
        self._inside_limiter = Limiter()

    def withheld(self) -> int:
        """How many errors were not sent because of their rate."""
        return self._limiter.withheld + self._inside_limiter.withheld

    def use(self, inbound: Inbound, home: bytes | None, outcome: str, now: int) -> Verdict:
        """Data, or a keepalive."""
        if home is None:
            return dropped(inbound, "no home address")
        return self._unbound(inbound, home, now) or Verdict(outcome, "", inbound.source, home)

    def stray(self, inbound: Inbound, home: bytes | None, kind: int, now: int) -> Verdict:
        """A message for mobile nodes or home agents; a Binding Error never draws another."""
        unbound = None
        if kind != messages.BINDING_ERROR:
            unbound = self._unbound(inbound, home, now)
        return unbound or dropped(inbound, "message not for a correspondent", home)

    def unknown(self, inbound: Inbound, home: bytes | None, now: int) -> Verdict:
        """A message of a type that nobody knows."""
        return self._unbound(inbound, home, now) or self._error(
            inbound, home, messages.UNRECOGNIZED_MESSAGE, "message type", now
        )

    def _unbound(self, inbound: Inbound, home: bytes | None, now: int) -> Verdict | None:
        """The verdict on a packet whose claim to a home address no binding backs; None if one
        does, or where it makes no such claim."""
        if home is None:
            return None
        binding = self._binding(home, now)
        if binding and _is_from(binding, inbound):
            return None
        return self._error(inbound, home, messages.UNKNOWN_BINDING, "no binding", now)

    def _error(
        self, inbound: Inbound, home: bytes | None, status: int, reason: str, now: int
    ) -> Verdict:
        verdict = dropped(inbound, reason, home)
        limiter = self._inside_limiter if inbound.endpoint else self._limiter
        if replies.may_be_answered(inbound) and limiter.allow(inbound.source, now):
            verdict.reply = replies.binding_error(self._correspondent, inbound, home, status)
        return verdict


def _is_from(binding: Binding, inbound: Inbound) -> bool:
    """Whether a packet came from where a binding says that its node is."""
    if inbound.endpoint or binding.endpoint:
        return endpoints.is_same(binding.endpoint, inbound.endpoint)
    return binding.care_of_address == inbound.source
