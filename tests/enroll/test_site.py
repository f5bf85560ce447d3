"""The site: made once, kept, and what boards are given of it."""

import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest

from mip6 import addresses
from roamkey.enroll import site as sites
from roamkey.enroll.peers import Peers, of_site
from roamkey.enroll.reach import by_correspondent, place_of, places_of, texts_of
from roamkey.enroll.site import CHANGED, MADE, THERE, Wanted, init
from roamkey.errors import BadInputError, RefusedError
from roamkey.lab.network import Network
from roamkey.registry import Registry, Site

CN = addresses.parse("2001:db8:c::2")
CN_2 = addresses.parse("2001:db8:c::3")
REACH = ("192.0.2.1",)


def test_a_prefix_at_random_and_what_is_inside(tmp_path: Path) -> None:
    found = set()
    for number in range(20):
        with Registry.open(tmp_path / f"{number}.sqlite") as registry:
            site, result = init(registry, Wanted(reach=REACH))
            assert result == MADE and registry.site() == site
        correspondent = ipaddress.IPv6Address(site.correspondent)
        home = ipaddress.IPv6Network(site.home_prefix)
        network = ipaddress.IPv6Network((int(correspondent) >> 80 << 80, 48))
        assert correspondent in network and home.subnet_of(network) and home.prefixlen == 64
        assert correspondent not in home
        assert network.subnet_of(ipaddress.IPv6Network("fd00::/8")), "RFC 4193: locally assigned"
        assert site.reach == ("192.0.2.1:4191",)
        found.add(network)
    assert len(found) == 20


def test_one_that_is_there_stays(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        first, _ = init(registry, Wanted(prefix="fd12:3456:789a::/48", reach=REACH))
        assert first == Site(
            addresses.parse("fd12:3456:789a:c::1"),
            addresses.parse("fd12:3456:789a:a::"),
            64,
            ("192.0.2.1:4191",),
        )
        for same in (Wanted(), Wanted(prefix="fd12:3456:789a::/48"), Wanted(reach=REACH)):
            assert init(registry, same) == (first, THERE)
        moved, result = init(registry, Wanted(reach=("cn.example", "[2001:DB8::7]:443")))
        assert result == CHANGED and moved.reach == ("cn.example:4191", "[2001:db8::7]:443")
        assert (moved.correspondent, moved.home_prefix) == (
            first.correspondent,
            first.home_prefix,
        )
        for other in (
            Wanted(prefix="fd00::/48"),
            Wanted(correspondent=CN),
            Wanted(home_prefix="2001:db8:a::/64"),
        ):
            with pytest.raises(RefusedError, match="--force"):
                init(registry, other)
        assert registry.site() == moved
        forced, result = init(registry, Wanted(prefix="fd00::/48", reach=()), force=True)
        assert result == MADE and forced.reach == () and registry.site() == forced


def test_a_site_with_ipv6_of_its_own(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        wanted = Wanted(correspondent=CN, home_prefix="2001:db8:a::/56", reach=())
        assert init(registry, wanted)[0] == Site(CN, addresses.parse("2001:db8:a::"), 56, ())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(prefix="fd00::/61"), "8 to 60 bits, fd00::/61 has 61"),
        (Wanted(prefix="fd00::1/48"), "not an IPv6 prefix"),
        (Wanted(prefix="10.0.0.0/8"), "not an IPv6 prefix"),
        (Wanted(prefix="fe80::/48"), "no prefix for global addresses"),
        (Wanted(correspondent=CN), "go together"),
        (Wanted(home_prefix="2001:db8:a::/64"), "go together"),
        (Wanted(reach=("fe80::1",)), "--reach: 'fe80::1' is neither a name nor"),
        (Wanted(reach=("a:0",)), "a port is 1 to 65535"),
        (Wanted(reach=("a:x",)), "a port is 1 to 65535"),
        (Wanted(reach=("a", "A:4191")), "given twice"),
        (Wanted(reach=("a", "b", "c", "d", "e")), "4 places at most"),
    ],
)
def test_bad_sites(wanted: Wanted, words: str, tmp_path: Path) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        with pytest.raises(BadInputError, match=words.replace("(", r"\(")):
            init(registry, wanted)
        assert registry.site() is None


