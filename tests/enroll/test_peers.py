"""Whom a board is to know: what is named, and the site's where nobody is."""

import pytest

from mip6 import addresses
from roamkey.enroll.peers import Peers, of_site
from roamkey.errors import BadInputError
from roamkey.registry import Site

CN, OTHER, STRANGER = (addresses.parse(f"2001:db8:c::{number}") for number in (2, 3, 4))
AGENT, LABORATORY = (addresses.parse(f"2001:db8:a::{name}") for name in ("fe", "ff"))
NETWORK = addresses.parse("2001:db8:a::")
PLAIN = Site(CN, NETWORK, 64, ())
SITE = Site(CN, NETWORK, 64, (), AGENT)


@pytest.mark.parametrize(
    ("site", "named", "wanted"),
    [
        (PLAIN, Peers(), Peers((CN,))),
        (SITE, Peers(), Peers((CN,), (), AGENT)),
        (SITE, Peers((OTHER,)), Peers((OTHER,), (), AGENT)),
        (SITE, Peers((), (STRANGER,)), Peers((CN,), (STRANGER,), AGENT)),
        (SITE, Peers((), (CN,)), Peers((), (CN,), AGENT)),
        (SITE, Peers((), (), LABORATORY, True), Peers((CN,), (), LABORATORY, True)),
        (PLAIN, Peers((), (), CN), Peers((), (), CN)),
        (SITE, Peers((AGENT,)), Peers((AGENT,))),
        (None, Peers((), (), AGENT), Peers((), (), AGENT)),
    ],
)
def test_what_goes_before(site: Site | None, named: Peers, wanted: Peers) -> None:
    assert of_site(site, named) == wanted


def test_without_the_sites_home_agent() -> None:
    assert of_site(SITE, Peers(), no_home_agent=True) == Peers((CN,))
    with pytest.raises(BadInputError, match="roamkey init"):
        of_site(None, Peers())


def test_only_what_is_insecure_is_warned_of() -> None:
    assert Peers((CN,), (STRANGER,), AGENT).warning == ""
    assert "2001:db8:a::fe is given no key" in Peers((CN,), (), AGENT, True).warning
