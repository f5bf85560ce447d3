"""Run the demo from its first line to its verdict."""

import sys
from pathlib import Path

from rich.console import Console

from roamkey.correspondent.dataplane import tun
from roamkey.lab.conditions import Conditions
from roamkey.lab.demo.chart import draw
from roamkey.lab.demo.company import HOME_AGENT_TEXT, KEYLESS_TEXT
from roamkey.lab.demo.correspondent import DemoError
from roamkey.lab.demo.facts import CAFE, Facts, check
from roamkey.lab.demo.story import ONE_WAY_MS, Story
from roamkey.lab.demo.timeline import Timeline
from roamkey.lab.namespaces import NFT_MISSING, nft_program
from roamkey.lab.network import Network

_SHORT = {HOME_AGENT_TEXT: "home agent", KEYLESS_TEXT: "without key"}


def run(out: Path) -> None:
    """Tell the story, draw the chart, judge. Raises DemoError if a step did not happen.

    `out`: an existing folder for the capture, the chart, the flash image and the logs.
    """
    timeline = Timeline(Console(soft_wrap=True))
    nat = nft_program() is not None
    if not nat:
        timeline.note(f"{NFT_MISSING}: the visit to a network with IPv4 alone is left out")
    reason = tun.refusal()
    if reason is not None:
        timeline.note(f"{tun.PATH}: {reason}: home agent and return routability are left out")
    cafe = {CAFE: Conditions("ipv4")} if nat else None
    with Network(networks=cafe, home_agent=reason is None) as network:
        story = Story(out, network, timeline)
        try:
            signals = story.run()
        except TimeoutError as error:
            log = out / "correspondent.log"
            raise DemoError(f"a step did not happen: {error} (see {log})") from error
    chart = out / "handovers.png"
    draw(story.facts, chart)
    _summarize(timeline, story.facts)
    faults = check(story.facts, signals)
    timeline.note("")
    if faults:
        raise DemoError("the demo failed: " + "; ".join(faults))
    updates = [signal for signal in signals if signal.is_update]
    accepted = [signal for signal in signals if signal.is_acceptance]
    timeline.note(
        f"Checked on the wire: {len(updates)} Binding Updates ({len(story.facts.replays)} of them "
        f"replays, both refused), {len(accepted)} accepted, no sequence number accepted twice; "
        f"{len(story.facts.readings)} readings of the sensor arrived, all from its home address."
    )
    timeline.note(f"Chart:   {chart}")
    timeline.note(f"Capture: {story.capture}, which this command reads:")
    timeline.note(f"  {sys.argv[0]} decode {story.capture} --registry {story.registry}")


def _summarize(timeline: Timeline, facts: Facts) -> None:
    peers = [HOME_AGENT_TEXT, KEYLESS_TEXT] if facts.accompanied else []
    rows = [
        [
            handover.reason,
            handover.network,
            handover.update.way,
            str(handover.update.sequence),
            f"{(handover.usable - handover.left) * 1000:.0f}",
            f"{handover.signalling * 1000:.1f}",
            *([_beside(facts, at, peer) for peer in peers]),
        ]
        for at, handover in enumerate(facts.handovers)
    ]
    timeline.table(
        f"Handovers ({ONE_WAY_MS:g} ms one way)",
        ["why", "network", "way", "sequence", "join ms", "signalling ms"]
        + [f"{_SHORT[peer]} ms" for peer in peers],
        rows,
    )


def _beside(facts: Facts, at: int, peer: str) -> str:
    """How long a peer beside the correspondent took to follow handover number `at`."""
    followed = [one for one in facts.joined if one.peer == peer][at]
    return "" if followed.care_of_address is None else f"{followed.milliseconds:.1f}"
