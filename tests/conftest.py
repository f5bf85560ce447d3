"""Tests marked `lab` run in a sandbox: each in a forked child with namespaces of its own.

Everything that such a test and its fixtures do happens in the child, which is root there: it may
make networks, open sockets in them and start processes; what it leaves behind dies with it.
Fixtures of wider scope than a function are made anew for each such test and not torn down.
Where the system forbids namespaces these tests are skipped, with a reason that says what to do.

Tests marked `kernel` run in a kernel that has Mobile IPv6: see `support/in_kernel.py`.

After every test, what it printed and logged is searched for the keys that it made.
"""

import contextlib
import gc
import os
import pickle
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import secrets_search
from _pytest.runner import runtestprotocol
from support import in_kernel, uml

from mip6.keystore import keyset
from roamkey.errors import SystemRefusedError
from roamkey.lab import apart, installed, sandbox

#: Files that take longest, and folders of such: they begin first, or the last of them would stay
#: with one worker at the end, and the others idle.
_LONGEST = (
    "docs/test_printed_lines.py", "journeys", "home_agent/test_home_agent.py", "build",
    "correspondent/test_dataplane_udp.py", "board/test_other_devices.py",
    "correspondent/test_dataplane.py", "lab/test_addresses.py", "correspondent/test_campaigns.py",
    "correspondent/test_dataplane_mending.py", "lab/test_home_agent_story.py",
    "correspondent/test_held_up.py", "lab/test_path_check.py", "lab/test_agent.py", "browser",
    "lab/test_playground.py", "test_micropython.py", "correspondent/test_dataplane_udp_daemon.py",
    "correspondent/test_daemon.py", "board/test_installer.py", "registry/test_encryption.py",
    "lab/test_network_kinds.py", "storage", "lab/test_demo.py", "fleet",
    "lab", "correspondent", "board", "home_agent", "registry",
)  # fmt: skip
# For a test that hangs where pytest-timeout's signal doesn't reach it.
_GRACE_S = 10.0
_LONGEST_S = 300.0


_kernel = in_kernel.Kernel()

apart.stand_apart()
secrets_search.collect_from(keyset.Peer)
os.environ.pop("SUDO_UID", None)  # under sudo all that is made here is root's, daemons too
# A shell has what it puts in the background ignore Ctrl-C, and whatever that starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Fail a test in whose output a Kcn stands that it made."""
    report = yield
    written = "".join(content for _, content in report.sections).encode(errors="replace")
    if written and secrets_search.found_in(written):
        report.outcome = "failed"
        report.sections = []
        report.longrepr = f"{item.nodeid}: a Kcn stands in what it printed or logged"
    if report.when == "teardown":
        secrets_search.kcns.clear()
    return report


@pytest.fixture
def lab_network() -> Iterator["Network"]:  # noqa: F821 (imported late: pyroute2 is optional)
    """A laboratory network without delay or loss; for tests marked `lab`."""
    from roamkey.lab.network import Network

    with Network() as network:
        yield network


@pytest.fixture(scope="session")
def postgresql() -> Iterator["Server"]:  # noqa: F821
    """A PostgreSQL server for all tests: without one they are skipped, or fail if CI is set."""
    from roamkey.lab.postgresql import Server, programs

    if programs() is None and not os.environ.get("CI"):
        pytest.skip("PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)")
    with Server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new registry may be made: in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'registry.sqlite'}"
    return str(request.getfixturevalue("postgresql").url())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """xdist keeps to this order, see `pytest_configure`."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(here).as_posix() + "/"
        names = (name for name, start in enumerate(_LONGEST) if path.startswith(start + "/"))
        return next(names, len(_LONGEST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """All that is loaded stays: collecting garbage needn't look at it each time."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # of xdist, where it is: as --no-loadscope-reorder
    config.pluginmanager.register(_PassOn(config))


class _PassOn:
    """Tells the outside of tests that run in a kernel of `uml`."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        in_kernel.pass_on(self._config, report)


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if item.get_closest_marker("kernel") is not None and not uml.inside():
        return _in_kernel(item, nextitem)
    if item.get_closest_marker("lab") is None:
        return None
    item.config._tmp_path_factory.getbasetemp()  # once for all, not in each child
    with contextlib.suppress(SystemRefusedError):  # a test that needs it says so itself
        installed.image()
    remaining = signal.setitimer(signal.ITIMER_REAL, 0)[0]  # pytest-timeout's: the child's now
    reports, pipe = os.pipe()
    try:
        child = sandbox.fork()
    except SystemRefusedError as refusal:
        os.close(reports)
        os.close(pipe)
        item.add_marker(pytest.mark.skip(reason=str(refusal)))
        return None
    if child == 0:
        _run(item, nextitem, pipe, remaining)
    os.close(pipe)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _collect(item, child, reports, (remaining or _LONGEST_S) + _GRACE_S):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # The child tore down its copy; modules that end with this item end here too.
    item.session._setupstate.teardown_exact(nextitem)
    return True


def _in_kernel(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    signal.setitimer(signal.ITIMER_REAL, 0)  # pytest-timeout's: those in there have their own
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _kernel.reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    item.session._setupstate.teardown_exact(nextitem)
    return True


def _run(item: pytest.Item, nextitem: pytest.Item | None, pipe: int, remaining: float) -> None:
    """In the sandbox: run the test, send its reports, exit."""
    try:
        signal.setitimer(signal.ITIMER_REAL, remaining)
        made = runtestprotocol(item, nextitem=nextitem, log=False)
        signal.setitimer(signal.ITIMER_REAL, 0)
        to_plain = item.config.hook.pytest_report_to_serializable
        plain = [to_plain(config=item.config, report=report) for report in made]
        with os.fdopen(pipe, "wb") as file:
            pickle.dump(plain, file)
    finally:
        os._exit(0)


def _collect(item: pytest.Item, child: int, pipe: int, timeout: float) -> list[pytest.TestReport]:
    """In the caller: the child's reports, or one that says that it died or hung."""
    try:
        received = _read_all(pipe, timeout)
    finally:
        if not select.select([pipe], [], [], 0)[0]:  # it still runs
            os.kill(child, signal.SIGKILL)
        os.close(pipe)
        code = sandbox.wait(child)
    if received:
        from_plain = item.config.hook.pytest_report_from_serializable
        return [from_plain(config=item.config, data=data) for data in pickle.loads(received)]
    message = f"{item.nodeid}: the sandboxed test hung or died (exit code {code})"
    return [pytest.TestReport(item.nodeid, item.location, {}, "failed", message, "call")]


def _read_all(pipe: int, timeout: float) -> bytes:
    """What comes until the end of the pipe; nothing if the end doesn't come (seconds)."""
    received = b""
    deadline = time.monotonic() + timeout
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data = os.read(pipe, 65536)
        if not data:
            return received
        received += data
    return b""
