"""What `roamkey doctor` says of boards, real and told of."""

import dataclasses

import pytest
from counter import counter_of
from stores import MemoryStore

from mip6 import addresses
from mip6.keystore.keystore import Keystore
from roamkey.board import built, doctor
from roamkey.board.repl import Facts, Repl
from roamkey.enroll import deliver
from roamkey.enroll.plan import Plan
from roamkey.lab.board import VirtualBoard

HEALTHY = {
    "ram": 130_000,
    "missing": [],
    "sha1": True,
    "sha256": True,
    "network": "",
    "ipv6": "",
    "wifi": "",
    "raw": "",
    "files": "<class 'VfsLfs2'>",
    "block": 4096,
    "free": 800_000,
    "agent": None,
    "boot": False,
    "keys": 0,
}
PICO_W = Facts("e661", "rp2", "Raspberry Pi Pico W with RP2040", "1.28.0", 0x1306)


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent of 25 files of 2 KB: compiling the real one for each platform takes its time."""
    files = {f"mip6/{number}.mpy": bytes(2000) for number in range(25)}
    monkeypatch.setattr(built, "image_for", lambda *_: built.Image("mpy", files, b""))


def verdicts(facts: Facts, **changes: object) -> dict[str, doctor.Check]:
    """The checks that aren't fine."""
    checks = doctor._checks(facts, {**HEALTHY, **changes}, {})
    return {check.name: check for check in checks if check.verdict != doctor.OK}


@pytest.mark.lab
def test_a_board_with_an_agent(virtual: VirtualBoard) -> None:
    found = doctor.examine(virtual.port)
    assert found.fit and found.board == virtual.unique_id.hex()
    by_name = {check.name: check for check in found.checks}
    assert by_name["agent"].verdict == "ok"
    assert by_name["keys"].todo == "roamkey provision"
    assert by_name["file system"].found == "littlefs"
    assert doctor.examine(virtual.port).fit  # the agent runs again


@pytest.mark.lab
def test_ram_is_counted_without_the_agent(virtual: VirtualBoard) -> None:
    """An ESP32's heap grows by what the agent needs: with it, 30 KB were left of 170."""
    with Repl(virtual.port) as board:
        beside = int(board.run("import gc\ngc.collect()\nprint(gc.mem_free())"))
        board.restart()
    ram = next(check for check in doctor.examine(virtual.port).checks if check.name == "RAM")
    assert int(ram.found.removesuffix(" KB free")) << 10 > beside + 90_000


def test_a_healthy_pico_w(image) -> None:
    assert {name: check.verdict for name, check in verdicts(PICO_W).items()} == {
        "agent": "advice",
        "keys": "advice",
    }


@pytest.mark.parametrize(
    ("facts", "changes", "name", "todo"),
    [
        ({"platform": "stm32"}, {}, "MicroPython", "boards/"),
        ({"micropython": "1.19.1"}, {}, "MicroPython", "1.23"),
        ({}, {"missing": ["asyncio"]}, "modules", "standard firmware"),
        ({}, {"network": "ImportError: no module named 'network'"}, "network", "RPI_PICO_W"),
        ({}, {"sha1": False}, "SHA-1", "standard firmware"),
        ({}, {"sha256": False}, "SHA-256", "flash"),
        ({}, {"files": "<class 'VfsFat'>"}, "file system", "littlefs"),
        ({}, {"free": 100_000}, "space", "remove files"),
        ({}, {"ram": 60_000}, "RAM", "80 KB"),
    ],
)
def test_what_is_lacking(facts, changes, name, todo, image) -> None:
    check = verdicts(dataclasses.replace(PICO_W, **facts), **changes)[name]
    assert check.verdict == doctor.LACKS and todo in check.todo


@pytest.mark.parametrize(
    ("accepted", "verdict", "found"),
    [
        (100, "ok", "there"),
        (59000, "advice", "90 % of the last key for 2001:db8:c::2 is used"),
        (65535, "lacks", "no uses left for 2001:db8:c::2: it is told of no move"),
    ],
)
def test_keys_without_uses_left_arent_fit(
    accepted, verdict, found, virtual: VirtualBoard, registry
) -> None:
    home, peer = addresses.parse("2001:db8:a::1"), addresses.parse("2001:db8:c::2")
    deliver.provision(registry, virtual.port, Plan(home, (peer,), generations=1))
    virtual.power_cut()
    store = MemoryStore()
    store.records = {
        name.removeprefix("/roamkey/"): virtual.read_file(name)
        for name in virtual.list_files()
        if name.startswith("/roamkey/")
    }
    keystore = Keystore(store)
    keystore.load()
    counter_of(keystore, 0).advance(accepted)
    virtual.install({f"/roamkey/{name}": octets for name, octets in store.records.items()})
    virtual.power_on()
    examined = doctor.examine(virtual.port)
    check = next(check for check in examined.checks if check.name == "keys")
    assert (check.verdict, check.found) == (verdict, found)
    assert examined.fit == (verdict != "lacks")
    assert (check.todo == "roamkey rekey") == (verdict != "ok")


@pytest.mark.parametrize(
    ("facts", "changes", "name"),
    [
        ({"micropython": "1.27.0"}, {}, "MicroPython"),
        ({"mpy": 0x206}, {}, "bytecode"),
        ({"platform": "linux"}, {"sha1": False}, "SHA-1"),
        ({}, {"agent": "0.0.1"}, "agent"),
        ({}, {"boot": True}, "boot.py"),
    ],
)
def test_what_is_advised(facts, changes, name, image) -> None:
    assert verdicts(dataclasses.replace(PICO_W, **facts), **changes)[name].verdict == "advice"


@pytest.mark.parametrize(
    ("platform", "changes", "name"),
    [
        ("rp2", {"wifi": "ValueError: unknown config param"}, "IPv6"),
        ("esp32", {"wifi": "ImportError: no module named 'ip6sta'"}, "IPv6"),
        ("linux", {"ipv6": "OSError: 97"}, "IPv6"),
        ("rp2", {"raw": "OSError: sockets are laid out otherwise"}, "raw sockets"),
        ("linux", {"raw": "OSError: 1"}, "raw sockets"),
    ],
)
def test_without_native_packets_there_is_udp_as_a_fact(platform, changes, name, image) -> None:
    facts = dataclasses.replace(PICO_W, platform=platform)
    checks = {one.name: one for one in doctor._checks(facts, {**HEALTHY, **changes}, {})}
    assert checks[name].verdict == doctor.OK and "UDP alone" in checks[name].found
    assert checks[name].todo == ""
