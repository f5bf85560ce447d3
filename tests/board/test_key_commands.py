"""`roamkey rekey`, `retire`, `erase`, `networks`, `export`, `import`, on a virtual board."""

import io
import time
from pathlib import Path

import pytest
from counter import counter_of
from json_output import checked, checked_lines

from mip6 import addresses
from mip6.keystore.keystore import Keystore
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver, erase
from roamkey.enroll.plan import Plan
from roamkey.errors import BoardError, RefusedError
from roamkey.lab.board import VirtualBoard
from roamkey.registry import CONFIRMED, SENT, Registry
from roamkey.waiting import until

HOME, PEER = addresses.parse("2001:db8:a::1"), addresses.parse("2001:db8:c::2")
PLAN = Plan(HOME, (PEER,), generations=1)
ADDRESSES = ("--home-address", "2001:db8:a::1", "--correspondent", "2001:db8:c::2")
PASSWORD = "correct horse battery"


def one_line(error: str) -> bool:
    return error.startswith("roamkey: ") and error.count("\n") == 1


@pytest.fixture
def both(virtual: VirtualBoard, roamkey, tmp_path: Path):
    """Options that name a provisioned board and its registry."""
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    assert roamkey("provision", *both, *ADDRESSES, "--lifetime", "600")[0] == 0
    return both


@pytest.fixture
def private(tmp_path: Path):
    """Makes a file of mode 0600."""

    def make(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_text(content)
        path.chmod(0o600)
        return path

    return make


def live(registry: Registry, board: str = "fa4e") -> list[tuple[str, str]]:
    return [(found.set_id.hex(), found.state) for found in registry.sets_of_board(board)]


# rekey


def test_rekey_gives_the_next_generations(virtual, both, roamkey, tmp_path) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        ((before, *others),) = (pair.keys for pair in registry.pairs_for_correspondent(PEER))
        assert len(others) == 3  # four where nobody says how many
        code, out, error = roamkey("rekey", *both, "--generations", "2")
        assert (code, error) == (0, "") and "key generation 4 to 5" in out
        (pair,) = registry.pairs_for_correspondent(PEER)
        assert [key.generation for key in pair.keys] == [4, 5]
        for key in pair.keys:
            assert (key.home_nonce, key.care_of_nonce) == (before.home_nonce, before.care_of_nonce)
            assert (key.lifetime, key.state) == (600, CONFIRMED) and key.kcn != before.kcn
        told = checked("rekey", roamkey("rekey", *both, "--json")[1])
        (held,) = told["correspondents"]
        assert held == {"address": "2001:db8:c::2", "generations": [6, 7, 8, 9]}
    code, out, _ = roamkey("status", "--port", virtual.port, "--json")
    status = checked("status", out)
    assert status["identity"]["set_id"] == told["set_id"]
    (peer,) = status["keystore"]["peers"]
    assert peer["key"]["uses_left"] > 4 * 65000 and peer["key"]["warning"] is None
    assert "key generation 6, 26" in roamkey("status", "--port", virtual.port)[1]


def test_old_keys_are_overwritten_while_the_board_is_idle(virtual, both, roamkey) -> None:
    virtual.power_cut()
    old = virtual.read_file("/roamkey/keys")
    kcn = old[-36:-4]  # the last field of the record, before its CRC
    assert kcn in virtual.image.read_bytes()
    virtual.power_on()
    assert roamkey("rekey", *both)[0] == 0
    with SerialClient(virtual.port, answer_s=30) as client:
        assert until(lambda: not client.status()["keystore"]["scrub_due"], 60, 0.2)
        text = client.ask("log")["text"]
    assert " scrubbed " in text
    virtual.power_cut()
    assert kcn not in virtual.image.read_bytes()
    assert "/roamkey/filler" not in virtual.list_files()


def test_rekeys_that_are_refused(virtual, roamkey, tmp_path) -> None:
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    code, _, error = roamkey("rekey", *both)
    assert code == 1 and one_line(error) and "no registry" in error
    Registry.open(tmp_path / "registry.sqlite").close()
    code, _, error = roamkey("rekey", *both)
    assert code == 4 and one_line(error) and "provision it" in error
    assert roamkey("provision", *both, *ADDRESSES)[0] == 0
    other = tmp_path / "other.sqlite"
    Registry.open(other).close()
    code, _, error = roamkey("rekey", "--port", virtual.port, "--registry", other)
    assert code == 4 and one_line(error) and "this registry doesn't know" in error
    assert roamkey("retire", *both[2:], *ADDRESSES[:2], "--yes")[0] == 0
    code, _, error = roamkey("rekey", *both)
    assert code == 4 and one_line(error) and "are retired" in error


def test_a_silent_board_leaves_the_keys_sent_and_a_second_run_finishes(
    registry, fake, hasty
) -> None:
    first = deliver.provision(registry, fake.port, PLAN, connect=hasty).set_id
    fake.says = lambda line: line if fake.set_id == first else b""
    with pytest.raises(BoardError, match="run the same command again"):
        deliver.rekey(registry, fake.port, 1, connect=hasty, ask_again_s=0)
    assert live(registry) == [(first, CONFIRMED), (fake.set_id, SENT)]
    fake.says = bytes
    held = deliver.rekey(registry, fake.port, 1, connect=hasty)
    assert held.finished and live(registry) == [(fake.set_id, CONFIRMED)]
    again = deliver.rekey(registry, fake.port, 1, connect=hasty)
    assert not again.finished and again.correspondents == (("2001:db8:c::2", (2,)),)


def test_a_rekey_that_flash_refuses_changes_nothing(registry, fake, hasty) -> None:
    first = deliver.provision(registry, fake.port, PLAN, connect=hasty).set_id
    fake.store.read_only = True
    with pytest.raises(RefusedError, match="not written"):
        deliver.rekey(registry, fake.port, 1, connect=hasty)
    assert live(registry) == [(first, CONFIRMED)] and fake.set_id == first


# status


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        (52000, "13534 uses left"),
        (59000, "warning        90 % of the last key for it is used: roamkey rekey"),
        (63600, "warning        97 % of the last key for it is used: roamkey rekey"),
        (65535, "warning        every key for it is used up: roamkey rekey"),
    ],
)
def test_status_tells_how_long_the_keys_last(
    accepted, words, registry, fake, hasty, roamkey
) -> None:
    deliver.provision(registry, fake.port, PLAN, connect=hasty)
    fake.unplug()
    keystore = Keystore(fake.store)
    keystore.load()
    counter_of(keystore, 0).advance(accepted)
    fake.plug()
    code, out, error = roamkey("status", "--port", fake.port)
    assert (code, error) == (0, "") and words in out
    assert ("warning" in out) == words.startswith("warning")


