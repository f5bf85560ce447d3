"""The path check: which ways lead from here to a correspondent, and how long a NAT keeps a port.

docs/SPEC.md, "The path check". It is done with what a node sends anyway. A way is tried by Binding
Updates that go no other way: whoever answers holds the key. How long a port is kept is seen by
silence: a binding of a short lifetime, an echo request, so that the correspondent counts the
binding as in use, and then nothing, until it asks for a new one shortly before the end (RFC 6275
section 9.5.5). Its request comes in by the same port, or doesn't.

A correspondent without a key is tried by new tests of both addresses (RFC 6275 section 5.2.5),
too: which of them is answered tells where it fails.

Each update takes a number, and a token of the budget (keystore/budget.py). Whatever becomes of the
check, the node goes on: what is left of a trial is an update that is sent again.

A board has this file in memory only while somebody asks.
"""

import asyncio

from . import addresses, packets
from .bindings import states, ways
from .bindings.reasons import NO_WAY
from .compat import const
from .console.jsonrpc import INVALID_PARAMS, REFUSED, Refusal, some_params
from .status import place_text, reason

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from .bindings.binding import Binding
    from .bindings.update_list import BindingUpdateList
    from .node import Node
    from .protocols import Way

#: Of the bindings that are left to end, in seconds; the first shows whether it can be measured.
LIFETIMES_S = (8, 20, 32, 64, 128, 256)

_TRIAL_MS = const(2000)  # two updates; after 2.5 s of silence the node would leave the uplink
_WAYS_MAX = const(8)
_LOOK_S = 0.05
_EARLY = const(600)  # thousandths of a lifetime: no request is due before
_OWN_MS = const(300)  # before the end of such a binding, when the node renews it by itself
_ECHO_REQUEST = b"\x80\0\0\0rk\0\0"  # RFC 4443 section 4.1


