"""Putting the agent on a board: only what changed, verified there, switched to in one write.

The copy that doesn't run is made what it should be (see slots.py): files that are right already
stay, files that the running copy has are copied on the board, the rest crosses the line. When the
board's own SHA-256 of every file is right, one atomic write switches over. Whatever is cut off
before that leaves the old agent to boot, whatever after it the new one. If the new agent then
doesn't answer, the old one is switched back to.

No board is sealed with a /boot.py (maintenance/facts.py): that of MicroPython's port is removed.
A firmware may hold an agent of its own (boards/RPI_PICO_W). A copy in flash goes before it, so one
is made only where the versions differ, and switched off where the firmware's is the one wanted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mip6 import __version__
from roamkey.board.agent import LOOK_S, await_agent, identify_open, refuse_sealed
from roamkey.board.apps import Apps
from roamkey.board.built import Image, bytecode, image_for, main_for, sum_of
from roamkey.board.identity import Identity
from roamkey.board.mains import is_ours
from roamkey.board.patience import patient
from roamkey.board.repl import Facts, Frozen, Repl
from roamkey.board.serial_client import SerialClient
from roamkey.board.slots import SLOTS, Flash, Survey, is_ports_boot
from roamkey.board.unchanged import Held, held
from roamkey.build import kept
from roamkey.errors import BoardError, RefusedError

ANSWER_S = patient(30.0)  # for an agent to come up after a restart
_FROZEN = "frozen"  # the form of an agent in the firmware
_NOTHING = (0, 0, 0, 0)  # files sent, copied, kept, octets sent
_BLOCKS_SPARE = 8  # littlefs needs some for folders and rewrites

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Installed:
    """What an installation did. `sent`, `copied`, `kept`: numbers of files; `octets` were sent.

    `port`: where the board is now. `slot`: the copy that runs ("" for the one in the firmware).
    `form`: as of an `Image`; "frozen" for the one in the firmware, "" after a rollback to a slot.
    `previous`: the agent version that a rollback would bring back, None without one. `frozen`: the
    version of the agent in the firmware, None without one. `boot`: the board's /boot.py, "none",
    "removed" or "kept". `restarted`: whether the board was.
    """

    port: str
    board: str | None
    micropython: str
    agent: str
    form: str
    slot: str
    sent: int
    copied: int
    kept: int
    octets: int
    previous: str | None
    frozen: str | None = None
    boot: str = "none"
    restarted: bool = True

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return bool(self.sent or self.copied)


def install(
    port: str,
    *,
    image: Image | None = None,
    replace_main: bool = False,
    copy: bool = False,
    app: bytes | None = None,
    progress: Progress | None = None,
    answer_s: float = ANSWER_S,
    power_cycle: Callable[[], None] | None = None,
) -> Installed:
    """Install the agent on the board at `port` and start it; see the top of this file.

    `image`: what to install, None for `image_for` the board. `replace_main`: also over a /main.py
    that isn't ours. `copy`: also where the firmware holds an agent of this version. `app`: the
    program to run beside it, None to leave that as it is. `progress`: called with octets sent and
    octets to send. `answer_s`: how long the new agent may take to answer. `power_cycle`: starts a
    board afresh whose machine.reset() doesn't, an emulated Pico W. Raises BoardError, and
    RefusedError where the board is sealed or has a program of its own.
    """
    done = _unchanged(port, image, copy, app)
    if done is not None:
        return done
    target: str | None = None
    with Repl(port) as repl:
        facts, frozen = repl.facts(), repl.frozen()
        counts = _NOTHING
        try:
            flash = Flash(repl)
            survey = flash.survey()
            if frozen and frozen.agent == __version__ and image is None and not copy:
                form = _FROZEN
                flash.switch(None)
            else:
                wanted = image or image_for(facts.platform, facts.mpy)
                form = wanted.form
                if not (frozen and frozen.boots):
                    _refuse_strange_main(survey, replace_main)
                target, counts = _fill(flash, survey, wanted, progress)
                if not (frozen and frozen.boots) and survey.main != sum_of(wanted.main):
                    flash.write_main(wanted.main)
            if is_ports_boot(survey.boot):
                flash.remove_boot()
            if app is not None:
                Apps(repl).write_app(app)
        finally:
            repl.restart()
    if power_cycle is not None:
        power_cycle()
    where, identity = _await_new(port, facts, frozen, survey.pointer, target, answer_s)
    done = _installed(where, facts, frozen, identity, form, survey, target, counts)
    return replace(done, boot="removed") if is_ports_boot(survey.boot) else done


def _unchanged(port: str, image: Image | None, copy: bool, app: bytes | None) -> Installed | None:
    """What there is where that is all that is wanted, and runs: nothing is started again. None
    where the board has to be looked at. Raises as `install`."""
    with SerialClient(port, answer_s=LOOK_S) as client:
        identity = identify_open(client)
        told = None if identity is None else held(client, identity)
    if told is None or told.has_ports_boot or (app is not None and told.app != sum_of(app)):
        return None
    if told.frozen and not told.slot:
        same = image is None and not copy and told.identity.agent == __version__
        return _found(port, told, _FROZEN, 0) if same else None
    sums = _wanted_sums(told, image)
    if not told.slot or sums is None or dict(told.sums) != sums:
        return None
    return _found(port, told, "mpy", len(sums)) if told.agents.get(told.slot) else None


def _wanted_sums(told: Held, image: Image | None) -> dict[str, str] | None:
    """The sums of what is to be there, None where that is something else for sure."""
    main = main_for(told.identity.platform) if image is None else image.main
    if told.main != sum_of(main) or any(path.endswith(".py") for path in told.sums):
        return None
    if image is not None:
        return image.sums
    if told.identity.agent != __version__:
        return None
    return kept.sums(told.identity.platform) or bytecode(told.identity.platform).sums


def _found(port: str, told: Held, form: str, files: int) -> Installed:
    """An installation that had nothing to do."""
    other = next((slot for slot in SLOTS if slot != told.slot and slot in told.agents), "")
    return Installed(
        port=port,
        board=told.identity.board,
        micropython=told.identity.micropython,
        agent=told.identity.agent,
        form=form,
        slot=told.slot,
        sent=0,
        copied=0,
        kept=files,
        octets=0,
        previous=told.agents.get(other),
        frozen=told.identity.agent if form == _FROZEN else None,
        boot="none" if told.boot is None else "kept",
        restarted=False,
    )


def roll_back(
    port: str, *, answer_s: float = ANSWER_S, power_cycle: Callable[[], None] | None = None
) -> Installed:
    """Have the board run the agent before the last installation: a copy, or the firmware's.

    Raises as `install` does.
    """
    refuse_sealed(port)
    with Repl(port) as repl:
        facts, frozen = repl.facts(), repl.frozen()
        try:
            flash = Flash(repl)
            survey = flash.survey()
            target = _earlier(survey, survey.pointer)
            here, there = survey.pointer is not None or frozen, target is not None or frozen
            if not here or not there or survey.pointer == target:
                raise RefusedError(f"{port}: there is no earlier agent to go back to")
            flash.switch(target)
        finally:
            repl.restart()
    if power_cycle is not None:
        power_cycle()
    where, identity = _await_new(port, facts, frozen, survey.pointer, target, answer_s)
    form = "" if target else _FROZEN
    return _installed(where, facts, frozen, identity, form, survey, target, _NOTHING)


def remove(
    port: str, *, answer_s: float = ANSWER_S, power_cycle: Callable[[], None] | None = None
) -> Installed:
    """Remove the copies in flash: the agent in the firmware runs, and their room is free.

    Keys and settings stay. Raises as `install` does, and RefusedError where the firmware holds no
    agent.
    """
    refuse_sealed(port)
    with Repl(port) as repl:
        facts, frozen = repl.facts(), repl.frozen()
        try:
            flash = Flash(repl)
            survey = flash.survey()
            if frozen is None:
                raise RefusedError(f"{port}: the board's firmware holds no agent to go back to")
            flash.switch(None)
            for slot in SLOTS:
                flash.forget(slot)
                flash.remove(slot, list(survey.slots[slot].files))
            survey = flash.survey()
        finally:
            repl.restart()
    if power_cycle is not None:
        power_cycle()
    where, identity = await_agent(port, facts.board, answer_s)
    return _installed(where, facts, frozen, identity, _FROZEN, survey, None, _NOTHING)


def _refuse_strange_main(survey: Survey, replace_main: bool) -> None:
    if not is_ours(survey) and not replace_main:
        raise RefusedError(
            "the board has a /main.py of its own: --replace-main overwrites it "
            "(an application belongs in /app.py)"
        )


def _fill(
    flash: Flash, survey: Survey, wanted: Image, progress: Progress | None
) -> tuple[str, tuple[int, int, int, int]]:
    """Make a slot whole and switch to it; the slot, and files sent, copied, kept, octets sent."""
    sums = wanted.sums
    active = survey.pointer
    if active and survey.slots[active].whole and dict(survey.slots[active].files) == sums:
        return active, (0, 0, len(sums), 0)
    target = _other(active)
    there = survey.slots[target].files
    here = {} if active is None else survey.slots[active].files
    kept = [path for path in sums if there.get(path) == sums[path]]
    copied = [path for path in sums if path not in kept and here.get(path) == sums[path]]
    sent = [path for path in sums if path not in kept and path not in copied]
    flash.forget(target)
    flash.remove(target, [path for path in there if path not in kept])
    _refuse_full(flash.survey(), wanted, [*copied, *sent], _stays(survey))
    flash.make_folders(target, [*copied, *sent])
    if copied:
        flash.copy(copied, str(active), target)
    octets = _send(flash, target, {path: wanted.files[path] for path in sent}, progress)
    if dict(flash.survey().slots[target].files) != sums:
        raise BoardError(f"the board's flash doesn't hold what was written{_stays(survey)}")
    flash.seal(target, __version__, sums, wanted.main)
    flash.switch(target)
    return target, (len(sent), len(copied), len(kept), octets)


def _send(flash: Flash, target: str, files: Mapping[str, bytes], progress: Progress | None) -> int:
    total = sum(map(len, files.values()))
    done = 0
    for octets in flash.write({f"/agent/{target}/{path}": files[path] for path in files}):
        done += octets
        if progress:
            progress(done, total)
    return total


def _stays(before: Survey) -> str:
    """What is said of the agent that was there, of a bare board nothing."""
    return "" if before.pointer is None else "; the old agent stays"


def _refuse_full(survey: Survey, wanted: Image, paths: list[str], stays: str) -> None:
    """Raise BoardError where what is to be written doesn't fit; blocks are as littlefs's."""
    if not paths:
        return
    blocks = _BLOCKS_SPARE + sum(-(-len(wanted.files[path]) // survey.block) for path in paths)
    if blocks * survey.block > survey.free:
        raise BoardError(
            f"the board's flash is too full: {blocks * survey.block // 1024} KB needed, "
            f"{survey.free // 1024} KB free{stays}"
        )


def _await_new(
    port: str,
    facts: Facts,
    frozen: Frozen | None,
    before: str | None,
    after: str | None,
    answer_s: float,
) -> tuple[str, Identity]:
    """`await_agent`; where it doesn't answer, switch back to what ran before and raise."""
    try:
        return await_agent(port, facts.board, answer_s)
    except BoardError as error:
        if before == after or (before is None and frozen is None):
            raise
        failure = error
    with Repl(port) as repl:
        Flash(repl).switch(before)
        repl.restart()
    await_agent(port, facts.board, answer_s)
    raise BoardError(f"the new agent doesn't answer ({failure}): the old one runs again")


def _installed(
    port: str,
    facts: Facts,
    frozen: Frozen | None,
    identity: Identity,
    form: str,
    survey: Survey,
    target: str | None,
    counts: tuple[int, int, int, int],
) -> Installed:
    sent, copied, kept, octets = counts
    version = None if frozen is None else frozen.agent
    older = survey.pointer
    if older in (None, target):
        older = _earlier(survey, target)
    previous = version if target is not None else None
    if older is not None and survey.slots[older].whole:
        previous = survey.slots[older].agent
    return Installed(
        port=port,
        board=facts.board,
        micropython=facts.micropython,
        agent=identity.agent,
        form=form,
        slot=target or "",
        sent=sent,
        copied=copied,
        kept=kept,
        octets=octets,
        previous=previous,
        frozen=version,
        boot="none" if survey.boot is None else "kept",
    )


def _earlier(survey: Survey, running: str | None) -> str | None:
    """The slot to go back to from the one that runs, None for the agent in the firmware."""
    slots = (slot for slot in SLOTS if slot != running and survey.slots[slot].whole)
    return next(slots, None)


def _other(slot: str | None) -> str:
    return "b" if slot == "a" else "a"
