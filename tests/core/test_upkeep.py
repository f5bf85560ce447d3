"""The console's methods besides keys: networks, log, time, seal."""

import json

from harness import raises
from stores import MemoryStore

from mip6.applog import Printed
from mip6.console import framing
from mip6.console import lock as seal
from mip6.console import methods as console
from mip6.console.upkeep import Upkeep
from mip6.eventlog import EventLog
from mip6.keystore.keystore import Keystore
from mip6.maintenance import networklist
from mip6.supervise import Part

KEY = "6b" * 32
SEAL_ID = "0011223344556677"
PASSWORD = "correct horse"


class Platform:
    """A clock that can be set unless `kept`; randomness that counts."""

    def __init__(self):
        self.seconds = 5
        self.kept = False
        self.problem = ""
        self.drawn = 0

    def clock(self):
        return self.seconds

    def set_clock(self, seconds):
        if self.kept:
            raise OSError(1)
        self.seconds = seconds

    def opening(self):
        return self.problem

    def random(self, octets):
        self.drawn += 1
        return bytes([self.drawn] * octets)


class Application:
    """`told`: what it was told, in order."""

    def __init__(self):
        self.status = "running"
        self.printed = None
        self.part = Part("application")
        self.told = []
        self.broken = False

    def start(self):
        self._tell("start")

    def stop(self):
        self._tell("stop")

    def _tell(self, word):
        if self.broken:
            raise OSError(28)
        self.told.append(word)


class Node:
    feed = None

    def __init__(self):
        self.changes = self.seals = 0
        self.told = {"state": "waiting"}
        self.application = Application()

    def status(self):
        return dict(self.told)

    def seal_changed(self):
        self.seals += 1

    def reload(self):
        pass

    def farewell(self):
        pass

    def networks_changed(self):
        self.changes += 1


class Board:
    """A console with everything."""

    def __init__(self):
        self.store = MemoryStore()
        self.platform = Platform()
        self.node = Node()
        self.ms = 0
        self.log = EventLog(self.now)
        self.start()

    def now(self):
        return self.ms

    def start(self):
        keystore = Keystore(self.store)
        keystore.load()
        closing = seal.Seal(self.store, self.platform.random, self.now)
        upkeep = Upkeep(self.store, closing, self.log, self.platform, networklist, self.node)
        self.console = console.Console(keystore, self.node, {"board": "b0a2d"}, upkeep)

    def call(self, method, **params):
        """(result, None) or (None, error code)."""
        line = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params:
            line["params"] = params
        said = self.console.handle(framing.cover(json.dumps(line).encode()))
        text, covered = framing.uncover(said)
        assert covered and PASSWORD.encode() not in text and KEY.encode() not in text
        answer = json.loads(text)
        return answer.get("result"), answer.get("error", {}).get("code")

    def respond(self, key=KEY):
        asked, _ = self.call("unseal")
        octets = [bytes.fromhex(one) for one in (key, asked["seal_id"], asked["challenge"])]
        return seal.response(*octets).hex()


def test_networks_are_entered_listed_and_removed_without_their_passwords():
    board = Board()
    assert board.call("networks") == ({"networks": []}, None)
    one = {"ssid": "depot", "password": PASSWORD, "priority": 1}
    assert board.call("networks", set=one)[1] is None
    assert board.call("networks", set={"ssid": "open"})[1] is None
    listed = [
        {"ssid": "open", "priority": 0, "open": True},
        {"ssid": "depot", "priority": 1, "open": False},
    ]
    assert board.call("networks")[0]["networks"] == listed
    assert PASSWORD.encode() in board.store.records["networks"]
    assert board.call("networks", set={"ssid": "depot", "priority": 9})[1] is None
    assert PASSWORD.encode() not in board.store.records["networks"]
    assert len(board.call("networks", remove="depot")[0]["networks"]) == 1
    assert board.node.changes == 4


def test_networks_that_are_none():
    board = Board()
    for bad in (
        7,
        {},
        {"ssid": ""},
        {"ssid": "x" * 33},
        {"ssid": "a", "password": "short"},
        {"ssid": "a", "password": "x" * 65},
        {"ssid": "a", "priority": -1},
        {"ssid": "a", "priority": True},
        {"ssid": "a", "key": PASSWORD},
    ):
        assert board.call("networks", set=bad) == (None, -32602), bad
    assert board.call("networks", remove="nowhere") == (None, -32602)
    assert board.call("networks", list=1) == (None, -32602)
    board.store.read_only = True
    assert board.call("networks", set={"ssid": "a"}) == (None, -32001)
    assert not board.store.records and board.node.changes == 1  # it looks what is there
    board.store.read_only = False
    for number in range(16):
        assert board.call("networks", set={"ssid": str(number)})[1] is None
    assert board.call("networks", set={"ssid": "one more"}) == (None, -32602)


