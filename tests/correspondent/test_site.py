"""A correspondent that goes by the site: nobody says which address it serves."""

import json
import signal
import subprocess
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from support.daemons import ADDRESS, CLI, run_cli

from roamkey.registry import Registry, Site


@pytest.mark.lab
def test_the_site_says_which_address_is_served(lab_network, tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    plain = ("run", "--registry", str(path), "--no-data-plane", "--log", "json")
    code, out, error = run_cli(lab_network, *plain)
    assert (code, out) == (1, "") and error.count("\n") == 1 and "no registry" in error
    with Registry.open(path) as registry:
        code, out, error = run_cli(lab_network, *plain)
        assert (code, out) == (1, "") and error.count("\n") == 1 and "roamkey init" in error
        inside = IPv6Address("fd00:0:0:a::").packed
        registry.set_site(Site(IPv6Address(ADDRESS).packed, inside, 64, ()), None)
    with lab_network.spawn(
        "correspondent", [*CLI, *plain], stdout=subprocess.PIPE, text=True
    ) as daemon:
        ready = json.loads(daemon.stdout.readline())
        while ready["event"] != "ready":
            ready = json.loads(daemon.stdout.readline())
        assert ready["address"] == ADDRESS
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
