"""The console's lines and requests, without a serial port."""

import json

from counter import counter_of
from harness import raises
from stores import MemoryStore

from mip6 import terminal
from mip6.console import framing
from mip6.console import params as console_params
from mip6.console.methods import Console
from mip6.keystore.keystore import Keystore

KCN = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2"
OTHER = "07e2" + KCN[4:]
SET_ID = "0011223344556677"


class Node:
    feed = None

    def __init__(self):
        self.reloads = 0
        self.restarts = False
        self.told = None

    def farewell(self):
        if self.told:
            self.told()

    def status(self):
        return {"state": "waiting"}

    def reload(self):
        self.reloads += 1
        return self.restarts


def board(store=None):
    keystore = Keystore(store or MemoryStore())
    keystore.load()
    node = Node()
    return Console(keystore, node, {"board": "b0a2d", "agent": "0"}), keystore, node


def request(method, params=None, **changes):
    fields = {"jsonrpc": "2.0", "id": 7, "method": method}
    if params is not None:
        fields["params"] = params
    fields.update(changes)
    return json.dumps(fields).encode()


def ask(console, line):
    """The answer to a plain line, read."""
    answer = json.loads(console.handle(line))
    assert answer["jsonrpc"] == "2.0"
    return answer


def error_code(console, line):
    answer = ask(console, line)
    assert set(answer) == {"jsonrpc", "id", "error"}
    assert set(answer["error"]) == {"code", "message"}
    assert "\n" not in answer["error"]["message"]
    return answer["error"]["code"]


def params():
    return {
        "set_id": SET_ID,
        "home_address": "2001:db8:a::1",
        "correspondents": [
            {
                "address": "2001:db8:c::2",
                "home_nonce": "0001020304050607",
                "care_of_nonce": "08090a0b0c0d0e0f",
                "lifetime": 420,
                "keys": [{"generation": 0, "kcn": KCN}],
            }
        ],
    }


def reaching():
    whole = altered("correspondents/0/reach", ["cn.example", "192.0.2.1:443", "[2001:db8::9]:1"])
    return dict(whole, native=False)


def altered(path, value):
    """The parameters with one field replaced; `path` as "correspondents/0/lifetime"."""
    changed = params()
    place = changed
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in way:
        place = place[step]
    place[last] = value
    return changed


def test_identify_before_and_after_provisioning():
    console, _, node = board()
    result = ask(console, request("identify"))["result"]
    assert result["board"] == "b0a2d"
    assert result["provisioned"] is False and result["set_id"] is None
    assert ask(console, request("provision", params())) == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {"set_id": SET_ID},
    }
    assert node.reloads == 1
    result = ask(console, request("identify"))["result"]
    assert result["provisioned"] is True and result["set_id"] == SET_ID
    assert result["keystore"] == "ready"


def test_status_tells_what_is_left_and_no_secret():
    console, keystore, _ = board()
    ask(console, request("provision", params()))
    keystore.take(0)
    answer = console.handle(request("status"))
    peer = json.loads(answer)["result"]["keystore"]["peers"][0]
    assert peer["correspondent"] == "2001:db8:c::2"
    assert peer["generation"] == 0 and peer["uses_left"] == 65535
    for secret in (KCN, "0001020304050607", "08090a0b0c0d0e0f"):
        assert secret.encode() not in answer


def test_a_board_that_has_to_start_afresh_for_its_keys_says_so_first():
    console, keystore, node = board()
    node.restarts = True
    answer = ask(console, request("provision", params()))["result"]
    assert answer == {"set_id": SET_ID, "restarts": True}
    assert console.rebooting and keystore.credentials.set_id.hex() == SET_ID


def test_provisioning_the_same_set_again_changes_nothing():
    console, keystore, node = board()
    ask(console, request("provision", params()))
    keystore.take(0)
    assert ask(console, request("provision", params()))["result"] == {"set_id": SET_ID}
    assert node.reloads == 1
    assert keystore.take(0) == (0, 1)