# erase, retire


def test_erase(virtual, both, roamkey, private) -> None:
    file = private("wifi", PASSWORD + "\n")
    assert roamkey("networks", "set", "depot", "--password-file", file, *both[:2])[0] == 0
    code, out, error = roamkey("erase", *both, "--yes")
    assert (code, error) == (0, "") and "2001:db8:a::1: its keys are retired" in out
    for words in (
        f"board          {virtual.unique_id.hex()} (", "home address   2001:db8:a::1\n",
        "keys for       2001:db8:c::2\n", "Wi-Fi          depot\n",
        "registry       keys of 2001:db8:a::1 to be retired\n",
        "erased: keys for 2001:db8:c::2; Wi-Fi depot; the event log\n",
    ):  # fmt: skip
        assert words in out
    assert "no keys: provision the board" in roamkey("status", "--port", virtual.port)[1]
    told = checked("erase", roamkey("erase", *both, "--yes", "--json")[1])
    board = virtual.unique_id.hex()
    assert told == {"board": board, "home_addresses": [], "peers": [], "networks": []}
    virtual.power_cut()
    left = [name for name in virtual.list_files() if name.startswith("/roamkey/")]
    assert len(left) <= 2 and {name.rstrip("0123456789") for name in left} <= {
        "/roamkey/log/",
        "/roamkey/used",
    }
    assert PASSWORD.encode() not in virtual.image.read_bytes()


