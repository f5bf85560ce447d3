"""The site: what boards are given where nobody says otherwise. One row at most, no secret in it.

Each function runs inside one transaction of its caller.
"""

import json

from sqlalchemy import Connection, delete, insert, select

from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import checks
from roamkey.registry.records import Site
from roamkey.registry.schema import registry, sites

_PREFIX_MAX = 126  # two addresses of boards at least


def find(c: Connection) -> Site | None:
    """The site, or None. Raises BadInputError where its row is damaged."""
    row = c.execute(select(sites)).one_or_none()
    if row is None:
        return None
    try:
        found = Site(
            row.correspondent,
            row.home_prefix,
            row.home_prefix_length,
            tuple(json.loads(row.reach)),
            row.home_agent,
            tuple(json.loads(row.home_agent_reach)),
        )
        _check(found)
    except (ValueError, TypeError, RecursionError, BadInputError):
        raise BadInputError("the registry is damaged: its site makes no sense") from None
    return found


def put(c: Connection, site: Site, before: Site | None) -> None:
    """Have this site in place of the one `before`. Raises RefusedError where another one is there,
    BadInputError."""
    _check(site)
    c.execute(select(registry.c.revision).with_for_update())  # one at a time
    if find(c) != before:
        raise RefusedError("somebody else changed the site just now")
    c.execute(delete(sites))
    c.execute(
        insert(sites).values(
            id=1,
            correspondent=site.correspondent,
            home_prefix=site.home_network,
            home_prefix_length=site.home_prefix_length,
            reach=json.dumps(site.reach),
            home_agent=site.home_agent,
            home_agent_reach=json.dumps(site.home_agent_reach),
        )
    )


def _check(site: Site) -> None:
    checks.address(site.correspondent)
    checks.address(site.home_network)
    if site.home_agent is not None:
        checks.address(site.home_agent)
        if site.home_agent == site.correspondent:
            raise BadInputError("the home agent is given as the correspondent too")
    length = site.home_prefix_length
    if type(length) is not int or not 1 <= length <= _PREFIX_MAX:
        raise BadInputError(f"a home prefix has 1 to {_PREFIX_MAX} bits")
    if int.from_bytes(site.home_network, "big") & ((1 << 128 - length) - 1):
        raise BadInputError("a home prefix has zeros behind its length")
    texts = (*site.reach, *site.home_agent_reach)
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise BadInputError("where a correspondent is reached is said in texts")
