"""What `roamkey doctor --path` says of what boards found; the boards themselves: tests/lab."""

from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import pytest
from json_output import checked

from roamkey.board import pathadvice
from roamkey.board.path import Told
from roamkey.board.pathadvice import ABSENT, FAILS, PASSES
from roamkey.lab.board import VirtualBoard

CN, LOCAL = "2001:db8:c::2", "fd00:0:0:c::1"
PLACES = {"native": None, "udp6": "[2001:db8:99::1]:4191", "udp4": "192.0.2.1:4191"}
SEQUENCES = {"native": 8, "udp6": 10, "udp4": 12}


def nobody_knows(correspondent: str, generation: int, numbers: range) -> None:
    return None


def tried(way: str, answered: bool | None = True, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"way": way, "place": PLACES[way], "answered": answered}
    if answered is None:
        return told
    told |= {"updates": 1 if answered else 2, "refused": False, "generation": 0}
    told |= {"sequence": SEQUENCES[way], "round_trip_ms": 40 if answered else None}
    return told | {"nat": False if answered else None} | more


def path(*ways: dict[str, Any], arrived: Any = nobody_knows, **more: Any) -> pathadvice.Path:
    """What is said of one check."""
    reach = more.pop("reach", ["192.0.2.1:4191"])
    why = more.pop("why", "")
    agent, authorized = more.pop("agent", None), more.pop("authorized", "static key")
    check = {
        "correspondent": CN, "state": "bound", "way": None, "at_home": False, "problem": "",
        "ipv6": "2001:db8:1::5", "ipv4": "10.0.0.5", "native": True, "names": {},
        "ways": list(ways), "silences": [], **more,
    }  # fmt: skip
    whom = check["correspondent"]
    told = Told(
        "b0a2d", "2001:db8:a::1", why, {whom: reach}, [check], 0, agent, {whom: authorized}
    )  # fmt: skip
    (found,) = pathadvice.judge(told, arrived)
    return found


def of(found: pathadvice.Path, way: str) -> pathadvice.Way:
    (one,) = [one for one in found.ways if one.way == way]
    return one


def test_what_passes_needs_nothing() -> None:
    found = path(tried("native"), tried("udp4", nat=True), way="native")
    assert [(one.way, one.verdict) for one in found.ways] == [
        ("native", PASSES), ("udp6", ABSENT), ("udp4", PASSES),
    ]  # fmt: skip
    assert [one.ask for one in found.ways] == ["", "", ""]
    assert of(found, "udp4").nat is True and of(found, "native").nat is None
    assert found.reached and "udp4 would pass, too" in pathadvice.summary(found)


@pytest.mark.parametrize(
    ("known", "found", "ask"),
    [
        (None, "no answer", "out with destination options, and in with routing headers"),
        (True, "updates arrive, their answers don't", "routing headers of type 2 in"),
        (False, "updates don't arrive", "destination options out"),
    ],
)
def test_which_direction_drops_what(known: bool | None, found: str, ask: str) -> None:
    numbers = []

    def arrived(correspondent: str, generation: int, asked: range) -> bool | None:
        numbers.append((correspondent, generation, list(asked)))
        return known

    told = path(tried("native", False), tried("udp6"), arrived=arrived, way="udp6")
    native = of(told, "native")
    assert (native.verdict, native.found) == (FAILS, found)
    assert ask in native.ask and "RFC 7872" in native.ask
    assert numbers == [(CN, 0, [7, 8])]
    assert told.reached


def test_udp_that_is_dropped_is_asked_for_by_port_and_address() -> None:
    told = path(tried("native"), tried("udp4", False), way="native")
    assert of(told, "udp4").ask == "let UDP to port 4191 of 192.0.2.1 out, and what answers it in"
    told = path(tried("udp4", False), ipv6=None)
    assert not told.reached and "correspondent path" in of(told, "udp4").ask
    assert "nothing passes" in pathadvice.summary(told)


def test_nothing_is_asked_for_that_no_owner_can_give() -> None:
    found = path(tried("udp4"), native=False, why="native packets: no CAP_NET_RAW", way="udp4")
    native = of(found, "native")
    assert native.verdict == ABSENT and "no CAP_NET_RAW" in native.found and not native.ask
    found = path(tried("udp4"), native=False, why="native packets: switched off", way="udp4")
    assert "--native on" in of(found, "native").ask
    found = path(tried("native", False), tried("udp4"), correspondent=LOCAL, way="udp4")
    assert "inside its site alone" in of(found, "native").found
    assert of(found, "native").ask == "nothing: another way passes"
    found = path(tried("native", False, refused=True), tried("udp4"), way="udp4")
    assert "default route" in of(found, "native").ask


def test_why_a_way_was_not_there_to_be_tried() -> None:
    found = path(tried("udp4"), ipv6=None, way="udp4")
    assert of(found, "native").found == "this network gives the board no IPv6 address"
    found = path(ipv4=None, ipv6=None)
    assert (of(found, "udp4").ask, of(found, "native").ask) == ("IPv4", "IPv6")
    found = path(names={"cn.example": []}, reach=["cn.example:4191"], native=False)
    assert "cn.example" in of(found, "udp4").found and "resolver" in of(found, "udp4").ask
    found = path(tried("native"), reach=[], way="native")
    assert "its own address alone" in of(found, "udp4").found and not of(found, "udp4").ask


