"""A home agent, and correspondents without a key: from the command line onto a virtual board."""

import io
import zipfile
from pathlib import Path

import pytest
from json_output import checked

from mip6 import addresses
from roamkey.board.built import Image
from roamkey.board.serial_client import SerialClient
from roamkey.lab.board import VirtualBoard
from roamkey.lab.installed import installed_files
from roamkey.registry import CORRESPONDENT, HOME_AGENT, Registry

HOME, PEER, AGENT = "2001:db8:a::1", "2001:db8:c::2", "2001:db8:a::ff"
STRANGER = "2001:db8:d::5"
BOTH = ("--home-agent", AGENT, "--return-routability", STRANGER)
WARNING = (
    "roamkey: warning: home agent 2001:db8:a::ff is given no key: whoever reaches it can register "
    "this home address elsewhere\n"
)


def one_line(error: str) -> bool:
    return error.startswith("roamkey: ") and error.count("\n") == 1


@pytest.fixture(autouse=True)
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of its own, which isn't there yet."""
    monkeypatch.setenv("ROAMKEY_REGISTRY", str(tmp_path / "registry.sqlite"))


def test_from_command_to_flash_and_back(virtual: VirtualBoard, roamkey, tmp_path: Path) -> None:
    port = ("--port", virtual.port)
    command = ("provision", *port, "--home-address", HOME, "--correspondent", PEER, *BOTH)
    code, out, error = roamkey(*command)
    assert (code, error) == (0, "")
    assert f"home agent     {AGENT}, key generation 0 to 3" in out
    assert f"correspondent  {STRANGER}, by return routability" in out
    with Registry.open() as registry:
        known = {
            text: [
                (pair.role, len(pair.keys)) for pair in registry.pairs_for_correspondent(octets)
            ]
            for text in (PEER, AGENT, STRANGER)
            for octets in (addresses.parse(text),)
        }
        kcns = [key.kcn.hex() for pair in registry.live_keys() for key in pair.keys]
    assert known == {PEER: [(CORRESPONDENT, 4)], AGENT: [(HOME_AGENT, 4)], STRANGER: []}
    assert not any(kcn in out for kcn in kcns)

    virtual.reset()
    status = checked("status", roamkey("status", *port, "--json")[1])
    assert "home-agent" in status["identity"]["features"]
    told = {
        peer["correspondent"]: (peer["role"], peer["generations"], peer["key"] is None)
        for peer in status["keystore"]["peers"]
    }
    assert told == {
        PEER: (CORRESPONDENT, [0, 1, 2, 3], False),
        STRANGER: (CORRESPONDENT, [], True),
        AGENT: (HOME_AGENT, [0, 1, 2, 3], False),
    }
    assert status["node"]["home_agent"] == AGENT
    assert [one["authorized_by"] for one in status["node"]["bindings"]] == [
        "static key",
        "return routability",
        "static key",
    ]
    out = roamkey("status", *port)[1]
    assert f"home agent     {AGENT}, key generation 0, 262144 uses left" in out
    assert f"correspondent  {STRANGER}, by return routability" in out and "warning" not in out

    told = checked("rekey", roamkey("rekey", *port, "--generations", "2", "--json")[1])
    assert told["correspondents"] == [
        {"address": PEER, "generations": [4, 5]},
        {"address": STRANGER, "generations": []},
    ]
    assert told["home_agent"] == {"address": AGENT, "generations": [4, 5]}
    with SerialClient(virtual.port) as client:
        peers = client.status()["keystore"]["peers"]
    assert [(one["correspondent"], one["role"], one["generations"]) for one in peers] == [
        (PEER, CORRESPONDENT, [4, 5]),
        (STRANGER, CORRESPONDENT, []),
        (AGENT, HOME_AGENT, [4, 5]),
    ]
    virtual.power_cut()
    assert virtual.read_file("/roamkey/keys")[:2] == b"K\x03"
    virtual.power_on()
    code, out, error = roamkey("erase", *port, "--yes")
    assert (code, error) == (0, "") and HOME in out
    with Registry.open() as registry:
        assert registry.live_keys() == []
        assert registry.node_by_home_address(addresses.parse(HOME)).board_id is None


