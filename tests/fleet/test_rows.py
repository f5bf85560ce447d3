"""The fleet's CSV and its results."""

from pathlib import Path

import pytest

from mip6 import addresses
from roamkey.enroll.peers import Peers
from roamkey.enroll.wifi import Network
from roamkey.errors import BadInputError
from roamkey.fleet.rows import Row, _password_in, read_fleet


def test_every_column(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(
        "\ufeffName, Port,board,firmware,home_address,correspondents\n"
        "Roof,,E6614C311B,../pico.uf2,2001:db8:a::1,2001:db8:c::2 2001:db8:c::3\n"
        "\n"
        "Cellar,/dev/ttyUSB0\n"
    )
    roof, cellar = read_fleet(path)
    assert not roof.networks
    assert (roof.line, roof.name, roof.board) == (2, "Roof", "e6614c311b")
    assert roof.firmware == tmp_path / "../pico.uf2"
    assert roof.home_address == addresses.parse("2001:db8:a::1")
    assert len(roof.peers.correspondents) == 2 and roof.title == "Roof"
    assert cellar == Row(4, "Cellar", port="/dev/ttyUSB0")


def test_columns_of_home_agents(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(
        "name,home_agent,insecure_home_agent,return_routability\n"
        "Roof,2001:db8:a::fe,,2001:db8:d::5 2001:db8:d::6\n"
        "Cellar,,2001:db8:a::ff\n"
    )
    agent, other, *strangers = map(
        addresses.parse, ("2001:db8:a::fe", "2001:db8:a::ff", "2001:db8:d::5", "2001:db8:d::6")
    )
    roof, cellar = read_fleet(path)
    assert roof.peers == Peers((), tuple(strangers), agent)
    assert cellar.peers == Peers(home_agent=other, insecure=True)


WIFI = "wifi,wifi_password,wifi_password_file,wifi_open\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "home_agent,insecure_home_agent\n2001:db8::1,2001:db8::2\n",
            "line 2, insecure_home_agent: .* one home agent",
        ),
        ("home_agent\nfe80::1\n", "line 2, home_agent: fe80::1 is not unicast and global"),
        ("", "line 1: no usable header"),
        ("name\n", "no boards"),
        ("nmae\nx\n", "line 1: unknown column 'nmae'"),
        ("name,name\nx,y\n", "line 1: column 'name' stands in it twice"),
        ("name\nx,y\n", "line 2: more values"),
        ("board\nxyz9\n", "line 2, board: xyz9: a board's id"),
        ("board\nabc\n", "line 2, board: .*four digits"),
        ("name\n../x\n", "line 2, name: a name"),
        ("home_address\n2001:db8::g\n", "line 2, home_address: .*not an IPv6 address"),
        ("home_address\nfe80::1\n", "line 2, home_address: fe80::1 is not unicast and global"),
        ("correspondents\n2001:db8::1 ff0e::1\n", "line 2, correspondents: ff0e::1"),
        (
            "home_address\n2001:db8:a::1\n2001:DB8:A:0::1\n",
            "line 3, home_address: 2001:db8:a::1 stands in line 2 too",
        ),
        ("name,port\na,/dev/a\n\nb,/dev/a\n", "line 4, port: /dev/a stands in line 2 too"),
        ('name\na\n"x\n', "line 3: not a CSV"),
        (WIFI + "cafe\n", "line 2, wifi: a network has one of .*none is given"),
        (WIFI + "cafe,password,,yes\n", "line 2, wifi: a network has one of .*two are given"),
        (WIFI + ",,,yes\n", "line 2, wifi: wifi_open stands there, and no network's name"),
        (WIFI + "cafe,,,maybe\n", "line 2, wifi_open: yes, or nothing"),
        (
            WIFI + "cafe,Secret7,,\n",
            "line 2, wifi_password: the password: a Wi-Fi password has 8 to 64",
        ),
        (
            WIFI + "cafe,S\u00e9cret\u00e9\u00e9\u00e9,,\n",
            "line 2, wifi_password: the password: .*outside ASCII",
        ),
        (WIFI + "cafe,,none.txt,\n", "line 2, wifi_password_file: .*none.txt: No such file"),
        (WIFI + f"{'x' * 33},,,yes\n", "line 2, wifi: the name of a network has 1 to 32 octets"),
    ],
)
def test_bad_files(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadInputError, match=words) as failure:
        read_fleet(path)
    told = str(failure.value)
    assert "\n" not in told and told.startswith(str(path))
    assert "ecret" not in told
    with pytest.raises(BadInputError, match="No such file"):
        read_fleet(tmp_path / "none.csv")
    path.write_bytes(b"name\nx\n\xff\xfe\n")
    with pytest.raises(BadInputError, match="line 3: not a CSV file in UTF-8"):
        read_fleet(path)


def test_wifi_networks(tmp_path: Path) -> None:
    """Each with what opens it; a file with passwords in it is its owner's alone."""
    path, secret = tmp_path / "fleet.csv", tmp_path / "depot.txt"
    secret.write_text("depot password\n")
    secret.chmod(0o600)
    path.write_text(
        "wifi,wifi_password,wifi_password_file,wifi2,wifi2_open,wifi2_password\n"
        "depot,,depot.txt,guests,yes,\n"
    )
    (row,) = read_fleet(path)
    assert row.networks == (Network("depot", "depot password", 0), Network("guests", None, 1))
    assert "depot password" not in repr(row)
    path.write_text("wifi,wifi2,wifi2_password\n,cafe,cafe password\n")
    path.chmod(0o640)
    with pytest.raises(BadInputError, match=r"line 2, wifi2_password: mode 0640 .*chmod 600"):
        read_fleet(path)
    path.chmod(0o600)
    (row,) = read_fleet(path)
    assert row.networks == (Network("cafe", "cafe password", 1),)
    secret.chmod(0o644)
    path.write_text("wifi,wifi_password_file\ndepot,depot.txt\n")
    _password_in.cache_clear()
    with pytest.raises(BadInputError, match=r"line 2, wifi_password_file: .*mode 0644"):
        read_fleet(path)


def test_as_spreadsheets_write_it(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    for mark in ";\t":
        path.write_text(f"\ufeffname{mark}home_address\r\nroof{mark}2001:db8:a::1\r\n")
        (row,) = read_fleet(path)
        assert (row.name, row.home_address) == ("roof", addresses.parse("2001:db8:a::1"))
