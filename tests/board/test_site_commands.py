"""From a fresh account to keys on a board without an address that somebody typed; and reach."""

import zipfile
from pathlib import Path

import pytest
from json_output import checked

from mip6 import addresses
from roamkey.board.built import Image
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver
from roamkey.enroll.home import Pool
from roamkey.enroll.plan import Plan
from roamkey.errors import BoardError
from roamkey.lab.board import VirtualBoard
from roamkey.lab.installed import installed_files
from roamkey.registry import Registry
from roamkey.registry.records import pairs_of

PEER = addresses.parse("2001:db8:c::2")
PREFIX = "2001:db8:a::/64"
ADDRESSES = ("--home-address", "2001:db8:a::1", "--correspondent", "2001:db8:c::2")
PLACE = ("192.0.2.1", 4191)


def one_line(error: str) -> bool:
    return error.startswith("roamkey: ") and error.count("\n") == 1


@pytest.fixture(autouse=True)
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of its own, which isn't there yet."""
    monkeypatch.setenv("ROAMKEY_REGISTRY", str(tmp_path / "registry.sqlite"))


def test_no_address_has_to_be_typed(virtual: VirtualBoard, roamkey, tmp_path: Path) -> None:
    port = ("--port", virtual.port)
    code, _, error = roamkey("provision", *port)
    assert code == 1 and one_line(error) and "roamkey init" in error
    assert not (tmp_path / "registry.sqlite").exists()

    made = checked("init", roamkey("init", "--reach", "192.0.2.1", "--json")[1])
    assert made["result"] == "made" and made["reach"] == ["192.0.2.1:4191"]
    code, out, error = roamkey("provision", *port, "--json")
    assert (code, error) == (0, "")
    told = checked("provision", out)
    inside = made["home_prefix"].removesuffix("::/64")
    assert told["home_address"] == f"{inside}::1" and told["native"] is True
    (held,) = told["correspondents"]
    assert held["address"] == made["correspondent"] and held["reach"] == made["reach"]

    virtual.reset()
    status = checked("status", roamkey("status", *port, "--json")[1])
    assert (
        status["identity"]["features"] == ["reach", "path", "home-agent"]
        and status["keystore"]["native"] is True
    )
    assert status["keystore"]["peers"][0]["reach"] == ["192.0.2.1:4191"]
    assert "reach          192.0.2.1:4191" in roamkey("status", *port)[1]
    virtual.power_cut()
    assert virtual.read_file("/roamkey/keys")[:2] == b"K\x02"
    virtual.power_on()

    # Again: the same address, new keys; those of elsewhere where they are named.
    code, out, _ = roamkey("provision", *port, "--replace", "--native", "off", "--no-reach")
    assert code == 0 and f"{inside}::1" in out and "native IPv6    off" in out
    assert "reach  " not in out
    code, out, _ = roamkey("provision", *port, "--replace", *ADDRESSES, "--json")
    assert checked("provision", out)["correspondents"][0]["reach"] == []
    virtual.power_cut()
    assert virtual.read_file("/roamkey/keys")[:2] == b"K\x01"


def test_boards_learn_where_the_correspondent_moved(virtual: VirtualBoard, roamkey) -> None:
    port = ("--port", virtual.port)
    roamkey("init", "--reach", "192.0.2.1")
    code, _, error = roamkey("reach", *port)
    assert code == 4 and one_line(error) and "no usable keys" in error
    assert roamkey("provision", *port)[0] == 0
    with SerialClient(virtual.port) as client:
        before = client.identify().set_id
        left = client.status()["keystore"]["peers"][0]["uses_left"]
    code, out, _ = roamkey("init", "--reach", "cn.example", "--reach", "192.0.2.9:443")
    assert code == 0 and "roamkey reach" in out
    told = checked("reach", roamkey("reach", *port, "--json")[1])
    assert told["set_id"] == before and told["native"] is True
    assert told["correspondents"][0]["reach"] == ["cn.example:4191", "192.0.2.9:443"]
    code, out, error = roamkey("reach", *port, "--reach", "[2001:db8::1]", "--native", "off")
    assert (code, error) == (0, "")
    assert "[2001:db8::1]:4191" in out and "off: inside UDP alone" in out
    assert "none, so all goes inside UDP (" in roamkey("status", *port)[1]
    virtual.power_cut()
    virtual.power_on()
    code, out, _ = roamkey("reach", *port, "--no-reach")
    assert code == 0 and "its address alone" in out and "off" in out
    with SerialClient(virtual.port, answer_s=30) as client:
        assert client.identify().set_id == before
        peer = client.status()["keystore"]["peers"][0]
        assert left - 20 < peer["uses_left"] <= left
    assert roamkey("rekey", *port)[0] == 0
    assert checked("status", roamkey("status", *port, "--json")[1])["keystore"]["native"] is False


