"""What a mobile node knows of one correspondent, as a table: state x event -> action, next state.

The states (RFC 6275 sections 11.1 and 11.7):

`unkeyed`       No Kcn was provisioned for the peer, and no home agent, which return routability
                needs: nothing is sent.
`detached`      There is no care-of address. The correspondent may still hold an older binding.
`registering`   The correspondent was not heard to accept the present care-of address; an update is
                on its way or due. Data waits, or goes by the uplink of before while that is there.
`bound`         The correspondent accepted the present care-of address; the lifetime runs. Data
                flows.
`refreshing`    As bound, and an update that renews the binding is on its way or due.
`refused`       The correspondent said no, with a status in `reason`; it is asked again slowly.
`unsupported`   The correspondent's host doesn't know mobility messages. Asked again after a while.
`blocked`       The sequence counter can't be read or written. Nothing is sent: a number used twice
                would open the door to replay. Tried again after a while.
`exhausted`     Every number of every generation is used. Only new keys help.
`returning`     The node is at home; the correspondent is being told to forget the binding.
`home`          The node is at home and the correspondent holds no binding. Data flows plainly.
                Where no way leads to a correspondent without a key, `returning` and `home` mean
                that the home agent stands for the node: data flow through it.
`closing`       The node shuts down; the correspondent is being told to forget the binding.
`closed`        The end. Nothing more is sent.
`barred`        The correspondent said that it takes no updates from here (status 129, 131): none
                is sent before a day has passed (RFC 6275 section 11.7.3).

The events come from three sides. From the node: an address to use away from home (`away`; `back`,
where it is the one that the correspondent accepted and still holds), the home address itself on an
uplink (`home`), no address (`lost`), `shutdown`; `away` and `home` come again when a pause in
`unsupported` or `blocked` ends. From the clock: `transmit`, `refresh`, `expired`, `again` (a pause
in `barred` ends).
From the network, after the checks in answers.py: an authentic acknowledgement that is
`accepted`, `rejected` or `barring`, or says that the update was `outdated`: its number (status
135), or the nonces of return routability (136 to 138, which nothing can authenticate); the
unauthenticated
`requested` (Binding Refresh Request), `unknown` (Binding Error 1) and `unrecognized` (Binding
Error 2, ICMPv6 Parameter Problem code 1; not of a correspondent that ever answered). While
sending: the counter is `spent`, or `storage_failed`.

What no key vouches for can make the node ask again (now and then, and as far as the budget of
numbers goes), and can stop it only as long as the correspondent never answered. An event that a
state doesn't know can't happen; if it does, it raises and nothing has changed.
"""

from ..compat import const
from ..errors import Misuse

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

UNKEYED = const(0)
DETACHED = const(1)
REGISTERING = const(2)
BOUND = const(3)
REFRESHING = const(4)
REFUSED = const(5)
UNSUPPORTED = const(6)
BLOCKED = const(7)
EXHAUSTED = const(8)
RETURNING = const(9)
AT_HOME = const(10)
CLOSING = const(11)
CLOSED = const(12)
BARRED = const(13)
STATES = ("unkeyed", "detached", "registering", "bound", "refreshing", "refused", "unsupported",
          "blocked", "exhausted", "returning", "home", "closing", "closed",
          "barred")  # fmt: skip

AWAY = const(0)
HOME = const(1)
LOST = const(2)
SHUTDOWN = const(3)
TRANSMIT = const(4)
REFRESH = const(5)
EXPIRED = const(6)
ACCEPTED = const(7)
REJECTED = const(8)
OUTDATED = const(9)
REQUESTED = const(10)
UNKNOWN = const(11)
UNRECOGNIZED = const(12)
SPENT = const(13)
STORAGE_FAILED = const(14)
BACK = const(15)
AGAIN = const(16)
BARRING = const(17)
EVENTS = ("away", "home", "lost", "shutdown", "transmit", "refresh", "expired", "accepted",
          "rejected", "outdated", "requested", "unknown", "unrecognized", "spent",
          "storage_failed", "back", "again", "barring")  # fmt: skip

NOTHING = const(0)  # stay as it is
DROP = const(1)  # count the message as unexpected
REGISTER = const(2)  # begin anew with updates for the present care-of address
DELETE = const(3)  # begin anew with updates that delete the binding
SEND = const(4)  # take a number, send the update, set the next retransmission
ACCEPT = const(5)  # note the granted lifetime, set refresh and expiry
REFUSE = const(6)  # forget the binding, go on at the slowest rate
REMAKE = const(7)  # persist the number that it named, or fetch other tokens; send again
LAPSE = const(8)  # the binding is no longer good; the update on its way goes on
SLOW = const(9)  # go on at the slowest rate
CEASE = const(10)  # send no more updates, use the binding while it lasts
PAUSE = const(11)  # all timers off but one that tries again
STOP = const(12)  # all timers off, what was on its way is forgotten
UNBIND = const(13)  # as stop, and the correspondent holds no binding any more
RESUME = const(14)  # the binding last accepted is good again, its lifetime still runs
BAR = const(15)  # all timers off but one that tries again after a day
ACTIONS = ("nothing", "drop", "register", "delete", "send", "accept", "refuse", "remake", "lapse",
           "slow", "cease", "pause", "stop", "unbind", "resume", "bar")  # fmt: skip

