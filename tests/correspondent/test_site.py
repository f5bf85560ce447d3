"""A correspondent that goes by the site: nobody says which address it serves."""

import json
import signal
import subprocess
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from support.daemons import ADDRESS, CLI, run_cli
from support.roaming import need_tun

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


@pytest.mark.lab
def test_an_address_that_nobody_was_told_of_is_refused(lab_network, tmp_path: Path) -> None:
    """It isn't put on the data plane's device: it may be mistyped."""
    need_tun()
    path = tmp_path / "registry.sqlite"
    site, mistyped = IPv6Address("fd00:0:0:c::1"), "fd00:0:0:d::1"
    with Registry.open(path) as registry:
        assert not registry.knows_correspondent(site.packed)
        inside = IPv6Address("fd00:0:0:a::").packed
        registry.set_site(Site(site.packed, inside, 64, ()), None)
        assert registry.knows_correspondent(site.packed)
        assert not registry.knows_correspondent(IPv6Address(mistyped).packed)
    run = ("run", "--registry", str(path), "--log", "json", "--address", mistyped)
    code, out, error = run_cli(lab_network, *run)
    assert (code, out) == (5, "") and error.count("\n") == 1
    assert f"{mistyped} is not an address of this host" in error
    with lab_network.spawn(
        "correspondent", [*CLI, *run[:-1], str(site)], stdout=subprocess.PIPE, text=True
    ) as daemon:
        ready = json.loads(daemon.stdout.readline())
        while ready["event"] != "ready":
            ready = json.loads(daemon.stdout.readline())
        assert ready["data_plane"]["own_address"] is True
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