def test_a_set_is_as_it_was_said_last(registry, fake, hasty) -> None:
    """The set of an interrupted run stays; its correspondent is reached as the next run says."""
    fake.says = lambda line: b"" if fake.set_id else line
    pool = Pool(registry, PREFIX)
    first = Plan(None, (PEER,), reach={PEER: (PLACE,)})
    with pytest.raises(BoardError, match="run the same command again"):
        deliver.provision(registry, fake.port, first, pool=pool, connect=hasty, ask_again_s=0)
    fake.says = bytes
    pool = Pool(registry, PREFIX)
    second = Plan(None, (PEER,), reach={PEER: (("cn.example", 9),)}, native=False)
    held = deliver.provision(registry, fake.port, second, pool=pool, connect=hasty)
    assert held.finished and held.home_address == "2001:db8:a::1"
    with hasty(fake.port) as client:
        keystore = client.status()["keystore"]
    assert keystore["peers"][0]["reach"] == ["cn.example:9"] and keystore["native"] is False


def taken_by(registry: Registry, board: str, home_address: bytes) -> None:
    """Another command gives this home address away."""
    credentials = Plan(home_address, (PEER,)).make({PEER: 0})
    registry.add_sent(credentials.set_id, board, pairs_of(credentials), 600)


def test_two_boards_at_once_never_get_one_address(registry, fake, hasty) -> None:
    """Another command takes the address after this one chose it: before it looked, or after."""
    first, second = (addresses.parse(f"2001:db8:a::{number}") for number in (1, 2))

    class Late(Pool):
        def address_for(self, board: str) -> bytes:
            chosen = super().address_for(board)
            if chosen == first and registry.node_by_home_address(first) is None:
                taken_by(registry, "other", first)
            return chosen

    pool = Late(registry, PREFIX)
    add_sent = registry.add_sent

    def later(*given, **more) -> None:
        if registry.node_by_home_address(second) is None:
            registry.add_sent = add_sent  # type: ignore[method-assign]
            taken_by(registry, "another", second)
        add_sent(*given, **more)

    registry.add_sent = later  # type: ignore[method-assign]
    held = deliver.provision(registry, fake.port, Plan(None, (PEER,)), pool=pool, connect=hasty)
    assert held.home_address == "2001:db8:a::3"
    assert registry.node_by_home_address(first).board_id == "other"
    assert registry.node_by_home_address(second).board_id == "another"


@pytest.mark.lab
def test_an_agent_of_release_0_1_0(lab_network, roamkey, tmp_path: Path) -> None:
    """It can't be told, which is said; what it knows can be put on it."""
    with zipfile.ZipFile(Path(__file__).parent / "data" / "agent-0.1.0.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    main = files.pop("main.py")
    image = Image("mpy", files, main)
    with VirtualBoard(tmp_path / "old.img", spawn=lab_network.add_node("old").popen) as board:
        board.install(installed_files(image, "0.1.0"))
        board.start()
        port = ("--port", board.port)
        roamkey("init", "--reach", "192.0.2.1")
        for options in ((), ("--no-reach", "--native", "off")):
            code, out, error = roamkey("provision", *port, *options)
            assert (code, out) == (4, "") and one_line(error)
            assert "(0.1.0) can't be told" in error and "roamkey install" in error
        code, _, error = roamkey("provision", *port, "--no-reach")
        assert (code, error) == (0, "")
        code, _, error = roamkey("reach", *port)
        assert code == 4 and one_line(error) and "roamkey install" in error
        code, _, error = roamkey("doctor", *port, "--path")
        assert code == 4 and one_line(error) and "roamkey install" in error
        with SerialClient(board.port) as client:
            assert client.identify().features == ()

        # Updated in place it keeps its keys, and can be told.
        with SerialClient(board.port) as client:
            before = client.identify().set_id
        assert roamkey("install", *port)[0] == 0
        told = checked("reach", roamkey("reach", *port, "--json")[1])
        assert told["set_id"] == before
        assert told["correspondents"][0]["reach"] == ["192.0.2.1:4191"]