def test_no_key_at_all(virtual: VirtualBoard, roamkey) -> None:
    """A laboratory's home agent, and whoever does return routability: nothing is secret, all of it
    is in the registry, and said."""
    port = ("--port", virtual.port)
    command = ("provision", *port, "--home-address", HOME, "--return-routability", STRANGER)
    command += ("--insecure-home-agent", AGENT)
    code, out, error = roamkey(*command)
    assert (code, error) == (0, WARNING)
    assert f"home agent     {AGENT}, no key: registered without authentication" in out
    code, _, error = roamkey(*command)
    assert code == 4 and error.endswith("--replace gives it new ones\n")
    code, out, error = roamkey(*command, "--replace", "--json")
    told = checked("provision", out)
    assert (code, error) == (0, WARNING)
    assert told["home_agent"] == {"address": AGENT, "generations": [], "reach": []}
    out = roamkey("status", *port)[1]
    assert f"home agent     {AGENT}, no key" in out
    assert "warning        registered without authentication" in out and "used up" not in out
    status = checked("status", roamkey("status", *port, "--json")[1])
    assert status["node"]["bindings"][1]["authorized_by"] == "nothing"
    code, _, error = roamkey("rekey", *port)
    assert code == 4 and one_line(error) and "there is none to change" in error
    # Then with keys, and the set before is gone.
    code, _, error = roamkey(
        *("provision", *port, "--home-address", HOME, "--home-agent", AGENT, "--replace")
    )
    assert (code, error) == (0, "")
    code, _, error = roamkey("retire", "--home-address", HOME, "--yes")
    assert (code, error) == (0, "")
    with Registry.open() as registry:
        assert registry.sets_of_board(virtual.unique_id.hex()) == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--return-routability", STRANGER), 1, "needs a home agent: --home-agent names one"),
        (("--home-agent", PEER), 1, "the home agent is given as a correspondent too"),
        (("--home-agent", HOME), 1, "the home address is given as a home agent too"),
        (("--home-agent", "ff02::1"), 1, "--home-agent: ff02::1 is not unicast and global"),
        (("--insecure-home-agent", "a"), 1, "--insecure-home-agent: "),
        (("--return-routability", "192.0.2.1"), 1, "--return-routability: 192.0.2.1 is an IPv4"),
        ((*BOTH, "--return-routability", STRANGER), 1, "a correspondent is given twice"),
        ((*BOTH, "--no-home-agent"), 2, "give one of --home-agent"),
        ((*BOTH, "--insecure-home-agent", AGENT), 2, "give one of --home-agent"),
    ],
)
def test_bad_options(options, code, words, roamkey, tmp_path: Path) -> None:
    for command in (("provision",), ("setup",)):
        found, out, error = roamkey(
            *(*command, "--port", "/dev/nowhere", "--home-address", HOME),
            *("--correspondent", PEER, *options),
        )
        assert (found, out) == (code, "") and words in " ".join(error.split())
        assert code == 2 or one_line(error)
    assert not (tmp_path / "registry.sqlite").exists()


def test_the_sites_home_agent(virtual: VirtualBoard, roamkey) -> None:
    """Given to all boards, reached where it is said; or not, where that is said."""
    port = ("--port", virtual.port)
    made = checked(
        "init",
        roamkey(
            *("init", "--reach", "192.0.2.1", "--reach", "2001:db8:a::1=ha.example:443"),
            *("--correspondent", PEER, "--home-prefix", "2001:db8:a::/64", "--json"),
            *("--home-agent", HOME),
        )[1],
    )
    assert made["reach"] == ["192.0.2.1:4191"]
    assert (made["home_agent"], made["home_agent_reach"]) == (HOME, ["ha.example:443"])
    out = roamkey("init")[1]
    assert f"home agent     {HOME}\nreach          ha.example:443" in out
    told = checked("provision", roamkey("provision", *port, "--json")[1])
    assert told["home_address"] == "2001:db8:a::2", "the home agent has the first"
    assert told["home_agent"] == {
        "address": HOME,
        "generations": [0, 1, 2, 3],
        "reach": ["ha.example:443"],
    }
    # Its reach changes as the correspondent's does.
    assert roamkey("init", "--reach", "2001:db8:a::1=192.0.2.7")[0] == 0
    told = checked("reach", roamkey("reach", *port, "--json")[1])
    assert told["correspondents"] == [
        {"address": PEER, "reach": ["192.0.2.1:4191"], "role": CORRESPONDENT},
        {"address": HOME, "reach": ["192.0.2.7:4191"], "role": HOME_AGENT},
    ]
    out = roamkey("reach", *port)[1]
    assert f"home agent     {HOME}\nreach          192.0.2.7:4191" in out
    # The site's correspondent by return routability, the site's home agent with it.
    told = checked(
        "provision",
        roamkey("provision", *port, "--replace", "--return-routability", PEER, "--json")[1],
    )
    assert [one["generations"] for one in told["correspondents"]] == [[]]
    assert told["home_agent"]["generations"] == [4, 5, 6, 7]
    told = checked(
        "provision", roamkey("provision", *port, "--replace", "--no-home-agent", "--json")[1]
    )
    assert told["home_agent"] is None and told["correspondents"][0]["address"] == PEER

    code, _, error = roamkey("init", "--home-agent", AGENT)
    assert code == 4 and one_line(error) and f"home agent {HOME} and home prefix" in error
    code, _, error = roamkey("init", "--reach", "2001:db8::9=a")
    assert code == 1 and one_line(error) and "neither the correspondent nor the home" in error