class PathCheck:
    """The console's method `path`, and what it has found. `sleep(seconds)`: for tests."""

    def __init__(
        self, node: "Node", sleep: "Callable[[float], Awaitable[Any]]" = asyncio.sleep
    ) -> None:
        self._node = node
        self._sleep = sleep
        self._task: "asyncio.Task[None] | None" = None
        self._bindings: "BindingUpdateList | None" = None
        self._binding: "Binding" = None  # type: ignore[assignment]  # until `_choose`
        self._care_of: bytes | None = None
        self._ways: "list[dict[str, Any]]" = []
        self._silences: "list[dict[str, Any]]" = []
        self._problem = ""

    @property
    def running(self) -> bool:
        """Whether a check isn't at its end."""
        return self._task is not None

    def method(self, params: object) -> "dict[str, Any]":
        """Begin a check (`check`: "ways", or "nat" with `seconds`) of `correspondent`, or end one
        ("none"); without `check` say what was found so far. Raises Refusal."""
        check, correspondent, seconds = some_params(params, "check", "correspondent", "seconds")
        if check == "none":
            self._end()
        elif check is not None:
            if self._task is not None:
                raise Refusal(REFUSED, "a path check is under way")
            if check not in ("ways", "nat") or (check == "nat") != (type(seconds) is int):
                raise Refusal(INVALID_PARAMS, "check is ways, or nat with seconds, or none")
            self._choose(correspondent)
            self._problem = ""
            if check == "ways":
                self._ways.clear()
                work = self._try_ways()
            else:
                self._silences.clear()
                work = self._be_silent(seconds)
            self._task = asyncio.create_task(self._run(work))
        return self._told()

    def _choose(self, correspondent: object) -> None:
        bindings = self._node.bindings
        if bindings is None:
            raise Refusal(REFUSED, self._node.status()["text"])
        found = None
        for binding in bindings.bindings:
            if correspondent in (None, addresses.text(binding.correspondent)):
                found = found or binding
        if found is None:
            raise Refusal(REFUSED, "not a correspondent that the board has")
        self._bindings = bindings
        self._binding = found
        self._care_of = bindings.care_of

    def _told(self) -> "dict[str, Any]":
        answer: "dict[str, Any]" = {"running": self._task is not None, "problem": self._problem}
        bindings = self._bindings
        if bindings is None:
            return answer
        binding, known = self._binding, bindings.ways
        answer["correspondent"] = addresses.text(binding.correspondent)
        answer["state"] = states.STATES[binding.state]
        answer["reason"] = reason(binding.why)
        answer["at_home"] = bindings.attachment == states.HOME
        answer["stood_for"] = self._stood_for(bindings)
        answer["ipv6"] = _text(known.ipv6)
        answer["ipv4"] = _text(known.ipv4)
        answer["native"] = known.native
        answer["names"] = {
            name: [addresses.text(one) for one in found] for name, found in known.named().items()
        }
        answer["way"] = None if binding.way is None else ways.NAMES[binding.way[0]]
        answer["ways"] = self._ways
        answer["silences"] = self._silences
        return answer

    def _stood_for(self, bindings: "BindingUpdateList") -> bool:
        """Whether data go through the home agent now, for want of a way of their own."""
        agent, binding = bindings.home_agent, self._binding
        if agent is None or binding is agent or bindings.attachment != states.AWAY:
            return False
        return binding.data_way is None and agent.data_way is not None

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._recover()

    def _recover(self) -> None:
        """The node goes on as without a check: by all ways, for the usual lifetime."""
        self._task = None
        bindings, binding = self._bindings, self._binding
        if bindings is None or bindings is not self._node.bindings:
            return
        binding.lifetime = self._usual_s()
        now = self._node.now()
        if binding.transmit_at is not None and binding.state in _TRYING:
            binding.ways = bindings.ways.of(binding.index)
            if binding.ways:
                binding.transmit_at = binding.pace.begin(False, now)
        elif binding.state == states.BOUND and binding.granted < 1000 * binding.lifetime:
            binding.feed(states.REFRESH, now)
        self._node.attend()

    async def _run(self, work: "Awaitable[None]") -> None:
        try:
            await work
        except _Over as over:
            self._problem = str(over)
        except Exception as error:
            self._problem = "internal error"
            self._node.faulted(error)
        self._recover()

    def _ready(self) -> None:
        """Raise _Over where there is nothing to be found out any more."""
        bindings, binding = self._bindings, self._binding
        assert bindings is not None
        if bindings is not self._node.bindings:
            raise _Over("the keys were changed")
        if bindings.care_of is None:
            raise _Over("no address here")
        if bindings.care_of != self._care_of:
            raise _Over("the board moved")
        if bindings.attachment == states.HOME:
            raise _Over("at home: data go plainly")
        if binding.state not in _TRYING and binding.state != states.BOUND:
            raise _Over(reason(binding.why) or states.STATES[binding.state])

    # Which ways pass

    async def _try_ways(self) -> None:
        """Each way once, the best first; in the end the best that passed is in use."""
        bindings, binding = self._bindings, self._binding
        assert bindings is not None
        found = bindings.ways.by_merit(binding.index)[:_WAYS_MAX]
        if found and bindings.attachment == states.AWAY and binding.state in _AS_AT_HOME:
            binding.attach(states.AWAY, self._node.now(), True)  # given up, for an hour
        self._ready()
        if not found:
            raise _Over(reason(NO_WAY))
        for way in found:
            self._ways.append(
                {
                    "way": ways.NAMES[way[0]],
                    "place": None if way[2] is None else place_text(_text(way[2]) or "", way[3]),
                    "answered": None,
                }
            )
        best = None
        for at in range(len(found)):
            told = await self._try(found[at])
            self._ways[at].update(told)
            if told["answered"] and best is None:
                best = found[at]
        if best is not None and binding.way != best:
            await self._try(best)

    async def _try(self, way: "Way") -> "dict[str, Any]":
        """Updates by one way alone, until one is answered, for two seconds at most."""
        bindings, binding, node = self._bindings, self._binding, self._node
        assert bindings is not None
        self._ready()
        now = node.now()
        if binding.state == states.BOUND:
            binding.feed(states.REFRESH, now)
        binding.ways = [way]
        binding.pace.prompt = 0  # of other ways: a trial is two updates, each may take a second
        binding.transmit_at = binding.pace.begin(False, now)
        sent, unsent = binding.pace.sent, node.unsent
        tests = self._begin_tests(now)
        node.attend()
        until = now + _TRIAL_MS
        while binding.state != states.BOUND and node.now() < until:
            await self._sleep(_LOOK_S)
            self._ready()
        updates = binding.pace.sent - sent
        answered = binding.state == states.BOUND
        told: "dict[str, Any]" = {
            "answered": answered,
            "updates": updates,
            "refused": 0 < updates <= node.unsent - unsent,  # by the platform: it never left
            "generation": binding.generation,
            "sequence": binding.sequence,
            "round_trip_ms": binding.round_trip if answered else None,
            "nat": binding.nat if answered else None,
        }
        if tests:
            home, care_of = [test.made_at >= now for test in tests]
            there = bindings.has_home_way()  # type: ignore[attr-defined]  # a home agent's list
            told["tests"] = {"home": home if home or there else None, "care_of": care_of}
        return told

    def _begin_tests(self, now: int) -> "tuple[Any, ...]":
        """Those of a correspondent without a key, begun anew; tokens that are there serve on."""
        binding = self._binding
        if not hasattr(binding, "procedure"):
            return ()
        tests = binding.procedure.tests
        for test in tests:
            test.end()
            test.begin(now, self._bindings.random)  # type: ignore[union-attr]  # as above
        return tests  # type: ignore[no-any-return]  # a RoutedBinding's

    # How long a port is kept

    async def _be_silent(self, seconds: int) -> None:
        """Ever longer silences, up to `seconds`, until one is too long."""
        for lifetime in LIFETIMES_S:
            told: "dict[str, Any]" = {"lifetime_s": lifetime, "heard": None}
            if self._silences and lifetime > seconds:
                break
            self._silences.append(told)
            await self._silence(lifetime, told)
            if not told["heard"]:
                break

    async def _silence(self, lifetime: int, told: "dict[str, Any]") -> None:
        """One silence: what is found goes into `told`."""
        bindings, binding, node = self._bindings, self._binding, self._node
        assert bindings is not None
        self._ready()
        way = binding.way
        if way is None or way[2] is None or not binding.usable:
            raise _Over("not bound inside UDP")
        binding.lifetime = lifetime
        if not (await self._try(way))["answered"]:
            raise _Over("no answer by the way in use")
        await self._settle()
        accepted, until = binding.accepted, binding.expires_at
        assert until is not None
        told["lifetime_s"] = binding.granted // 1000
        early = until - binding.granted + _EARLY * binding.granted // 1000
        binding.refresh_at = until = until - _OWN_MS
        replies = self._echoes()
        request = bytearray(_ECHO_REQUEST)
        value = packets.checksum(
            bindings.home_address, binding.correspondent, packets.ICMPV6, request
        )
        request[2] = value >> 8
        request[3] = value & 255
        node.send_data(bindings.carry(binding.correspondent, packets.ICMPV6, bytes(request)))
        binding.keepalive_at = None
        began = node.now()
        node.attend()
        while binding.accepted == accepted and binding.state == states.BOUND:
            told["silence_ms"] = node.now() - began
            told["data"] = self._echoes() != replies
            if binding.keepalive_at is not None:
                raise _Over("data went by the port meanwhile")
            if node.now() >= until - 2 * int(1000 * _LOOK_S):
                told["heard"] = False
                binding.lifetime = self._usual_s()
                return
            await self._sleep(_LOOK_S)
            self._ready()
        if node.now() < early:
            raise _Over("the correspondent asked early: it sees another port, or data come")
        told["heard"] = True
        settled_by = node.now() + _TRIAL_MS  # the node answers the request
        while binding.state != states.BOUND and node.now() < settled_by:
            await self._sleep(_LOOK_S)

    async def _settle(self) -> None:
        """Nothing is under way any more: where an answer took long, that to another update is."""
        binding, until = self._binding, self._node.now() + _TRIAL_MS
        while binding.accepted != binding.sequence:
            if self._node.now() >= until:
                raise _Over("answers get lost, or take long")
            await self._sleep(_LOOK_S)
            self._ready()

    def _usual_s(self) -> int:
        """The lifetime that was provisioned, in seconds."""
        assert self._bindings is not None
        credentials = self._bindings.keystore.credentials
        return credentials.peers[self._binding.index].lifetime if credentials else 0

    def _echoes(self) -> int:
        """How many answers to echo requests came: nobody else wants them."""
        assert self._bindings is not None
        return self._bindings.drops.get("icmpv6", 0)


class _Over(Exception):
    """Why a check came to its end."""


_TRYING = (states.REGISTERING, states.REFRESHING)
_AS_AT_HOME = (states.RETURNING, states.AT_HOME)


def _text(address: bytes | None) -> str | None:
    return None if address is None else addresses.text(address)
