"""Alert rules and the dashboard: Prometheus takes them, and all that they name is exported."""

import json
import os
import re
import shutil
import socket
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from support.daemons import ADDRESS, Daemon, Visitor, run_cli

from roamkey.correspondent.nodemetrics import NodeMetrics
from roamkey.errors import SystemRefusedError
from roamkey.registry import Registry
from roamkey.registry.seen import ENDS_S, QUIET_S, USES_LEFT
from roamkey.waiting import until

MONITORING = Path(str(files("roamkey") / "data" / "monitoring"))
ALERTS, DASHBOARD = MONITORING / "alerts.yml", MONITORING / "dashboard.json"
#: Prometheus makes these itself.
ITS_OWN = {"up"}

_NAME = re.compile(r"\b(roamkey_[a-z_]+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


def expressions():
    """What both files ask Prometheus."""
    alerts = re.findall(r"expr: (?:>-\n)?(.*?)\n +(?:for|labels):", ALERTS.read_text(), re.DOTALL)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(alerts) == ALERTS.read_text().count("alert:") and len(asked) >= len(panels)
    return alerts + asked


@pytest.fixture(scope="module")
def promtool():
    found = shutil.which("promtool")
    if found is None and not os.environ.get("CI"):
        pytest.skip("promtool is not installed (Debian, Ubuntu: apt install prometheus)")
    assert found is not None, "promtool is not installed"
    return found


def test_prometheus_takes_the_rules(promtool):
    done = subprocess.run(
        [promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


SCENES = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'up{{job="roamkey"}}'
        values: 1x3000
      - series: 'roamkey_nodes{{correspondent="fd00::1"}}'
        values: 500x3000
      - series: 'roamkey_nodes_never_seen{{correspondent="fd00::1"}}'
        values: 3x3000
      - series: 'roamkey_nodes_quiet{{correspondent="fd00::1",longer_than_seconds="3600"}}'
        values: 3x1000 150x1999
      - series: 'roamkey_nodes_quiet{{correspondent="fd00::1",longer_than_seconds="86400"}}'
        values: 3x1000 4x1999
      - series: 'roamkey_nodes_key_ends_within{{correspondent="fd00::1",seconds="2592000"}}'
        values: 0x1000 2x1999
    alert_rule_test:
      - {{eval_time: 900m, alertname: RoamkeyManyNodesQuiet, exp_alerts: []}}
      - {{eval_time: 900m, alertname: RoamkeyNodeQuiet, exp_alerts: []}}
      - {{eval_time: 900m, alertname: RoamkeyKeysEnd, exp_alerts: []}}
      - eval_time: 1200m
        alertname: RoamkeyManyNodesQuiet
        exp_alerts:
          - exp_labels: {{severity: critical, correspondent: "fd00::1"}}
            exp_annotations:
              summary: A fifth of all nodes is silent for an hour; look at the network first.
      - eval_time: 1200m
        alertname: RoamkeyNodeQuiet
        exp_alerts:
          - exp_labels: {{severity: warning, correspondent: "fd00::1"}}
            exp_annotations:
              summary: "1 nodes are silent for a day (`roamkey nodes --quiet-for 1d`)."
      - eval_time: 1200m
        alertname: RoamkeyKeysEnd
        exp_alerts:
          - exp_labels: {{severity: warning, correspondent: "fd00::1", seconds: "2592000"}}
            exp_annotations:
              summary: >-
                2 nodes need new keys within a month (`roamkey nodes --key-ends-within 30d
                --key-below 1000`, then `roamkey rekey` with the board at hand).
"""


def test_the_rules_tell_of_what_they_should(promtool, tmp_path):
    scenes = tmp_path / "scenes.yml"
    scenes.write_text(SCENES.format(rules=ALERTS))
    done = subprocess.run(
        [promtool, "test", "rules", str(scenes)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def scrape(network):
    """The families of a scrape, by name as it is asked for; and the samples' labels."""
    one = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_STREAM)
    with one:
        one.settimeout(30)
        one.connect(("::1", 9464))
        one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: one.recv(65536), b"")).decode()
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {f"{name}_sum", f"{name}_count"} if kind == "summary" else {name}
    return names, re.findall(r"^(roamkey_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE)


@pytest.mark.lab
def test_all_that_they_name_is_exported(lab_network, scene):
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("no /dev/net/tun: no data plane, whose metrics are named too")
    node, _ = scene.node(0x100), scene.node(0x101)
    with Registry.open(scene.path) as registry:
        registry.rename(node.home, "boiler-3")
    more = ("--metrics-nodes", "2")
    daemon = Daemon(lab_network, scene.path, data_plane=True, more=more)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(0, visitor.address))
    assert until(lambda: "roamkey_data_plane_packets_total" in scrape(lab_network)[0], 20, 0.2)
    names, samples = scrape(lab_network)
    told = {(name, label) for name, labels, _ in samples for label in _LABEL.findall(labels)}
    for expression in expressions():
        for name, labels in _NAME.findall(expression):
            assert name in names, f"{name} in {expression}"
            for key, value in _LABEL.findall(labels):
                is_open = key in ("outcome", "reason")  # come with the first packet
                assert is_open or (name, (key, value)) in told, f"{name}{{{key}={value!r}}}"
    of_nodes = {
        labels: float(value)
        for name, labels, value in samples
        if name == "roamkey_node_key_uses_left"
    }
    assert sorted(of_nodes.values()) == [65_535, 65_536]
    assert any('name="boiler-3"' in labels for labels in of_nodes)
    code, out, err = run_cli(lab_network, "monitoring", "alerts")
    assert (code, out, err) == (0, ALERTS.read_text(), "")
    assert daemon.end()[::2] == (0, "")


def test_the_dashboard_is_one():
    found = json.loads(DASHBOARD.read_text())
    assert found["uid"] == "roamkey" and found["schemaVersion"] >= 36
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in found["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["title"] and all(one["expr"] for one in panel["targets"])


def test_the_registry_is_asked_seldom_and_may_fail(registry_url):
    with Registry.open(registry_url) as registry:
        figures = registry.figures(bytes(16), 0)
    asked = []

    def read():
        asked.append(1)
        if len(asked) == 2:
            raise SystemRefusedError("gone")
        return figures, []

    often = NodeMetrics(read)
    for _ in range(50):
        found = {metric.name: metric for metric in often.collect(["correspondent"], [ADDRESS])}
    assert len(asked) == 1
    assert len(found["roamkey_nodes_quiet"].samples) == len(QUIET_S)
    assert len(found["roamkey_nodes_key_uses_below"].samples) == len(USES_LEFT)
    assert len(found["roamkey_nodes_key_ends_within"].samples) == len(ENDS_S)
    assert found["roamkey_node_quiet_seconds_max"].samples == []
    always = NodeMetrics(read, every_s=0)
    assert list(always.collect(["correspondent"], [ADDRESS])) == []  # it fails
    assert list(always.collect(["correspondent"], [ADDRESS]))


def test_too_many_nodes_have_no_series_of_their_own(registry_url):
    with Registry.open(registry_url) as registry:
        figures = registry.figures(bytes(16), 0)
    nodes = [None] * 3
    some = NodeMetrics(lambda: (figures, nodes), nodes_max=2)
    found = {metric.name: metric.samples for metric in some.collect(["correspondent"], [ADDRESS])}
    assert found["roamkey_nodes_without_series"][0].value == 3
    assert found["roamkey_node_last_seen_timestamp_seconds"] == []