def test_bad_parameters_write_nothing_and_are_not_repeated():
    bad = [
        None,
        [],
        {},
        dict(params(), more=1),
        altered("set_id", "00112233445566"),
        altered("set_id", None),
        altered("home_address", "2001:db8::g"),
        altered("home_address", "fe80::1"),
        altered("home_address", "2001:db8:c::2"),
        altered("correspondents", []),
        altered("correspondents", {}),
        altered("correspondents/0", 3),
        altered("correspondents/0/address", "ff02::1"),
        altered("correspondents/0/home_nonce", "00"),
        altered("correspondents/0/care_of_nonce", "00" * 33),
        altered("correspondents/0/lifetime", "420"),
        altered("correspondents/0/lifetime", True),
        altered("correspondents/0/lifetime", 262141),
        altered("correspondents/0/lifetime", 4.5),
        altered("correspondents/0/keys", {}),
        altered("correspondents/0/keys/0", {"generation": 0}),
        altered("correspondents/0/keys/0/generation", -1),
        altered("correspondents/0/keys/0/kcn", KCN[:38]),
        altered("correspondents/0/keys/0/kcn", KCN[:-1]),
        altered("correspondents/0/keys/0/kcn", KCN[:-1] + "g"),
        altered("correspondents/0/keys", [{"generation": g, "kcn": KCN} for g in (0, 1)]),
        dict(params(), native=0),
        dict(params(), native=None),
        altered("correspondents/0/reach", None),
        altered("correspondents/0/reach", "cn.example"),
        altered("correspondents/0/reach", [4191]),
        altered("correspondents/0/reach", ["a"] * 5),
        altered("correspondents/0/reach", ["fe80::1"]),
        altered("correspondents/0/reach", ["a:0"]),
    ]
    for parameters in bad:
        store = MemoryStore()
        console, _, node = board(store)
        line = request("provision", parameters)
        assert error_code(console, line) == -32602, parameters
        assert KCN[:12].encode() not in console.handle(line)
        assert not store.records and not node.reloads


def test_storage_failure_is_told_and_the_old_set_stays():
    store = MemoryStore()
    console, _, node = board(store)
    ask(console, request("provision", params()))
    store.read_only = True
    changed = altered("set_id", "ffeeddccbbaa9988")
    changed["correspondents"][0]["keys"][0]["kcn"] = OTHER
    assert error_code(console, request("provision", changed)) == -32001
    assert node.reloads == 2
    assert ask(console, request("identify"))["result"]["set_id"] == SET_ID


def test_a_board_starts_afresh_for_a_set_that_is_there_after_a_failure_too():
    store = MemoryStore()
    console, _, node = board(store)
    store.read_only = node.restarts = True
    assert error_code(console, request("provision", params())) == -32001
    assert console.rebooting


def test_a_set_under_a_known_id_is_refused():
    console, _, _ = board()
    ask(console, request("provision", params()))
    changed = altered("correspondents/0/keys/0/kcn", OTHER)
    assert error_code(console, request("provision", changed)) == -32002


