"""What people, Prometheus and systemd see of a home agent."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request

import pytest
from json_output import checked
from prometheus_client.parser import text_string_to_metric_families
from support.home_network import AGENT_TEXT, CLI, Agent, Away, node_of

from roamkey.waiting import until


def test_the_unit_is_what_systemd_understands(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "roamkey", "home-agent", "unit"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "@ROAMKEY@" not in done.stdout
    assert re.search(r"^ExecStart=/\S+ home-agent run --address %i ", done.stdout, re.MULTILINE)
    assert "AF_PACKET" in done.stdout
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "roamkey-home-agent@.service"
    unit.write_text(done.stdout)
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def printed(network, *arguments):
    process = network.spawn(
        Agent.name, [*CLI, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.lab
def test_what_it_tells(lab_network, scene, tmp_path):
    agent = Agent(lab_network, scene.path)
    events = str(tmp_path / "events.sqlite")
    agent.start("--metrics", "[::1]:9464", "--events", events)
    away = Away(lab_network, node_of(scene))
    away.open("native")
    assert away.register().status == 0
    code, out, _ = printed(lab_network, "status")
    assert code == 0 and re.search(rf"^home agent +{AGENT_TEXT}", out, re.MULTILINE)
    assert "1 with a key, 1 bound" in out and "1 waiting" in out
    code, out, _ = printed(lab_network, "bindings", "--registry", str(scene.path))
    assert away.care_of in out and "home agent" in out
    with lab_network.namespace(Agent.name).entered():
        text = urllib.request.urlopen("http://[::1]:9464/metrics", timeout=10).read().decode()
    found = {
        sample.labels.get("outcome"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "roamkey_packets_total" and sample.labels["home_agent"] == AGENT_TEXT
    }
    assert (found["waiting"], found["accepted"]) == (1, 1)

    def recorded():
        told = json.loads(agent.ask("events", "--events", events))
        return [one["kind"] for one in told if one["kind"] == "bound"] or None

    assert until(recorded, 10) == ["bound"]
    checked("home-agent-events", agent.ask("events", "--events", events))
    process = lab_network.spawn(
        Agent.name,
        [*CLI[:-1], "correspondent", "status"],
        stderr=subprocess.PIPE,
        text=True,
    )
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (5, "roamkey: no correspondent daemon runs on this host\n")
    assert agent.end()[0] == 0
    assert printed(lab_network, "status")[0] == 5