def test_a_damaged_record_of_networks_is_replaced():
    board = Board()
    board.store.records["networks"] = b"?"
    assert board.call("networks") == (None, -32602)
    assert board.call("networks", set={"ssid": "a"})[1] is None


def test_the_clock():
    board = Board()
    assert board.call("time") == ({"unix_s": None}, None)
    assert board.call("time", set=1800000000) == ({"unix_s": 1800000000}, None)
    for bad in (0, -1, 1 << 32, 1.5, "now", True):
        assert board.call("time", set=bad) == (None, -32602)
    board.platform.kept = True
    assert board.call("time", set=1800000001) == (None, -32002)


def test_the_log_is_told_in_blocks():
    board = Board()
    board.ms = 7
    board.log.add("warning", "80")
    told, _ = board.call("log")
    assert told == {"block": 1, "oldest": 1, "ms": 7, "text": "0 boot 1 0 0\n7 warning 80"}
    assert board.call("log", block=9)[0]["text"] == ""
    assert board.call("log", since=5) == (None, -32602)


def test_a_sealed_board_says_who_and_how_it_is_and_nothing_else():
    board = Board()
    assert board.call("identify")[0]["sealed"] is None
    assert board.call("seal", seal_id=SEAL_ID, key=KEY) == ({"seal_id": SEAL_ID}, None)
    for _ in range(2):
        assert board.call("identify")[0]["sealed"] == SEAL_ID
        assert board.call("status")[1] is None
        for method in (
            "provision",
            "rekey",
            "reach",
            "erase",
            "reboot",
            "networks",
            "log",
            "time",
            "app",
        ):
            assert board.call(method) == (None, -32003), method
        assert board.call("unlock") == (None, -32601)
        assert not board.console.rebooting
        board.start()


def test_what_a_sealed_board_says_of_its_node_names_nobody():
    board = Board()
    board.node.told = {
        "state": "away",
        "text": "at the SSID",
        "uptime_s": 7,
        "uplinks": [{"uplink": "SSID", "priority": 0, "address": "2001:db8:1::1"}],
        "unsent": 2,
        "faults": {"EIO": 1},
        "drops": {"checksum": 3},
        "home_address": "2001:db8:a::1",
        "care_of_address": "2001:db8:1::1",
        "bindings": [{"correspondent": "2001:db8:c::1", "state": "bound"}],
        "fault": "ValueError: SSID",
        "traceback": "Traceback SSID",
        "application": "ValueError: SSID",
        "application_traceback": "Traceback SSID",
        "parts": [
            {"part": "node", "faults": 1, "restarts": 1, "failed": False, "fault": "SSID"},
        ],
    }
    assert "SSID" in str(board.call("status")[0])
    board.call("seal", seal_id=SEAL_ID, key=KEY)
    told = board.call("status")[0]
    assert told["node"] == {
        "sealed": True,
        "state": "away",
        "uptime_s": 7,
        "unsent": 2,
        "faults": {"EIO": 1},
        "drops": {"checksum": 3},
        "bindings": [{"state": "bound"}],
        "application": "failed",
        "parts": [{"part": "node", "faults": 1, "restarts": 1, "failed": False}],
    }
    for trace in ("SSID", "2001:db8:1", "2001:db8:c", "Traceback"):
        assert trace not in str(told)


def test_the_application_is_started_and_kept_from_starting():
    board = Board()
    told = {"application": "running", "traceback": ""}
    assert board.call("app") == (told, None)
    assert board.call("app", set="stop") == (told, None)
    assert board.call("app", set="start") == (told, None)
    assert board.call("app", set="begin") == (None, -32602)
    assert board.node.application.told == ["stop", "start"]
    board.node.application.broken = True
    assert board.call("app", set="stop") == (None, -32001)


def test_the_application_is_asked_for_what_it_printed_and_for_its_program():
    board = Board()
    told = {"application": "running", "traceback": ""}
    nothing = dict(told, printed="", at=0, end=0)
    assert board.call("app", printed=0) == (nothing, None)
    assert board.call("app", program=0) == (dict(told, octets=None), None)
    board.node.application.printed = printed = Printed()
    printed.tell("a" * 800, False)
    board.node.application.part.traceback = "Traceback"
    said = board.call("app", printed=700)[0]
    assert said == {
        "application": "running",
        "traceback": "Traceback",
        "printed": "YWFh" * 33 + "YQ==",
        "at": 700,
        "end": 800,
    }
    for wrong in (-1, "0", True, 0.5):
        assert board.call("app", printed=wrong) == (None, -32602)
        assert board.call("app", program=wrong) == (None, -32602)


