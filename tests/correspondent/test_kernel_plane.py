"""What is the kernel plane's own: how it is chosen, and how its states end."""

import json
import socket
import time
from ipaddress import IPv6Address

import pytest
from support.daemons import ADDRESS, Daemon, Visitor, run_cli
from support.roaming import need_tun

from roamkey.correspondent.clock import boot_ms
from roamkey.correspondent.dataplane import inkernel, xfrm
from roamkey.correspondent.dataplane.offload import Offload
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

OURS = socket.inet_pton(socket.AF_INET6, ADDRESS)
HOMES = [IPv6Address(f"2001:db8:{prefix}::{at:x}").packed for prefix in "ab" for at in range(1, 4)]
CARE_OF = [IPv6Address(f"2001:db8:{at}::5").packed for at in (1, 2)]
WILDCARD = 1


def plane_of(network):
    code, out, _ = run_cli(network, "status", "--json")
    assert code == 0
    return json.loads(out)[0]["data_plane"]


def test_without_the_kernels_the_device_is_taken_and_the_kernels_refused(lab_network, scene):
    need_tun()
    if inkernel.refusal() is None:
        pytest.skip("this host's kernel has Mobile IPv6")
    daemon = Daemon(lab_network, scene.path, data_plane=True)
    facts = daemon.ready()["data_plane"]
    assert (facts["plane"], "no Mobile IPv6" in facts["why"]) == ("tun", True)
    assert daemon.end()[0] == 0
    daemon = Daemon(lab_network, scene.path, data_plane="kernel")
    assert daemon.process.wait(30) == 5
    told = daemon.process.stderr.read()
    assert "no data plane: this kernel has no Mobile IPv6 (CONFIG_IPV6_MIP6)" in told


@pytest.mark.kernel
def test_it_is_taken_where_it_is_and_its_states_end_with_the_binding(lab_network, scene):
    """By its node, by its lifetime, by retiring the node."""
    need_tun()
    first, second, third = (scene.node(number) for number in (0x100, 0x200, 0x300))
    daemon = Daemon(lab_network, scene.path, data_plane=True)
    facts = daemon.ready()["data_plane"]
    assert (facts["plane"], facts["why"]) == ("kernel", "the kernel has Mobile IPv6")
    there = lab_network.namespace("correspondent")

    def homes():
        return {one.home for one in there._there(inkernel.found, OURS) if one.kind} - {bytes(16)}

    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(first, first.update(0, visitor.address))
    visitor.exchange(second, second.update(0, visitor.address, lifetime=2))  # eight seconds
    visitor.exchange(third, third.update(0, visitor.address))
    assert until(lambda: homes() == {first.home, second.home, third.home}, 30)
    assert until(lambda: plane_of(lab_network)["kernel"]["bindings"] == 3, 30)
    assert until(lambda: homes() == {first.home, third.home}, 30)
    scene.registry.retire(third.home)
    assert until(lambda: homes() == {first.home}, 30)
    visitor.exchange(first, first.update(1, visitor.address, lifetime=0), removes=True)
    assert until(lambda: homes() == set(), 30)
    assert len(there._there(inkernel.found, OURS)) == WILDCARD
    assert daemon.end()[0] == 0
    assert there._there(inkernel.found, OURS) == []


@pytest.fixture
def offload():
    made = Offload(OURS)
    yield made
    made.close()


def kinds():
    found = inkernel.found(OURS)
    return [sum(one.kind == kind for one in found) for kind in (xfrm.OUT, xfrm.IN, 0)]


def settle(offload):
    while offload.flush(boot_ms()):
        pass
    assert offload.failures == 0


@pytest.mark.kernel
def test_the_kernel_has_what_is_bound_and_nothing_else(offload):
    until_ms = boot_ms() + 600_000
    for home in HOMES:
        offload.bind(home, CARE_OF[0], until_ms)
    settle(offload)
    assert kinds() == [6, 6 + WILDCARD, 2 * xfrm.POLICIES]
    offload.leave_outward(HOMES[0])
    offload.bind(HOMES[1], CARE_OF[1], until_ms)
    for home in HOMES[3:]:
        offload.unbind(home, by_update=False)
    settle(offload)
    assert kinds() == [2, 3 + WILDCARD, xfrm.POLICIES]
    offload.bind(HOMES[0], CARE_OF[1], until_ms)  # it moved: what was known of its way is over
    settle(offload)
    assert kinds() == [3, 3 + WILDCARD, xfrm.POLICIES]
    offload.unbind(HOMES[2], by_update=False)
    offload.bind(HOMES[2], CARE_OF[1], until_ms)
    settle(offload)
    assert kinds() == [3, 3 + WILDCARD, xfrm.POLICIES]


@pytest.mark.kernel
def test_a_state_ends_by_itself_where_nobody_is_left(offload):
    offload.bind(HOMES[0], CARE_OF[0], boot_ms() + 1000)
    settle(offload)
    assert kinds()[:2] == [1, 1 + WILDCARD]
    assert until(lambda: kinds()[:2] == [0, WILDCARD], 30)


@pytest.mark.kernel
def test_what_is_missing_is_made_anew_and_nothing_without_need(offload):
    offload.bind(HOMES[0], CARE_OF[0], boot_ms() + 600_000)
    settle(offload)

    def look():
        time.sleep(1.1)
        offload.look(time.monotonic())
        assert until(lambda: offload.hear() or not offload._asking, 10)
        settle(offload)

    look()
    assert offload.repaired == 0
    whole = kinds()
    with xfrm.open_socket() as somebody:
        somebody.send(xfrm.no_state(xfrm.IN, OURS, HOMES[0]))
    look()
    assert (offload.repaired, kinds()) == (1, whole)
    with xfrm.open_socket() as somebody:
        for request in xfrm.no_policies(OURS, HOMES[0])[1:]:
            somebody.send(request)
    look()
    assert (offload.repaired, kinds()) == (2, whole)
    with xfrm.open_socket() as somebody:
        somebody.send(xfrm.no_wildcard(OURS))
    look()
    assert (offload.repaired, kinds()) == (3, whole)
