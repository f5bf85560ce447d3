"""When the updates to one correspondent may go, and which of them await an answer.

RFC 6275 sections 11.7 (retransmission), 11.8 (rate limit) and 12 (the numbers). Where it is known
how long an answer takes, the first retransmission waits no longer than that asks for; the backoff
goes on from there. RFC 6298 says how round trips are smoothed; an answer tells by its number which
update it answers, so every one counts, after a retransmission too.
"""

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Way

_FIRST_TIMEOUT = const(1500)  # ms: no binding there yet
_TIMEOUT = const(1000)  # ms
_TIMEOUT_MAX = const(32000)  # ms
_PROMPT = const(350)  # ms, at least: three a second, with the round trip of a quick way
_PROMPT_MAX = const(3000)  # ms, however long somebody held answers back
_AT_MAX = const(8)  # updates; whoever hears nothing that long asks ever more seldom, up to
_SLOWEST = const(3600000)  # ms
_UPDATES_PER_SECOND = const(3)
_AWAITED = const(8)  # updates; the oldest is given up for the ninth

_NEVER = const(-10000000)


class Pace:
    """Times in milliseconds. `sent`: how many updates went out in all. `unanswered`: how many of
    this series, since `since`, and nothing was heard. `soon`: after how many milliseconds the next
    goes by another way; 0: what follows the update noted next is a retransmission. Where nothing
    is heard for long there is no hurry any more. `prompt`: how long an answer may take before a
    retransmission, by the round trips known; 0 before the first of them. It outlives moves.
    """

    def __init__(self) -> None:
        self.sent = self.unanswered = self.since = self.soon = self.prompt = 0
        self._trip = self._variation = 0  # eighths and quarters of milliseconds
        self._patience = _AT_MAX
        self._timeout = _FIRST_TIMEOUT
        self._recent = [_NEVER] * _UPDATES_PER_SECOND
        self._numbers = [-1] * _AWAITED
        self._times = [0] * _AWAITED
        self._ways: "list[Way | None]" = [None] * _AWAITED

    def begin(self, first: bool, now: int) -> int:
        """Start a series of updates; returns when the first may go.

        `first`: whether the correspondent holds no binding yet. Earlier updates are given up.
        """
        self.give_up()
        self._timeout = self.prompt or (_FIRST_TIMEOUT if first else _TIMEOUT)
        self._patience = _AT_MAX
        return self.allowed(now)

    def slow_down(self, now: int) -> int:
        """Go on at a slow rate; returns when the next update may go."""
        self._timeout = max(self._timeout, _TIMEOUT_MAX)
        self.unanswered = 0
        return now + self._timeout

    def allowed(self, now: int) -> int:
        """The first moment from `now` on at which the rate limit lets an update go."""
        return max(now, min(self._recent) + 1000)

    def note(self, sequence: int, now: int, way: "Way") -> int:
        """An update goes out by a way; returns when the next is to follow if nothing is heard."""
        slot = self.sent % _AWAITED
        self._numbers[slot] = sequence
        self._times[slot] = now
        self._ways[slot] = way
        self._recent[self.sent % _UPDATES_PER_SECOND] = now
        self.sent += 1
        if not self.unanswered:
            self.since = now
        self.unanswered += 1
        if self.soon and self._timeout < _TIMEOUT_MAX:
            self._timeout = max(self._timeout, 2 * self.soon)  # that is a retransmission, too
            return max(now + self.soon, min(self._recent) + 1000)
        following = max(now + self._timeout, min(self._recent) + 1000)
        if self._timeout < _TIMEOUT_MAX:
            self._timeout = min(2 * self._timeout, _TIMEOUT_MAX)
        elif self._patience:
            self._patience -= 1
        else:
            self._timeout = min(2 * self._timeout, _SLOWEST)
        return following

    def sent_at(self, sequence: int) -> int | None:
        """When the update with this number was sent, if its answer is awaited; else None."""
        if sequence in self._numbers:
            return self._times[self._numbers.index(sequence)]
        return None

    def way_of(self, sequence: int) -> "Way | None":
        """By which way the update with this number went, if its answer is awaited; else None."""
        if sequence in self._numbers:
            return self._ways[self._numbers.index(sequence)]
        return None

    def later(self, sequence: int) -> "tuple[Way | None, int]":
        """The way of the last update, where its answer is awaited and it isn't this one, and how
        many milliseconds after this one it left; (None, 0) else."""
        last = max(self._numbers)
        at, then = self.sent_at(last), self.sent_at(sequence)
        if last <= sequence or at is None or then is None:
            return None, 0
        return self.way_of(last), at - then

    def took(self, milliseconds: int) -> None:
        """An answer came so long after its update (RFC 6298 section 2)."""
        trip = min(milliseconds, _PROMPT_MAX)
        if self.prompt:
            off = trip - self._trip // 8
            self._trip += off
            self._variation += abs(off) - self._variation // 4
        else:
            self._trip = 8 * trip
            self._variation = 2 * trip
        wanted = max(self._trip // 4, self._trip // 8 + self._variation)
        # What was slow once, on another network maybe, isn't waited for longer than the unknown.
        wanted = min(wanted, max(_TIMEOUT, 2 * trip))
        self.prompt = min(max(_PROMPT, wanted), _PROMPT_MAX)

    def recall(self, sequence: int) -> None:
        """The update with this number never left: another one may have it."""
        if sequence in self._numbers:
            self._numbers[self._numbers.index(sequence)] = -1

    def answered(self, sequence: int) -> None:
        """The update with this number was answered: answers to earlier ones are none any more."""
        self.unanswered = 0
        for slot in range(_AWAITED):
            if self._numbers[slot] <= sequence:
                self._numbers[slot] = -1

    def give_up(self) -> None:
        """No answer is awaited any more."""
        self.unanswered = 0
        for slot in range(_AWAITED):
            self._numbers[slot] = -1
