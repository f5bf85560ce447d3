"""The field tester's walk, on the playground: record, move, pull the log, and read the report."""

import json
import time
from pathlib import Path

import pytest
from support.account import Account

MOVES = ("cafe", "home")


def await_lines(file: Path, count: int) -> None:
    """Wait until a file has so many lines."""
    end = time.monotonic() + 60
    while file.read_text().count("\n") < count:
        assert time.monotonic() < end, file.read_text()
        time.sleep(0.1)


@pytest.mark.lab
@pytest.mark.slow
def test_a_walk_and_its_report(tmp_path: Path) -> None:
    with Account(tmp_path) as tester:
        run = tester.run
        run("roamkey lab up", timeout_s=120).ok()
        try:
            walk = tester.clone / "walk"
            with tester.start("roamkey lab run roamkey field record walk") as recording:
                recording.wait_for("recording UDP port 5005")
                for network in MOVES:
                    run(f"roamkey lab move {network}").ok()
                await_lines(walk / "data.jsonl", 2)
            run("roamkey lab run roamkey correspondent events --json > walk/events.json").ok()
            run("roamkey log pull --out walk/board.jsonl").ok()
        finally:
            run("roamkey lab down").ok()
        told = run("roamkey field report walk --since 1h --json").ok().json()
        (node,) = told["nodes"]
        assert node["loss"]["sent"] >= 2 and len(node["handovers"]) >= len(MOVES)
        named = node["handovers"][-1]["network"]
        said = run(f"roamkey field report walk --network {named}=yard --compare walk").ok().output
        assert "datagrams lost" in said and "less is better" in said
        assert "yard" in (walk / "report" / "index.html").read_text()
        assert json.loads((walk / "report" / "report.json").read_text())["nodes"]
