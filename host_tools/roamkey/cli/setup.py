"""`roamkey setup`: one board from bare to registered."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from roamkey.board.images import read_firmware
from roamkey.cli import peer_options
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.flash import port_to_flash
from roamkey.cli.fleet_options import (
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
    global_address,
    reach_texts,
)
from roamkey.cli.output import bars, row
from roamkey.cli.peer_options import (
    CorrespondentsOption,
    HomeAgentOption,
    InsecureHomeAgentOption,
    NoHomeAgentOption,
    RoutabilityOption,
)
from roamkey.cli.wifi_options import OpenOption, PasswordFilesOption, WifiOption, networks_of
from roamkey.enroll import site as sites
from roamkey.enroll.peers import of_site
from roamkey.enroll.plan import GENERATIONS, LIFETIME_S, Plan
from roamkey.errors import BadInputError
from roamkey.fleet.prepare import Progress, Wish, prepare
from roamkey.registry import Registry
from roamkey.registry.records import NO_SITE


def setup(
    correspondent: CorrespondentsOption = None,
    return_routability: RoutabilityOption = None,
    home_agent: HomeAgentOption = None,
    insecure_home_agent: InsecureHomeAgentOption = None,
    no_home_agent: NoHomeAgentOption = False,
    home_address: Annotated[
        str | None,
        typer.Option(
            "--home-address", metavar="ADDRESS", help="The board's home address, if not the next."
        ),
    ] = None,
    home_prefix: HomePrefixOption = None,
    reach: ReachOption = None,
    no_reach: NoReachOption = False,
    native: NativeOption = Native.on,
    wifi: WifiOption = None,
    password_file: PasswordFilesOption = None,
    open_: OpenOption = False,
    port: PortOption = None,
    board: BoardOption = None,
    firmware: Annotated[
        Path | None, typer.Option("--firmware", metavar="FILE", help="Flash this first.")
    ] = None,
    registered: RegisteredOption = 0.0,
    lifetime: LifetimeOption = LIFETIME_S,
    generations: GenerationsOption = GENERATIONS,
    replace: ReplaceOption = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a bare board a node: flash (--firmware), install, Wi-Fi, provision, verify.

    Every step can be repeated: what is there already stays. `roamkey batch` does it for many.
    """
    if home_address is not None and home_prefix is not None:
        raise typer.BadParameter("give either --home-address or --home-prefix")
    texts = reach_texts(reach, no_reach)
    home = None if home_address is None else global_address(home_address, "--home-address")
    named = peer_options.named(
        correspondent, return_routability, home_agent, insecure_home_agent, no_home_agent
    )
    site = sites.site_of(registry)
    peers = of_site(site, named, no_home_agent)
    if home is None and home_prefix is None and site is None:
        raise BadInputError(f"--home-address and --home-prefix are missing, and {NO_SITE}")
    plan = Plan(
        home,
        peers.correspondents,
        lifetime,
        generations,
        (),
        sites.reach_of(site, peers.all, texts, "--reach"),
        native is Native.on,
        peers.routability,
        peers.home_agent,
        peers.insecure,
    )
    plan.check()
    image = None if firmware is None else read_firmware(firmware)
    # Before a password is typed for nothing. A new Pico has no port: its bootloader has a drive.
    where = port_of(port, board) if image is None else port_to_flash(image, port, board)
    networks = networks_of(wifi, password_file, open_)
    peer_options.warn(peers.warning)
    started = time.monotonic()
    progress = Progress(where or "")
    with Registry.open(registry, True, passphrase_file) as opened, bars() as drawn:
        task = drawn.add_task("setting up", total=None, step="")

        def report(step: str, done: int, total: int) -> None:
            drawn.update(task, step=step, completed=done, total=max(total, 1))

        progress.report = report
        pool = sites.pool_of(opened, site, home_prefix, peers.all)
        prepare(opened, Wish(plan, pool, image, replace, registered, networks), progress)
    seconds = round(time.monotonic() - started, 1)
    if as_json:
        typer.echo(json.dumps(_as_json(progress, bool(registered), seconds)))
        return
    row("board", f"{progress.board} on {progress.port}")
    row("MicroPython", progress.micropython)
    row("agent", progress.agent)
    row("home address", progress.home_address)
    for network in networks:
        row("Wi-Fi", network.ssid)
    row("key set", progress.set_id)
    row("state", "registered" if registered else "verified after a reboot")
    row("took", f"{seconds} s")


def _as_json(progress: Progress, registered: bool, seconds: float) -> dict[str, object]:
    return {
        "board": progress.board,
        "port": progress.port,
        "micropython": progress.micropython,
        "agent": progress.agent,
        "home_address": progress.home_address,
        "set_id": progress.set_id,
        "registered": registered,
        "seconds": seconds,
    }
