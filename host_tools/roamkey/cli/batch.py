"""`roamkey batch`: a tray of boards from a CSV file."""

import fcntl
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from roamkey.board.images import Firmware, read_firmware
from roamkey.cli import durations, peer_options
from roamkey.cli.batch_view import View, show
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
from roamkey.cli.output import bars
from roamkey.cli.peer_options import (
    CorrespondentsOption,
    HomeAgentOption,
    InsecureHomeAgentOption,
    NoHomeAgentOption,
    RoutabilityOption,
)
from roamkey.cli.wifi_options import OpenOption, PasswordFilesOption, WifiOption, networks_of
from roamkey.enroll import site as sites
from roamkey.enroll.plan import GENERATIONS, LIFETIME_S
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.fleet import batch as work
from roamkey.fleet.labels import write_labels
from roamkey.fleet.plans import Common, bound, resumed
from roamkey.fleet.prepare import Wish
from roamkey.fleet.results import (
    BEGUN,
    DONE,
    FAILED,
    Outcome,
    Results,
    is_done,
    read_results,
    write_results,
)
from roamkey.fleet.rows import Row, read_fleet
from roamkey.interrupts import gently
from roamkey.registry import Registry
from roamkey.registry.records import NO_SITE

_INTERRUPTED = "finishing the boards that were begun; Ctrl-C again leaves them to the next run"


def batch(
    fleet: Annotated[
        Path,
        typer.Argument(
            metavar="FLEET.CSV",
            help="Columns, each optional: name, board, port, firmware, home_address, "
            "correspondents, return_routability, home_agent, insecure_home_agent, reach, wifi, "
            "wifi_password, wifi_password_file, wifi_open.",
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
    wifi: WifiOption = None,
    password_file: PasswordFilesOption = None,
    open_: OpenOption = False,
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
            "--results",
            metavar="FILE",
            help="What became of each, and what to go on from. Default: FLEET.results.csv.",
        ),
    ] = None,
    failed: Annotated[
        Path | None,
        typer.Option("--only-failed", metavar="FILE", help="Go on from these results as well."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Once more what is done, each line with its own board and, with --replace, "
            "new keys; then go on without.",
        ),
    ] = False,
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
    The same command again goes on where it was, however it ended: what is done stays, and a line
    is the board's that got it. Exit code 3 if a board failed or is missing.
    """
    rows = read_fleet(fleet)
    where = results or fleet.with_name(f"{fleet.stem}.results.csv")
    earlier = [*_earlier(where), *(read_results(failed) if failed is not None else ())]
    named = peer_options.named(
        correspondent, return_routability, home_agent, insecure_home_agent, no_home_agent
    )
    site = sites.site_of(registry)
    common = Common(
        fleet,
        named,
        no_home_agent,
        site,
        reach_texts(reach, no_reach),
        lifetime,
        generations,
        native is Native.on,
    )
    plans = {row.line: common.plan(row) for row in rows}
    for text in dict.fromkeys(common.peers(row).warning for row in rows):
        peer_options.warn(text)
    if home_prefix is None and site is None:
        _check_addresses(common, rows)
    networks = networks_of(wifi, password_file, open_)
    images = _images(common, rows, firmware)
    if not where.exists():
        write_results(where, [])  # fails now rather than later
    started = time.monotonic()
    stop = threading.Event()
    with (
        _alone(fleet),
        Registry.open(registry, True, passphrase_file) as opened,
        bars() as drawn,
        gently(stop, _INTERRUPTED),
    ):

        def live(board: str) -> bool:
            return bool(opened.sets_of_board(board))

        kept = Results(where, rows, earlier, live)
        if again:
            kept.again()
        rows = bound(opened, rows, kept)
        taken = {*named.all, *(row.home_address for row in rows if row.home_address)}
        for row in rows:
            taken.update(row.peers.all)
        pool = sites.pool_of(opened, site, home_prefix, tuple(taken))

        def wish(row: Row) -> Wish:
            path = row.firmware or firmware
            image = images[path] if path else None
            board = row.bound or row.board
            return Wish(
                plans[row.line], pool, image, replace, registered, row.networks or networks, board
            )

        before = {row.line for row in rows if is_done(kept.of(row), row.bound, wish(row).digest)}
        view = View(drawn, len(rows), len(before), as_json)

        def ended(outcome: Outcome) -> None:
            kept.put(outcome)
            view.ended(outcome)

        plan = work.Work(
            [
                resumed(row, kept.of(row), wish(row).digest)
                for row in rows
                if row.line not in before
            ],
            wish,
            frozenset(
                [row.bound for row in rows]
                + [each.board for each in kept.beside if each.set_id or live(each.board)]
            ),
            frozenset(
                each.port
                for each in (*kept.outcomes, *kept.beside)
                if each.result in (BEGUN, FAILED)
            ),
            jobs,
            wait,
            replace,
            view.started,
            kept.put,
            ended,
            view.waiting,
            stop,
        )
        now = {outcome.line: outcome for outcome in work.run(opened, plan)}
    seconds = round(time.monotonic() - started, 1)
    known = kept.outcomes
    sheet = None if labels is None else write_labels(labels, [*kept.beside, *known])[-1]
    outcomes = [now.get(outcome.line, outcome) for outcome in known]
    good = sum(outcome.result == DONE for outcome in outcomes)
    if as_json:
        told = {
            "boards": [
                {**asdict(outcome), "earlier": outcome.line in before} for outcome in outcomes
            ],
            "seconds": seconds,
            "results": str(where),
            "labels": None if sheet is None else str(sheet),
        }
        typer.echo(json.dumps(told))
    else:
        show(outcomes)
        typer.echo(f"{good} of {len(rows)} boards done{_when(len(before), seconds)}: {where}")
        if sheet is not None:
            typer.echo(f"labels: {sheet}")
    if stop.is_set():
        raise KeyboardInterrupt
    if good != len(rows):
        raise BoardError(
            f"{len(rows) - good} of {len(rows)} boards not done: mend them and run the same "
            f"command again{', without --again' if again else ''}: it goes on where it was"
        )


def _when(before: int, seconds: float) -> str:
    return f", {before} of them before (--again repeats them)" if before else f" in {seconds} s"


def _earlier(path: Path) -> list[Outcome]:
    """What is known from earlier runs; of a device or pipe nothing."""
    return read_results(path) if path.is_file() else []


@contextmanager
def _alone(fleet: Path) -> Iterator[None]:
    """Nobody else works on this fleet meanwhile. Raises RefusedError."""
    with fleet.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"{fleet}: another `roamkey batch` works on it") from None
        yield


def _check_addresses(common: Common, rows: list[Row]) -> None:
    """Raise BadInputError for lines whose boards would have no home address."""
    for row in rows:
        if row.home_address is None:
            raise BadInputError(
                f"{common.at(row)} has no home address, no --home-prefix is given, and {NO_SITE}"
            )


def _images(common: Common, rows: list[Row], firmware: Path | None) -> dict[Path, Firmware]:
    """The files to flash. Raises BadInputError."""
    images = {} if firmware is None else {firmware: read_firmware(firmware)}
    for row in rows:
        if row.firmware is not None and row.firmware not in images:
            try:
                images[row.firmware] = read_firmware(row.firmware)
            except BadInputError as error:
                raise BadInputError(f"{common.at(row)}, firmware: {error}") from None
    return images