def test_wrong_requests():
    console, _, _ = board()
    for line, code in (
        (b"hello", -32700),
        (b'{"jsonrpc"', -32700),
        (b"\xff\xfe\x00", -32700),
        (b"[" * 2000, -32700),
        (b"3", -32600),
        (b"[]", -32600),
        (b"null", -32600),
        (b'{"id":1}', -32600),
        (request("identify", jsonrpc="1.0"), -32600),
        (request("identify", id=[1]), -32600),
        (request("identify", id=1.5), -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (request("read_kcn"), -32601),
        (request("identify", {"a": 1}), -32602),
        (request("identify", [1]), -32602),
        (request("status", {"a": 1}), -32602),
        (request("reboot", {"a": 1}), -32602),
    ):
        assert error_code(console, line) == code, line
    assert console.counts["damaged"] == 4
    assert not console.rebooting


def test_an_error_carries_the_id_of_its_request():
    console, _, _ = board()
    assert ask(console, request("nothing", id="x"))["id"] == "x"
    assert ask(console, b"{")["id"] is None


def test_a_notification_is_not_answered():
    console, _, _ = board()
    assert console.handle(b'{"jsonrpc":"2.0","method":"identify"}') is None


def test_a_fault_inside_is_an_answer():
    console, keystore, _ = board()
    keystore.provision = None
    assert error_code(console, request("provision", params())) == -32603


def test_reboot():
    console, _, _ = board()
    assert ask(console, request("reboot"))["result"] == {}
    assert console.rebooting


def test_a_sealed_line_gets_a_sealed_answer():
    console, _, _ = board()
    text, sealed = framing.uncover(console.handle(framing.cover(request("identify"))))
    assert sealed and json.loads(text)["id"] == 7


def test_every_bit_turned_in_a_sealed_line_is_noticed():
    console, _, _ = board()
    line = framing.cover(request("reboot"))
    for bit in range(8 * len(line)):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        console.handle(bytes(damaged))
        assert not console.rebooting, bit
    assert console.counts["damaged"] == 8 * len(line)


def test_every_octet_lost_or_doubled_in_a_sealed_line_is_noticed():
    console, _, _ = board()
    line = framing.cover(request("reboot"))
    for at in range(len(line)):
        console.handle(line[:at] + line[at + 1 :])
        console.handle(line[:at] + line[at : at + 1] + line[at:])
        if line[at - 1 : at] != b"}":  # a whole request without its CRC is a plain one
            console.handle(line[:at])
        assert not console.rebooting, at


def long_request():
    keys = [{"generation": n, "kcn": "%02x" % n + KCN[2:]} for n in range(6)]
    return request("provision", altered("correspondents/0/keys", keys))


def test_pieces():
    console, _, _ = board()
    *pieces, last = framing.cut(long_request())
    assert len(pieces) >= 3
    for number, piece in enumerate(pieces):
        assert len(piece) + 2 <= framing.LINE_OCTETS_SENT
        for _ in range(2):  # as if the acknowledgement had been lost
            assert console.handle(piece) == framing.cover(framing.acknowledgement(number))
    answer, sealed = framing.uncover(console.handle(last))
    assert sealed and json.loads(answer)["result"] == {"set_id": SET_ID}


def test_a_missing_piece_is_noticed_and_nothing_done():
    pieces = framing.cut(long_request())
    for missing in range(len(pieces) - 1):
        store = MemoryStore()
        console, _, _ = board(store)
        for number, piece in enumerate(pieces):
            if number != missing:
                answer = console.handle(piece)
        assert json.loads(framing.uncover(answer)[0])["error"]["code"] == -32700
        assert not store.records


def test_a_damaged_piece_can_be_sent_again():
    console, _, _ = board()
    *pieces, last = framing.cut(long_request())
    for piece in pieces:
        console.handle(piece[:20] + b"?" + piece[21:])
        console.handle(piece)
    console.handle(last[:8] + b"?" + last[9:])
    assert b'"result"' in console.handle(last)


def test_an_interrupted_message_makes_room_for_the_next():
    console, _, _ = board()
    pieces = framing.cut(long_request())
    console.handle(pieces[0])
    for piece in pieces:
        answer = console.handle(piece)
    assert b'"result"' in answer


def test_pieces_need_a_crc_and_a_number():
    console, _, _ = board()
    assert error_code(console, b"+00 {") == -32700
    for text in (b"+", b"+0", b"+0g x", b"+-1 x", b"+00x", b".00", b"+0A x"):
        answer = framing.uncover(console.handle(framing.cover(text)))[0]
        assert json.loads(answer)["error"]["code"] == -32700, text


def test_a_message_beyond_the_limit_is_refused():
    console, _, _ = board()
    raises(terminal.Oversized, framing.cut, bytes(framing.MESSAGE_OCTETS_MAX + 1))
    for number in range(100):
        text = b"+%02x %s" % (number, b"x" * framing.PIECE_OCTETS)
        answer = framing.uncover(console.handle(framing.cover(text)))[0]
        if answer[:1] != b"+":
            break
    assert json.loads(answer)["error"]["code"] == -32600
    assert number == framing.MESSAGE_OCTETS_MAX // framing.PIECE_OCTETS


def read(reader, octets):
    """The lines in `octets`; "oversized" stands for a line that was too long."""
    found = []
    for octet in octets:
        try:
            line = reader.feed(octet)
        except terminal.Oversized:
            line = "oversized"
        if line is not None:
            found.append(line)
    return found


def test_lines_end_with_lf_or_cr_and_empty_ones_are_none():
    reader = terminal.LineReader(8)
    assert read(reader, b"ab\ncd\r\n\n\r\nx") == [b"ab", b"cd"]
    assert read(reader, b"\n") == [b"x"]
    assert read(reader, bytes(range(4, 10)) + b"\n\xff\x00\n") == [
        bytes(range(4, 10)),
        b"\xff\x00",
    ]


def test_a_line_of_any_length_loses_nothing_after_it():
    for length in range(1, 40):
        reader = terminal.LineReader(8)
        first = b"x" * length if length <= 8 else "oversized"
        assert read(reader, b"x" * length + b"\nnext\n") == [first, b"next"]


def test_an_interrupt_counts_at_the_start_of_a_line():
    for before, after in ((b"", True), (b"ab\n", True), (b"\r", True), (b"ab", False)):
        reader = terminal.LineReader(8)
        read(reader, before + b"\x03")
        assert reader.interrupted == after
    assert read(reader, b"new\n") == [b"new"]  # what stood in the line is gone
    read(reader, b"\x03")
    assert reader.interrupted


def test_parameters_say_what_they_are_made_of():
    credentials = console_params.credentials_from(params())
    assert console_params.parameters_of(credentials) == params()


def test_a_home_agent_is_one_of_the_correspondents():
    console, keystore, _ = board()
    whole = dict(params(), home_agent="2001:db8:c:0::2")
    assert ask(console, request("provision", whole))["result"] == {"set_id": SET_ID}
    assert keystore.credentials.home_agent == 0
    credentials = console_params.credentials_from(whole)
    assert console_params.parameters_of(credentials) == dict(params(), home_agent="2001:db8:c::2")
    console, keystore, _ = board()
    for wrong in ("2001:db8:c::3", "nobody", 0, ["2001:db8:c::2"]):
        assert error_code(console, request("provision", dict(whole, home_agent=wrong))) == -32602
    assert keystore.credentials is None


def test_where_a_correspondent_is_reached():
    console, keystore, node = board()
    assert ask(console, request("identify"))["result"]["features"] == [
        "reach",
        "path",
        "home-agent",
    ]
    assert ask(console, request("provision", reaching()))["result"] == {"set_id": SET_ID}
    places = ["cn.example:4191", "192.0.2.1:443", "[2001:db8::9]:1"]
    told = ask(console, request("status"))["result"]["keystore"]
    assert told["peers"][0]["reach"] == places and told["native"] is False
    credentials = console_params.credentials_from(reaching())
    again = console_params.parameters_of(credentials)
    assert again["correspondents"][0]["reach"] == places and again["native"] is False
    keystore.take(0)

    moved = {"correspondents": [{"address": "2001:db8:c::2", "reach": ["198.51.100.7"]}]}
    for _ in range(2):
        assert ask(console, request("reach", moved))["result"] == {"set_id": SET_ID}
    assert node.reloads == 2
    told = ask(console, request("status"))["result"]["keystore"]
    assert told["peers"][0]["reach"] == ["198.51.100.7:4191"] and told["native"] is False
    ask(console, request("reach", {"correspondents": [], "native": True}))
    assert keystore.credentials.native and keystore.take(0) == (0, 1)
    assert console_params.reach_of({b"\x20\x01" + bytes(14): [("a", 1)]}, None) == {
        "correspondents": [{"address": "2001::", "reach": ["a:1"]}]
    }


def test_places_that_are_refused():
    console, keystore, node = board()
    nobody = {"correspondents": [{"address": "2001:db8:c::3", "reach": []}]}
    assert error_code(console, request("reach", nobody)) == -32002
    ask(console, request("provision", params()))
    one = {"address": "2001:db8:c::2", "reach": []}
    for wrong, code in (
        (nobody, -32002),
        (None, -32602),
        ({}, -32602),
        ({"correspondents": [one, one]}, -32602),
        ({"correspondents": [dict(one, reach=["a:b"])]}, -32602),
        ({"correspondents": [dict(one, reach=["fe80::1"])]}, -32002),
        ({"correspondents": [dict(one, more=1)]}, -32602),
        ({"correspondents": [one], "native": "no"}, -32602),
    ):
        assert error_code(console, request("reach", wrong)) == code, wrong
    assert keystore.credentials.peers[0].reach == [] and node.reloads == 1


def test_places_in_text():
    for text, host, port in (
        ("cn.example", "cn.example", 4191),
        ("cn.example:1", "cn.example", 1),
        ("192.0.2.1", "192.0.2.1", 4191),
        ("2001:db8::1", "2001:db8::1", 4191),
        ("[2001:db8::1]", "2001:db8::1", 4191),
        ("[2001:db8::1]:65535", "2001:db8::1", 65535),
    ):
        assert console_params.place_from(text) == (host, port)
    for text in ("a:", ":", "a:x", "a:-1", "a:000001", "[::1", "[::1]x", "[::1]:", "[a]:1", 5):
        raises(ValueError, console_params.place_from, text)


def test_the_largest_set_with_places_fits_a_message():
    whole = params()
    pair = whole["correspondents"][0]
    keys = [{"generation": 0, "kcn": KCN}] * 4
    reach = ["correspondent-%d.department.example:4191" % n for n in range(4)]
    whole["correspondents"] = [dict(pair, keys=keys, reach=reach)] * 16
    assert len(request("provision", whole)) <= framing.MESSAGE_OCTETS_MAX


def new_keys(set_id="ffeeddccbbaa9988", kcn=OTHER, generation=1, address="2001:db8:c::2"):
    keys = [{"generation": generation, "kcn": kcn}]
    return {"set_id": set_id, "correspondents": [{"address": address, "keys": keys}]}


def test_rekey_changes_the_keys_and_nothing_else():
    console, keystore, node = board()
    assert error_code(console, request("rekey", new_keys())) == -32002
    ask(console, request("provision", params()))
    before = keystore.credentials
    for _ in range(2):  # as if the answer had been lost
        answer = ask(console, request("rekey", new_keys()))
        assert answer["result"] == {"set_id": "ffeeddccbbaa9988"}
    assert node.reloads == 2
    after = keystore.credentials
    assert after.peers[0].generations == [(1, bytes.fromhex(OTHER))]
    assert after.home_address == before.home_address
    for field in ("correspondent", "home_nonce", "care_of_nonce", "lifetime"):
        assert getattr(after.peers[0], field) == getattr(before.peers[0], field)
    assert counter_of(keystore, 0).peek == 0


def test_rekeys_that_are_refused():
    console, keystore, node = board()
    ask(console, request("provision", params()))
    before = keystore.credentials
    for wrong, code in (
        (new_keys(address="2001:db8:c::3"), -32002),
        (new_keys(set_id=SET_ID), -32002),
        ({"set_id": "ffeeddccbbaa9988", "correspondents": []}, -32002),
        (new_keys(kcn=OTHER[2:] + "zz"), -32602),
        (new_keys(kcn=OTHER[:38]), -32002),
        (new_keys(generation=-1), -32002),
        (new_keys(set_id="00"), -32002),
        ({"set_id": "ffeeddccbbaa9988"}, -32602),
        (params(), -32602),
    ):
        line = request("rekey", wrong)
        assert error_code(console, line) == code, wrong
        assert OTHER[:12].encode() not in console.handle(line)
    twice = new_keys()
    twice["correspondents"] *= 2
    assert error_code(console, request("rekey", twice)) == -32602
    assert keystore.credentials is before and node.reloads == 1


def test_erase():
    console, keystore, node = board()
    ask(console, request("provision", params()))
    assert ask(console, request("erase"))["result"] == {}
    assert node.reloads == 2 and not keystore.scrub_due
    assert ask(console, request("identify"))["result"]["keystore"] == "empty"
    assert ask(console, request("erase"))["result"] == {}


def test_correspondents_are_told_before_keys_are_erased():
    console, keystore, node = board()
    ask(console, request("provision", params()))
    numbers = []
    node.told = lambda: numbers.append(keystore.take(0))
    assert ask(console, request("erase"))["result"] == {}
    assert numbers == [(0, 0)]
    ask(console, request("provision", altered("correspondents/0/keys/0/kcn", "77" * 20)))
    node.told = lambda: 1 // 0  # whatever goes wrong there, the keys go
    assert ask(console, request("erase"))["result"] == {}
    assert keystore.status == "empty"


def test_status_tells_how_long_the_keys_last():
    console, keystore, node = board()
    ask(console, request("provision", params()))
    counter_of(keystore, 0).advance(53000)
    (peer,) = ask(console, request("status"))["result"]["keystore"]["peers"]
    assert peer["key"]["uses_left"] == 65536 - 53001
    assert peer["key"]["warning"] is None
    assert peer["key"]["days_left"] == (65536 - 53001) * 360 // 86400  # of 420 s lifetime
    counter_of(keystore, 0).advance(59000)
    (peer,) = ask(console, request("status"))["result"]["keystore"]["peers"]
    assert peer["key"]["warning"] == 90
    rated = {"uses_left": 1, "days_left": 3, "warning": 95}
    node.status = lambda: {"bindings": [{"key": rated}]}
    (peer,) = ask(console, request("status"))["result"]["keystore"]["peers"]
    assert peer["key"] == rated


def test_an_erase_of_seconds_feeds_the_watchdog():
    class Store(MemoryStore):
        def scrubbing(self):
            for _ in range(212):  # the blocks of a Pico W's file system
                yield

    fed = []
    console, _, node = board(Store())
    node.feed = lambda: fed.append(1)
    assert ask(console, request("erase"))["result"] == {}
    assert len(fed) >= 212