_ABSENT = const(0xFF)
_EVENTS = const(18)  # len(EVENTS): the texts of events and actions are for hosts alone


def _packed(rows: "list[list[Any]]") -> bytes:
    """The rows as one octet for each (state, event): 4 bits of action, 4 bits of next state.

    A dictionary of tuples would hold some 5 KB of a board's RAM for good, and this 252 octets. A
    board's compiled file holds the octets alone.
    """
    table = bytearray(bytes([_ABSENT]) * (len(STATES) * _EVENTS))
    for state, events in rows:
        for event, action, following in events:
            at = state * _EVENTS + event
            if table[at] != _ABSENT:
                raise ValueError("two rows for one state and event")
            table[at] = action << 4 | following
    return bytes(table)


_TABLE = _packed([
    [UNKEYED, [
        [AWAY, NOTHING, UNKEYED],
        [HOME, NOTHING, UNKEYED],
        [LOST, NOTHING, UNKEYED],
        [SHUTDOWN, STOP, CLOSED],
        [REQUESTED, DROP, UNKEYED],
        [UNKNOWN, DROP, UNKEYED],
        [UNRECOGNIZED, DROP, UNKEYED],
    ]],
    [DETACHED, [
        [AWAY, REGISTER, REGISTERING],
        [BACK, RESUME, BOUND],
        [HOME, DELETE, RETURNING],
        [SHUTDOWN, STOP, CLOSED],
        [REQUESTED, DROP, DETACHED],
        [UNKNOWN, DROP, DETACHED],
        [UNRECOGNIZED, DROP, DETACHED],
    ]],
    [REGISTERING, [
        [AWAY, REGISTER, REGISTERING],
        [BACK, RESUME, BOUND],
        [HOME, DELETE, RETURNING],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, DELETE, CLOSING],
        [TRANSMIT, SEND, REGISTERING],
        [EXPIRED, LAPSE, REGISTERING],
        [ACCEPTED, ACCEPT, BOUND],
        [REJECTED, REFUSE, REFUSED],
        [BARRING, BAR, BARRED],
        [OUTDATED, REMAKE, REGISTERING],
        [REQUESTED, DROP, REGISTERING],
        [UNKNOWN, DROP, REGISTERING],
        [UNRECOGNIZED, PAUSE, UNSUPPORTED],
        [SPENT, STOP, EXHAUSTED],
        [STORAGE_FAILED, PAUSE, BLOCKED],
    ]],
    [BOUND, [
        [AWAY, REGISTER, REGISTERING],
        [HOME, DELETE, RETURNING],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, DELETE, CLOSING],
        [REFRESH, REGISTER, REFRESHING],
        [ACCEPTED, ACCEPT, BOUND],
        [REJECTED, REFUSE, REFUSED],
        [BARRING, BAR, BARRED],
        [OUTDATED, REMAKE, REFRESHING],
        [REQUESTED, REGISTER, REFRESHING],
        [UNKNOWN, REGISTER, REFRESHING],
    ]],
    [REFRESHING, [
        [AWAY, REGISTER, REGISTERING],
        [HOME, DELETE, RETURNING],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, DELETE, CLOSING],
        [TRANSMIT, SEND, REFRESHING],
        [EXPIRED, LAPSE, REGISTERING],
        [ACCEPTED, ACCEPT, BOUND],
        [REJECTED, REFUSE, REFUSED],
        [BARRING, BAR, BARRED],
        [OUTDATED, REMAKE, REFRESHING],
        [REQUESTED, DROP, REFRESHING],
        [UNKNOWN, DROP, REFRESHING],
        [SPENT, CEASE, REFRESHING],
        [STORAGE_FAILED, SLOW, REFRESHING],
    ]],
    [REFUSED, [
        [AWAY, REGISTER, REGISTERING],
        [HOME, DELETE, RETURNING],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, DELETE, CLOSING],
        [TRANSMIT, SEND, REFUSED],
        [ACCEPTED, ACCEPT, BOUND],
        [REJECTED, REFUSE, REFUSED],
        [BARRING, BAR, BARRED],
        [OUTDATED, REMAKE, REGISTERING],
        [REQUESTED, DROP, REFUSED],
        [UNKNOWN, DROP, REFUSED],
        [SPENT, STOP, EXHAUSTED],
        [STORAGE_FAILED, PAUSE, BLOCKED],
    ]],
    [UNSUPPORTED, [
        [AWAY, REGISTER, REGISTERING],
        [HOME, DELETE, RETURNING],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, STOP, CLOSED],
        [REQUESTED, DROP, UNSUPPORTED],
        [UNKNOWN, DROP, UNSUPPORTED],
        [UNRECOGNIZED, DROP, UNSUPPORTED],
    ]],
    [BLOCKED, [
        [AWAY, REGISTER, REGISTERING],
        [HOME, DELETE, RETURNING],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, STOP, CLOSED],
        [REQUESTED, DROP, BLOCKED],
        [UNKNOWN, DROP, BLOCKED],
        [UNRECOGNIZED, DROP, BLOCKED],
    ]],
    [EXHAUSTED, [
        [AWAY, NOTHING, EXHAUSTED],
        [HOME, NOTHING, EXHAUSTED],
        [LOST, NOTHING, EXHAUSTED],
        [SHUTDOWN, STOP, CLOSED],
        [REQUESTED, DROP, EXHAUSTED],
        [UNKNOWN, DROP, EXHAUSTED],
        [UNRECOGNIZED, DROP, EXHAUSTED],
    ]],
    [RETURNING, [
        [AWAY, REGISTER, REGISTERING],
        [BACK, RESUME, BOUND],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, DELETE, CLOSING],
        [TRANSMIT, SEND, RETURNING],
        [EXPIRED, UNBIND, AT_HOME],
        [ACCEPTED, UNBIND, AT_HOME],
        [REJECTED, SLOW, RETURNING],
        [BARRING, UNBIND, AT_HOME],
        [OUTDATED, REMAKE, RETURNING],
        [REQUESTED, DROP, RETURNING],
        [UNKNOWN, DROP, RETURNING],
        [UNRECOGNIZED, UNBIND, AT_HOME],
        [SPENT, STOP, EXHAUSTED],
        [STORAGE_FAILED, PAUSE, BLOCKED],
    ]],
    [AT_HOME, [
        [AWAY, REGISTER, REGISTERING],
        [LOST, STOP, DETACHED],
        [SHUTDOWN, STOP, CLOSED],
        [REQUESTED, DROP, AT_HOME],
        [UNKNOWN, DROP, AT_HOME],
        [UNRECOGNIZED, DROP, AT_HOME],
    ]],
    [CLOSING, [
        [AWAY, DELETE, CLOSING],
        [HOME, DELETE, CLOSING],
        [LOST, STOP, CLOSED],
        [SHUTDOWN, NOTHING, CLOSING],
        [TRANSMIT, SEND, CLOSING],
        [EXPIRED, UNBIND, CLOSED],
        [ACCEPTED, UNBIND, CLOSED],
        [REJECTED, STOP, CLOSED],
        [BARRING, STOP, CLOSED],
        [OUTDATED, REMAKE, CLOSING],
        [REQUESTED, DROP, CLOSING],
        [UNKNOWN, DROP, CLOSING],
        [UNRECOGNIZED, STOP, CLOSED],
        [SPENT, STOP, CLOSED],
        [STORAGE_FAILED, STOP, CLOSED],
    ]],
    [CLOSED, [
        [AWAY, NOTHING, CLOSED],
        [HOME, NOTHING, CLOSED],
        [LOST, NOTHING, CLOSED],
        [SHUTDOWN, NOTHING, CLOSED],
        [REQUESTED, DROP, CLOSED],
        [UNKNOWN, DROP, CLOSED],
        [UNRECOGNIZED, DROP, CLOSED],
    ]],
    [BARRED, [
        [AWAY, NOTHING, BARRED],
        [HOME, NOTHING, BARRED],
        [LOST, NOTHING, BARRED],
        [AGAIN, STOP, DETACHED],
        [SHUTDOWN, STOP, CLOSED],
        [REQUESTED, DROP, BARRED],
        [UNKNOWN, DROP, BARRED],
    ]],
])  # fmt: skip


def row(state: int, event: int) -> tuple[int, int]:
    """The (action, next state) for an event in a state; raises Misuse."""
    packed = _TABLE[state * _EVENTS + event]
    if packed == _ABSENT:
        raise Misuse("event %d in state %d" % (event, state))
    return packed >> 4, packed & 15


def rows() -> "Iterator[tuple[int, int, int, int]]":
    """Every row as (state, event, action, next state), in order: for tests and docs."""
    for at, packed in enumerate(_TABLE):
        if packed != _ABSENT:
            yield at // _EVENTS, at % _EVENTS, packed >> 4, packed & 15


def knows(state: int, event: int) -> bool:
    """Whether the table has a row for an event in a state."""
    return _TABLE[state * _EVENTS + event] != _ABSENT