def test_unsealing():
    board = Board()
    assert board.call("unseal") == (None, -32002)
    board.call("seal", seal_id=SEAL_ID, key=KEY)
    assert board.call("unseal", response="00" * 20) == (None, -32003)  # no challenge yet
    assert board.call("unseal", response="zz") == (None, -32602)
    assert board.call("unseal", response=board.respond("00" * 32)) == (None, -32003)
    assert board.call("unseal")[0]["wait_s"] == 1
    assert board.call("unseal", response=board.respond()) == (None, -32004)
    board.start()
    assert board.call("unseal", response=board.respond()) == (None, -32004)
    board.ms += 1000
    told = board.node.seals
    assert board.call("unseal", response=board.respond()) == ({}, None)
    assert board.node.seals == told + 1  # 0x03 may interrupt the application again
    assert board.call("identify")[0]["sealed"] is None
    assert board.call("time")[1] is None


def test_a_seal_that_would_not_hold_is_refused():
    board = Board()
    board.platform.problem = "/boot.py can be interrupted"
    assert board.call("seal", seal_id=SEAL_ID, key=KEY) == (None, -32002)
    board.platform.problem = ""
    assert board.call("seal", seal_id=SEAL_ID, key=KEY[2:]) == (None, -32002)
    assert board.call("seal", seal_id=SEAL_ID) == (None, -32602)
    board.store.read_only = True
    assert board.call("seal", seal_id=SEAL_ID, key=KEY) == (None, -32001)
    assert board.call("identify")[0]["sealed"] is None


def test_erase_takes_passwords_along():
    board = Board()
    board.call("networks", set={"ssid": "depot", "password": PASSWORD})
    assert board.call("erase") == ({}, None)
    assert list(board.store.records) == ["used"]
    board.store.read_only = True
    assert board.call("erase") == (None, -32001)


def test_erase_takes_the_log_along():
    blocks = MemoryStore()
    board = Board()
    board.log = EventLog(board.now, blocks)
    board.start()
    board.log.add("attached", "2001:db8:1::7")
    board.log.write_lines()
    board.log.save()
    assert board.call("erase") == ({}, None)
    assert b"2001:db8" not in b"".join(blocks.records.values())
    assert "2001:db8" not in board.call("log")[0]["text"]


def test_what_fails_to_be_erased_keeps_nothing_else():
    class Sticky(MemoryStore):
        stuck = "networks"

        def remove(self, name):
            if name == self.stuck:
                raise OSError(5)
            MemoryStore.remove(self, name)

    for stuck in ("networks", "000001"):
        board = Board()
        board.store, blocks = Sticky(), Sticky({"000001": b"0 boot 1 1 0"})
        board.store.stuck = blocks.stuck = stuck
        board.store.write("keys", b"of somebody")
        board.log = EventLog(board.now, blocks)
        board.start()
        board.call("networks", set={"ssid": "depot", "password": PASSWORD})
        assert board.call("erase") == (None, -32001)
        assert "keys" not in board.store.records
        board.store.stuck = blocks.stuck = None
        assert board.call("erase") == ({}, None)
        assert list(board.store.records) == ["used"] and "000001" not in blocks.records


def test_repr_shows_nothing():
    assert "hidden" in repr(networklist.WifiNetwork("a", PASSWORD, 0))
    raises(ValueError, networklist.change, MemoryStore(), {"ssid": "a", "password": 5}, None)


def test_networks_change_whole_or_not_at_all():
    board = Board()
    board.call("networks", set={"ssid": "depot", "password": PASSWORD})
    before, changes = dict(board.store.records), board.node.changes
    assert board.call("networks", set={"ssid": "other"}, remove="nobody") == (None, -32602)
    assert board.store.records == before and board.node.changes == changes
    assert board.call("networks", set={"ssid": "other"}, remove="depot")[1] is None
    assert [one["ssid"] for one in board.call("networks")[0]["networks"]] == ["other"]


def test_the_node_goes_by_the_networks_in_flash_also_where_a_write_failed():
    board = Board()
    board.store.fail_at, board.store.keep = 0, True
    changes = board.node.changes
    assert board.call("networks", set={"ssid": "other"}) == (None, -32001)
    assert board.node.changes == changes + 1