def test_places() -> None:
    assert place_of("CN.Example", "x") == ("cn.example", 4191)
    assert place_of("[2001:DB8:0::1]:9", "x") == ("2001:db8::1", 9)
    assert texts_of(places_of(("192.0.2.1", "::ffff:192.0.2.2"), "x")) == (
        "192.0.2.1:4191",
        "192.0.2.2:4191",
    )
    assert by_correspondent(["a", "b:1"], (CN,), "x") == {CN: (("a", 4191), ("b", 1))}
    several = ["2001:db8:c::3=a", "2001:db8:c::2=[::1]:5", "2001:db8:c:0::3=b"]
    assert by_correspondent(several, (CN, CN_2), "x") == {
        CN_2: (("a", 4191), ("b", 4191)),
        CN: (("::1", 5),),
    }
    for texts, words in (
        (["a"], "with several correspondents"),
        (["2001:db8:c::4=a"], "is not one of the correspondents"),
        (["c=a"], "not an IPv6 address"),
    ):
        with pytest.raises(BadInputError, match=words):
            by_correspondent(texts, (CN, CN_2), "x")


def test_what_boards_are_given(tmp_path: Path) -> None:
    site = Site(CN, addresses.parse("fd00:0:0:a::"), 64, ("192.0.2.1:4191",))
    places = {CN: (("192.0.2.1", 4191),)}
    assert of_site(site, Peers()) == Peers((CN,))
    assert of_site(site, Peers((CN_2,))) == Peers((CN_2,))
    assert sites.reach_of(site, (CN,), None, "x") == places
    assert sites.reach_of(site, (CN_2, CN), None, "x") == places
    assert sites.reach_of(site, (CN_2,), None, "x") == {}
    assert sites.reach_of(site, (CN,), [], "x") == {}
    assert sites.reach_of(site, (CN,), ["a"], "x") == {CN: (("a", 4191),)}
    assert sites.reach_of(None, (CN,), None, "x") == {}
    with pytest.raises(BadInputError, match="roamkey init"):
        of_site(None, Peers())
    assert sites.site_of(str(tmp_path / "none.sqlite")) is None
    assert not (tmp_path / "none.sqlite").exists()


def test_the_site_of_an_encrypted_registry_needs_no_passphrase(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    path = tmp_path / "registry.sqlite"
    with Registry.open(path, passphrase_file=passphrase) as registry:
        site, _ = init(registry, Wanted(reach=REACH))
    assert sites.site_of(str(path)) == site


STEPS = """
import ipaddress
from pyroute2 import IPRoute
from roamkey.enroll.site import own_places

def tell():
    print([f"{host} {port}" for host, port in own_places()])

with IPRoute() as routes:
    tell()
    routes.link("add", ifname="out", kind="veth", peer="other")
    for name in ("other", "out"):
        (index,) = routes.link_lookup(ifname=name)
        routes.link("set", index=index, state="up")
    routes.addr("add", index=index, address="10.7.0.2", prefixlen=24)
    tell()
    routes.route("add", gateway="10.7.0.1")
    tell()
    routes.addr("add", index=index, address="2001:db8:7::2", prefixlen=64, flags=2)  # no DAD
    routes.route("add", family=10, dst="default", gateway="2001:db8:7::1")
    tell()
"""


@pytest.mark.lab
def test_where_a_host_is_reached(lab_network: Network) -> None:
    """Nowhere, without a route nowhere, by IPv4 alone, by both."""
    node = lab_network.add_node("host")
    with node.popen([sys.executable, "-c", STEPS], stdout=subprocess.PIPE) as child:
        told = child.communicate(timeout=60)[0].decode().splitlines()
    assert told == [
        "[]",
        "[]",
        "['10.7.0.2 4191']",
        "['10.7.0.2 4191', '2001:db8:7::2 4191']",
    ]
