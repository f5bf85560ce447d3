"""Tests marked `kernel` run in a kernel that has Mobile IPv6: see `uml`.

All of a file that are chosen run in one such kernel, by a pytest of its own; here they are
reported one by one. Without one they are skipped, and say so; with `CI=true` that is an error.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from roamkey.errors import SystemRefusedError
from support import uml

_REPORTS = "ROAMKEY_TESTS_REPORTS"
_BOOT_S = 60.0
_EACH_S = 120.0
_ROOT = Path(__file__).parents[2]


class Kernel:
    """The reports of those that ran there, by test."""

    def __init__(self) -> None:
        self._reports: dict[str, list[pytest.TestReport]] = {}

    def reports(self, item: pytest.Item) -> list[pytest.TestReport]:
        """Those of a test; it runs now, with its file's others, where it hasn't yet."""
        if item.nodeid not in self._reports:
            self._run([one for one in item.session.items if _is_beside(one, item)])
        return self._reports.pop(item.nodeid)

    def _run(self, items: list[pytest.Item]) -> None:
        why = uml.refusal()
        if why is not None:
            self._all(items, "failed" if os.environ.get("CI") else "skipped", why)
            return
        with tempfile.TemporaryDirectory(prefix="roamkey-reports-") as folder:
            output = Path(folder, "output")
            with output.open("wb") as written:
                try:
                    uml.run(
                        [
                            sys.executable, "-m", "pytest", "-p",
                            "no:cacheprovider", "-p", "no:xdist", *(one.nodeid for one in items),
                        ],
                        _BOOT_S + _EACH_S * len(items),
                        Path(folder),
                        _ROOT,
                        {_REPORTS: f"{uml.SHARED}/reports"},
                        written.fileno(),
                    )  # fmt: skip
                except SystemRefusedError as refusal:
                    self._all(items, "skipped", str(refusal))
                    return
            self._read(items, Path(folder, "reports"))
            told = output.read_text(errors="replace")[-20_000:]
        for one in items:
            if not any(
                report.when == "call" or report.outcome != "passed"
                for report in self._reports[one.nodeid]
            ):
                self._all([one], "failed", f"it didn't come to its end in that kernel:\n{told}")

    def _read(self, items: list[pytest.Item], path: Path) -> None:
        self._reports.update({one.nodeid: [] for one in items})
        from_plain = items[0].config.hook.pytest_report_from_serializable
        for line in path.read_text().splitlines() if path.exists() else ():
            report = from_plain(config=items[0].config, data=json.loads(line))
            if isinstance(report.longrepr, list):  # why one was skipped: a tuple, for pytest
                report.longrepr = tuple(report.longrepr)
            self._reports.setdefault(report.nodeid, []).append(report)

    def _all(self, items: list[pytest.Item], outcome: str, why: str) -> None:
        for one in items:
            told = (
                (str(one.path), one.location[1] or 0, f"Skipped: {why}")
                if outcome == "skipped"
                else why
            )
            report = pytest.TestReport(one.nodeid, one.location, {}, outcome, told, "setup")
            self._reports[one.nodeid] = [report]


def _is_beside(one: pytest.Item, item: pytest.Item) -> bool:
    return one.path == item.path and one.get_closest_marker("kernel") is not None


def pass_on(config: pytest.Config, report: pytest.TestReport) -> None:
    """In the kernel: write a report where the outside reads it."""
    path = os.environ.get(_REPORTS)
    if path is not None and uml.inside():
        plain = config.hook.pytest_report_to_serializable(config=config, report=report)
        with Path(path).open("a") as file:
            file.write(json.dumps(plain, default=str) + "\n")
