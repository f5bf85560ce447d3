"""Whom a board is to know: what a command names, and the site where it names nobody."""

from dataclasses import dataclass

from mip6 import addresses
from roamkey.errors import BadInputError
from roamkey.registry import Site
from roamkey.registry.records import NO_SITE


@dataclass(frozen=True)
class Peers:
    """Addresses of 16 octets. `correspondents`: those with keys; `routability`: those reached by
    return routability; `home_agent`: None for none; `insecure`: it takes registrations that
    nothing authenticates, so there is no key for it."""

    correspondents: tuple[bytes, ...] = ()
    routability: tuple[bytes, ...] = ()
    home_agent: bytes | None = None
    insecure: bool = False

    @property
    def all(self) -> tuple[bytes, ...]:
        """Each of them."""
        agent = () if self.home_agent is None else (self.home_agent,)
        return self.correspondents + self.routability + agent

    @property
    def warning(self) -> str:
        """What a person has to know before it is done, a line; empty for nothing."""
        if self.home_agent is None or not self.insecure:
            return ""
        return (
            f"home agent {addresses.text(self.home_agent)} is given no key: whoever reaches it "
            "can register this home address elsewhere"
        )


def of_site(site: Site | None, named: Peers, no_home_agent: bool = False) -> Peers:
    """Those that are named; of the site its correspondent where no other with a key is, and its
    home agent where none is and `no_home_agent` isn't said. Raises BadInputError for nobody."""
    agent, correspondents = named.home_agent, named.correspondents
    if site is not None:
        if agent is None and not no_home_agent and site.home_agent not in named.all:
            agent = site.home_agent
        if not correspondents and site.correspondent not in (*named.routability, agent):
            correspondents = (site.correspondent,)
    if not correspondents and not named.routability and agent is None:
        raise BadInputError(f"--correspondent is missing, and {NO_SITE}")
    return Peers(correspondents, named.routability, agent, named.insecure)
