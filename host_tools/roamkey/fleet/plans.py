"""What the boards of a fleet are to become, and which of them are it already.

A line of the file goes before the options, and these before the site. A line is bound to the board
that got it: by the results of earlier runs, else by the registry, which has its name or address.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from roamkey.enroll import site as sites
from roamkey.enroll.peers import Peers, of_site
from roamkey.enroll.plan import Plan
from roamkey.errors import BadInputError
from roamkey.fleet.results import BEGUN, FAILED, Outcome, Results
from roamkey.fleet.rows import Row
from roamkey.registry import Registry, Site
from roamkey.registry.records import NO_SITE

_BEFORE_FLASHED = ("", "waiting", "flash")  # steps
_AFTER_KEYS = ("verify", "register", "done")


@dataclass(frozen=True)
class Common:
    """What the options and the site say of every board; a line of the file goes before."""

    fleet: Path
    named: Peers
    no_home_agent: bool
    site: Site | None
    reach: list[str] | None
    lifetime: int
    generations: int
    native: bool

    def at(self, row: Row) -> str:
        """Where a line is, for messages."""
        return f"{self.fleet}, line {row.line}"

    def peers(self, row: Row) -> Peers:
        """Whom a line's board is to know. Raises BadInputError for nobody."""
        line = row.peers
        other = line if line.home_agent is not None else self.named
        both = Peers(
            line.correspondents or self.named.correspondents,
            line.routability or self.named.routability,
            other.home_agent,
            other.insecure,
        )
        if not both.all and self.site is None:
            raise BadInputError(
                f"{self.at(row)} has no correspondent, none is an option, and {NO_SITE}"
            )
        return of_site(self.site, both, self.no_home_agent)

    def plan(self, row: Row) -> Plan:
        """What a line's board is to hold. Raises BadInputError for what no board would take."""
        peers = self.peers(row)
        texts, what = self.reach, "--reach"
        if row.reach:
            texts, what = list(row.reach), f"{self.at(row)}, reach"
        plan = Plan(
            row.home_address,
            peers.correspondents,
            self.lifetime,
            self.generations,
            (),
            sites.reach_of(self.site, peers.all, texts, what),
            self.native,
            peers.routability,
            peers.home_agent,
            peers.insecure,
            row.name or None,
        )
        try:
            plan.check()
        except BadInputError as error:
            raise BadInputError(f"{self.at(row)}: {error}") from None
        return plan


def bound(registry: Registry, rows: list[Row], results: Results) -> list[Row]:
    """The rows, each with the board that is known to be it.

    A board that holds no keys by the registry isn't bound: whatever became of it, nothing was
    given to it that another board couldn't be given.
    """
    by_name = {name: home_address for home_address, name in registry.names().items()}
    found = []
    for row in rows:
        outcome = results.of(row)
        board = outcome.board if outcome is not None else ""
        if board and registry.sets_of_board(board):
            found.append(replace(row, bound=board))
            continue
        home_address = row.home_address or by_name.get(row.name)
        node = None if home_address is None else registry.node_by_home_address(home_address)
        holder = "" if node is None else node.board_id or ""
        if row.board and not holder.startswith(row.board):
            holder = ""  # the line's own board is refused the name or address, with reason
        found.append(replace(row, bound=holder, likely="" if row.board else board))
    return found


def resumed(row: Row, outcome: Outcome | None, plan: str) -> Row:
    """The row, with what an earlier run of the same plan did to its board and didn't end: so that
    it isn't flashed again, and new keys take the place of the old ones but once."""
    if outcome is None or outcome.result not in (BEGUN, FAILED) or outcome.plan != plan:
        return row
    return replace(
        row,
        begun=outcome.board,
        flashed=outcome.step not in _BEFORE_FLASHED,
        keyed=outcome.step in _AFTER_KEYS,
        held=outcome.set_id,
    )