def test_erase_asks_first(virtual, both, roamkey, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, error = roamkey("erase", *both)
    assert code == 1 and error == "roamkey: nothing done\n" and "2001:db8:a::1" in out
    assert f"Erase this from board {virtual.unique_id.hex()} at {virtual.port}?" in out
    assert "erased" not in out
    assert "keys and counters are in order" in roamkey("status", "--port", virtual.port)[1]


def test_a_second_erase_retires_what_the_first_left(registry, fake, hasty) -> None:

    deliver.provision(registry, fake.port, PLAN, connect=hasty)
    fake.says = lambda line: line if fake.set_id else b""
    with pytest.raises(BoardError, match="run the same command again"):
        erase.erase(registry, fake.port, connect=lambda port: Impatient(port, 0.4, 0.3))
    assert fake.set_id is None and live(registry)
    fake.says = bytes
    gone = erase.erase(registry, fake.port, connect=hasty)
    assert gone.home_addresses == ("2001:db8:a::1",) and not live(registry)


class Impatient(SerialClient):
    def erase(self) -> None:
        self.request("erase", answer_s=0.4)


def test_retire(both, roamkey, tmp_path, virtual) -> None:
    registry = both[2:]
    code, out, _ = roamkey("retire", *registry, "--board", virtual.unique_id.hex(), "--yes")
    assert code == 0 and "2001:db8:a::1: its keys are retired" in out
    for name in (("--board", virtual.unique_id.hex()), ("--home-address", "2001:db8:a::9")):
        code, _, error = roamkey("retire", *registry, *name, "--yes")
        assert code == 4 and one_line(error)
    code, out, _ = roamkey("retire", *registry, *ADDRESSES[:2], "--yes", "--json")
    assert code == 0 and checked("retire", out)["home_addresses"] == ["2001:db8:a::1"]
    assert roamkey("retire", *registry, "--yes")[0] == 2
    with Registry.open(tmp_path / "registry.sqlite") as opened:
        (pair,) = opened.pairs_for_correspondent(PEER)
        assert not pair.keys


# networks


def test_networks(virtual, roamkey, private) -> None:
    port = ("--port", virtual.port)
    assert "no networks" in roamkey("networks", "list", *port)[1]
    file = private("wifi", PASSWORD + "\n")
    code, out, error = roamkey(
        *("networks", "set", "depot", "--password-file", file, "--priority", "1", *port)
    )
    assert (code, error) == (0, "") and "depot  (with a password)" in out
    code, out, _ = roamkey("networks", "set", "guests", "--open", *port, "--json")
    guests, depot = checked("networks-set", out)
    assert (code, guests["ssid"], depot["ssid"]) == (0, "guests", "depot")
    virtual.reset()
    code, out, _ = roamkey("networks", "list", *port, "--json")
    assert checked("networks-list", out) == [
        {"ssid": "guests", "priority": 0, "open": True},
        {"ssid": "depot", "priority": 1, "open": False},
    ]
    assert PASSWORD not in out
    code, out, _ = roamkey("networks", "remove", "depot", *port, "--json")
    assert code == 0 and [one["ssid"] for one in checked("networks-remove", out)] == ["guests"]
    code, _, error = roamkey("networks", "remove", "depot", *port)
    assert code == 4 and one_line(error)
    short = private("short", "1234567")
    code, _, error = roamkey("networks", "set", "x", "--password-file", short, *port)
    assert code == 1 and one_line(error) and "8 to 64" in error and "1234567" not in error


# time, log


def test_the_log_as_it_is_printed_and_written(virtual, roamkey, tmp_path) -> None:
    file = tmp_path / "board.jsonl"
    pull = ("log", "pull", "--port", virtual.port, "--out", file)
    code, out, error = roamkey(*pull, "--json")
    assert (code, error) == (0, "") and file.read_text() == out
    board, clock, *events = checked_lines("log-pull", out)
    assert (board["board"], board["home_address"]) == (virtual.unique_id.hex(), None)
    assert clock["type"] == "clock" and events[0]["kind"] == "boot"
    assert f"{len(events)} events of board" in roamkey(*pull)[1]


def test_the_clock_of_the_system_is_not_set(virtual) -> None:
    with SerialClient(virtual.port) as client:
        client.identify()
        assert abs(client.ask("time")["unix_s"] - time.time()) < 60
        with pytest.raises(RefusedError, match="keeps its own clock"):
            client.ask("time", {"set": 1800000000})
