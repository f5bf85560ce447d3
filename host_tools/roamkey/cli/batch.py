"""`roamkey batch`: a tray of boards from a CSV file."""

import json
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table

from roamkey.board.images import Firmware, read_firmware
from roamkey.cli import durations, peer_options
from roamkey.cli.fleet_options import (
    WAIT_MAX_S,
    GenerationsOption,
    HomePrefixOption,
    LifetimeOption,
    RegisteredOption,
    ReplaceOption,
)
from roamkey.cli.options import (
    JsonOption,
    Native,
    NativeOption,
    NoReachOption,
    PassphraseOption,
    ReachOption,
    RegistryOption,
    reach_texts,
)
from roamkey.cli.output import bars, plain
from roamkey.cli.peer_options import (
    CorrespondentsOption,
    HomeAgentOption,
    InsecureHomeAgentOption,
    NoHomeAgentOption,
    RoutabilityOption,
)
from roamkey.enroll import site as sites
from roamkey.enroll.peers import Peers, of_site
from roamkey.enroll.plan import GENERATIONS, LIFETIME_S, Plan
from roamkey.errors import BadInputError, BoardError
from roamkey.fleet import batch as work
from roamkey.fleet.labels import write_labels
from roamkey.fleet.prepare import Report, Wish
from roamkey.fleet.rows import (
    DONE,
    Outcome,
    Row,
    only_failed,
    read_fleet,
    read_results,
    write_results,
)
from roamkey.registry import Registry, Site
from roamkey.registry.records import NO_SITE

_STEPS = ("flash", "install", "provision", "verify", "register", "done")
_TITLE_MAX = 20


def batch(
    fleet: Annotated[
        Path,
        typer.Argument(
            metavar="FLEET.CSV",
            help="Columns, each optional: name, board, port, firmware, home_address, "
            "correspondents, return_routability, home_agent, insecure_home_agent, reach.",
        ),
    ],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, max=64, metavar="N", help="Boards at a time.")
    ] = 16,
    correspondent: CorrespondentsOption = None,
    return_routability: RoutabilityOption = None,
    home_agent: HomeAgentOption = None,
    insecure_home_agent: InsecureHomeAgentOption = None,
    no_home_agent: NoHomeAgentOption = False,
    home_prefix: HomePrefixOption = None,
    reach: ReachOption = None,
    no_reach: NoReachOption = False,
    native: NativeOption = Native.on,
    firmware: Annotated[
        Path | None,
        typer.Option(
            "--firmware", metavar="FILE", help="Flash this where a line names no other file."
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            metavar=durations.TIME,
            parser=durations.span(0, WAIT_MAX_S),
            show_default="1m",
            help="How long to wait for boards to be plugged in.",
        ),
    ] = 60.0,
    registered: RegisteredOption = 0.0,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", metavar="FILE", help="What became of each. Default: FLEET.results.csv."
        ),
    ] = None,
    failed: Annotated[
        Path | None,
        typer.Option(
            "--only-failed", metavar="FILE", help="Only what wasn't done in these results."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FOLDER", help="QR codes (PNG) and a sheet to print (HTML)."
        ),
    ] = None,
    lifetime: LifetimeOption = LIFETIME_S,
    generations: GenerationsOption = GENERATIONS,
    replace: ReplaceOption = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Flash, install, provision and verify every board of a fleet that appears.

    A line of the CSV is a board: by its unique id, by its port, or any that holds no keys.
    Repeating the command repeats what isn't done. Exit code 3 if a board failed or is missing.
    """
    rows = read_fleet(fleet)
    earlier = [] if failed is None else read_results(failed)
    chosen = only_failed(rows, earlier) if earlier else rows
    named = peer_options.named(
        correspondent, return_routability, home_agent, insecure_home_agent, no_home_agent
    )
    site = sites.site_of(registry)
    common = _Common(
        named,
        no_home_agent,
        site,
        reach_texts(reach, no_reach),
        lifetime,
        generations,
        native is Native.on,
    )
    plans = {row.line: common.plan(row) for row in chosen}
    for text in dict.fromkeys(common.peers(row).warning for row in chosen):
        peer_options.warn(text)
    if home_prefix is None and site is None:
        _check_addresses(chosen)
    images = {path: _image(path) for row in chosen if (path := row.firmware or firmware)}
    where = results or fleet.with_name(f"{fleet.stem}.results.csv")
    kept = [outcome for outcome in earlier if outcome.result == DONE]
    write_results(where, kept)  # fails now rather than at the end
    started = time.monotonic()
    outcomes: list[Outcome] = []
    with Registry.open(registry, True, passphrase_file) as opened, bars() as drawn:
        view = _View(drawn, as_json)
        taken = {*named.all, *(row.home_address for row in rows if row.home_address)}
        for row in rows:
            taken.update(row.peers.all)
        pool = sites.pool_of(opened, site, home_prefix, tuple(taken))

        def wish(row: Row) -> Wish:
            path = row.firmware or firmware
            image = images[path] if path else None
            return Wish(plans[row.line], pool, image, replace, registered)

        def ended(outcome: Outcome) -> None:
            outcomes.append(outcome)
            write_results(where, [*kept, *outcomes])
            view.ended(outcome)

        plan = work.Work(
            chosen,
            wish,
            frozenset(outcome.board for outcome in kept),
            jobs,
            wait,
            replace,
            view.started,
            ended,
        )
        work.run(opened, plan)
    seconds = round(time.monotonic() - started, 1)
    outcomes.sort(key=lambda outcome: outcome.line)
    sheet = None if labels is None else write_labels(labels, [*kept, *outcomes])[-1]
    good = sum(outcome.result == DONE for outcome in outcomes)
    if as_json:
        told = {
            "boards": [asdict(outcome) for outcome in outcomes],
            "seconds": seconds,
            "results": str(where),
            "labels": None if sheet is None else str(sheet),
        }
        typer.echo(json.dumps(told))
    else:
        _show(outcomes)
        typer.echo(f"{good} of {len(outcomes)} boards done in {seconds} s; results: {where}")
        if sheet is not None:
            typer.echo(f"labels: {sheet}")
    if good != len(outcomes):
        raise BoardError(
            f"{len(outcomes) - good} of {len(outcomes)} boards not done: mend them and run it "
            f"again with --only-failed {where}"
        )


@dataclass(frozen=True)
class _Common:
    """What the options and the site say of every board; a line of the file goes before."""

    named: Peers
    no_home_agent: bool
    site: Site | None
    reach: list[str] | None
    lifetime: int
    generations: int
    native: bool

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
                f"line {row.line} has no correspondent, none is an option, and {NO_SITE}"
            )
        return of_site(self.site, both, self.no_home_agent)

    def plan(self, row: Row) -> Plan:
        """What a line's board is to hold. Raises BadInputError for what no board would take."""
        peers = self.peers(row)
        texts, what = self.reach, "--reach"
        if row.reach:
            texts, what = list(row.reach), f"line {row.line}: reach"
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
        )
        try:
            plan.check()
        except BadInputError as error:
            raise BadInputError(f"line {row.line}: {error}") from None
        return plan