def test_a_silent_home_agent_is_named_with_what_was_tried() -> None:
    told = path(tried("native", False), tried("udp4", False), agent=CN, ipv6="2001:db8:1::5")
    assert told.role == "home agent" and not told.reached
    said = pathadvice.summary(told)
    assert f"the home agent {CN} is silent by native and udp4" in said
    assert "roamkey home-agent status" in said and "correspondent" not in said
    assert "home-agent status" in of(told, "udp4").ask
    told = path(tried("native"), agent=CN, way="native")
    assert pathadvice.summary(told) == "the board is registered by native: it works"


@pytest.mark.parametrize(
    ("tests", "found", "ask"),
    [
        ((False, False), "neither the home test nor the care-of test", "return routability"),
        ((True, False), "care-of test isn't answered", "Mobility Headers (protocol 135)"),
        ((False, True), "the home test isn't answered", "roamkey home-agent status"),
        ((None, True), "waits for the home agent", "see to the home agent first"),
        ((True, True), "no answer", "destination options, and in with routing headers"),
    ],
)
def test_which_test_of_a_correspondent_without_a_key_fails(
    tests: tuple[bool | None, bool], found: str, ask: str
) -> None:
    def arrived(correspondent: str, generation: int, numbers: range) -> bool:
        raise AssertionError("there are no events of that")

    told = path(
        tried("native", False, tests={"home": tests[0], "care_of": tests[1]}, generation=None),
        authorized="return routability", arrived=arrived, reach=[],
    )  # fmt: skip
    assert [one.way for one in told.ways] == ["native"]  # inside UDP there is none without a key
    assert found in of(told, "native").found and ask in of(told, "native").ask
    assert not told.reached and "correspondent runs" in pathadvice.summary(told)
    passing = path(tried("native", tests={"home": False, "care_of": False}), way="native",
                   authorized="return routability")  # fmt: skip
    assert passing.reached and of(passing, "native").verdict == PASSES


def test_what_goes_through_the_home_agent_is_reached() -> None:
    told = path(problem="home", state="home", stood_for=True, authorized="return routability")
    assert told.reached and told.through_home_agent
    assert "through the home agent" in pathadvice.summary(told)


def silence(seconds: float, heard: bool | None, data: bool = True) -> dict[str, Any]:
    return {"lifetime_s": 8, "heard": heard, "silence_ms": int(1000 * seconds), "data": data}


@pytest.mark.parametrize(
    ("silences", "problem", "kept", "forgotten", "says", "ask"),
    [
        ([(6.4, True), (121.6, True)], "", 121.6, None, "kept for 121.6 s of silence", ""),
        ([(6.4, True)], "", 6.4, None, "longer wasn't tried", ""),
        ([(30.0, True), (60.8, False)], "", 30.0, 60.8, "before 60.8 s", "two minutes"),
        ([(18.0, True), (30.0, False)], "", 18.0, 30.0, "before 30.0 s", "--nat-refresh 14"),
        ([(6.4, False)], "", None, 6.4, "--refresh never", "RFC 4787"),
        ([(6.4, False, False)], "", None, 6.4, "data don't pass", "both ways"),
        ([(1.0, None)], "data went by the port meanwhile", None, None, "not measured", "app stop"),
        ([(1.0, None)], "the board moved", None, None, "the board moved", ""),
    ],
)
def test_how_long_a_port_is_kept(
    silences: list[Any], problem: str, kept: Any, forgotten: Any, says: str, ask: str
) -> None:
    found = path(
        tried("udp4"), silences=[silence(*one) for one in silences], problem=problem,
        measured=True, way="udp4",
    )  # fmt: skip
    assert found.port is not None and found.reached
    assert (found.port.kept_s, found.port.forgotten_s) == (kept, forgotten)
    assert says in found.port.found and ask in found.port.ask and bool(ask) == bool(found.port.ask)


def test_at_home_and_without_an_address() -> None:
    found = path(at_home=True, problem="at home: data go plainly", state="home")
    assert found.reached and found.ways == () and "at home" in pathadvice.summary(found)
    found = path(problem="no address here", ipv4=None, ipv6=None, state="detached")
    assert not found.reached and "no address here" in pathadvice.summary(found)


def test_boards_that_can_not_be_asked(
    virtual: VirtualBoard,
    roamkey: Callable[..., tuple[int, str, str]],
    tmp_path: File,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROAMKEY_REGISTRY", str(tmp_path / "registry.sqlite"))

    def one_line(error: str) -> bool:
        return error.startswith("roamkey: ") and error.count("\n") == 1

    port = ("--port", virtual.port)
    code, out, error = roamkey("doctor", *port, "--path")
    assert (code, out) == (4, "") and one_line(error) and "roamkey provision" in error
    assert roamkey("init", "--reach", "192.0.2.1")[0] == 0
    assert roamkey("provision", *port)[0] == 0
    # No uplinks: it is said what is wrong, and nothing is waited for.
    code, out, error = roamkey("doctor", *port, "--path", "--json")
    told = checked("doctor", out)
    assert (code, error) == (1, "") and told["reached"] is False
    assert told["paths"][0]["problem"] == "no address here"
    code, _, error = roamkey("doctor", *port, "--path", "--events", "/nowhere/events.sqlite")
    assert code == 1 and one_line(error)
    assert roamkey("seal", *port)[0] == 0
    code, out, error = roamkey("doctor", *port, "--path")
    assert (code, out) == (4, "") and one_line(error) and "sealed" in error