def test_a_site_is_given_a_home_agent_later(roamkey) -> None:
    roamkey("init", "--reach", "192.0.2.1", "--prefix", "fd00:1:2::/48")
    code, out, _ = roamkey("init", "--home-agent", "fd00:1:2:a::ff")
    assert code == 0 and "changed" in out and "provision --replace" in out
    told = checked("init", roamkey("init", "--json")[1])
    assert told["home_agent"] == "fd00:1:2:a::ff" and told["result"] == "there"
    assert told["home_agent_reach"] == []
    code, _, error = roamkey("init", "--home-agent", "fd00:1:2:c::1", "--force")
    assert code in (0, 1) and (code == 0 or one_line(error))


def test_its_keys_go_to_its_own_machine(virtual: VirtualBoard, roamkey, tmp_path: Path) -> None:
    port = ("--port", virtual.port)
    roamkey(
        *("provision", *port, "--home-address", HOME, "--correspondent", PEER, *BOTH),
    )
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    file, both = tmp_path / "keys", ("--file-passphrase", passphrase)
    code, _, error = roamkey("export", file, *both)
    assert code == 2 and "either --correspondent or --home-agent" in " ".join(error.split())
    code, _, error = roamkey("export", file, *both, "--home-agent", PEER)
    assert code == 4 and one_line(error) and f"no pair with the home agent {PEER}" in error
    code, _, error = roamkey("export", file, *both, "--correspondent", AGENT)
    assert code == 4 and one_line(error) and f"no pair with the correspondent {AGENT}" in error
    assert roamkey("export", file, *both, "--home-agent", AGENT)[0] == 0
    there = tmp_path / "there.sqlite"
    code, out, error = roamkey("import", file, *both, "--registry", there)
    assert (code, error) == (0, "") and "4 key(s) added" in out
    with Registry.open(there) as registry:
        (pair,) = registry.pairs_for_correspondent(addresses.parse(AGENT))
        assert pair.role == HOME_AGENT and len(pair.keys) == 4


def test_what_a_doctor_says(virtual: VirtualBoard, roamkey) -> None:
    port = ("--port", virtual.port)
    checks = checked("doctor", roamkey("doctor", *port, "--json")[1])["checks"]
    assert "home agent" not in [check["name"] for check in checks]
    roamkey("provision", *port, "--home-address", HOME, "--home-agent", AGENT)
    out = roamkey("doctor", *port, "--json")[1]
    (check,) = (one for one in checked("doctor", out)["checks"] if one["name"] == "home agent")
    assert check["verdict"] == "advice"
    assert f"{AGENT} has not registered the board" in check["found"] and check["todo"]


@pytest.mark.lab
def test_an_agent_of_release_0_1_0(lab_network, roamkey, tmp_path: Path) -> None:
    """It knows no home agent, which is said before any key leaves."""
    data = (Path(__file__).parent / "data" / "agent-0.1.0.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    image = Image("mpy", files, files.pop("main.py"))
    with VirtualBoard(tmp_path / "old.img", spawn=lab_network.add_node("old").popen) as board:
        board.install(installed_files(image, "0.1.0"))
        board.start()
        command = ("provision", "--port", board.port, "--home-address", HOME, *BOTH)
        code, out, error = roamkey(*command)
        assert (code, out) == (4, "") and one_line(error)
        assert "(0.1.0) knows no home agent: update it (roamkey install)" in error
        with Registry.open() as registry:
            assert registry.live_keys() == [] and registry.home_addresses() == set()