def _check_addresses(rows: list[Row]) -> None:
    """Raise BadInputError for lines whose boards would have no home address."""
    for row in rows:
        if row.home_address is None:
            raise BadInputError(
                f"line {row.line} has no home address, no --home-prefix is given, and {NO_SITE}"
            )


@cache
def _image(path: Path) -> Firmware:
    return read_firmware(path)


class _View:
    """A bar for each board on a terminal, else a line for each that ends."""

    def __init__(self, drawn: Bars, silent: bool) -> None:
        self._drawn = drawn
        self._silent = silent
        self._tasks: dict[int, object] = {}

    def started(self, row: Row) -> Report:
        """A bar for this row; gives what moves it."""
        title = plain(row.title)[:_TITLE_MAX]
        task = self._drawn.add_task(f"{title:<{_TITLE_MAX}}", total=len(_STEPS) - 1, step="")
        self._tasks[row.line] = task

        def report(step: str, done: int, total: int) -> None:
            at = _STEPS.index(step) + done / max(total, 1)
            self._drawn.update(task, completed=min(at, len(_STEPS) - 1), step=step)

        return report

    def ended(self, outcome: Outcome) -> None:
        """Say how a row ended."""
        task = self._tasks.get(outcome.line)
        if task is not None:
            self._drawn.update(task, step=outcome.result)  # type: ignore[arg-type]
        if self._drawn.disable and not self._silent:
            what = outcome.name or outcome.board or outcome.port or f"line {outcome.line}"
            typer.echo(plain(f"{what}: {outcome.result} in {outcome.seconds} s"), err=True)


def _show(outcomes: list[Outcome]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "board", "home address", "result", "s"):
        table.add_column(name, overflow="fold")
    for each in outcomes:
        name = each.name or f"line {each.line}"
        seconds = f"{each.seconds:.1f}"
        values = (name, each.board or "-", each.home_address or "-", each.result, seconds)
        table.add_row(*map(plain, values))
    console = Console(highlight=False, markup=False)
    console.print(table)
    for each in outcomes:
        if each.error:
            at = f" at {each.step}" if each.step != "waiting" else ""
            console.print(plain(f"{each.name or each.board or each.line}{at}: {each.error}"))
