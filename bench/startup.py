"""What commands cost before they do anything: processor time of a process, user and system.

roamkey's help, version, status on a port that isn't there and bindings of an empty registry, and
the help or version of mpremote and esptool, in turn, with their bytecode there already. Medians,
in milliseconds, go to bench/out/startup.json. Exits with 1 where a goal is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from results import update

GOALS_MS = {"help": 150, "status_absent": 250}

COMMANDS = {
    ("roamkey", "help"): ("roamkey", "--help"),
    ("roamkey", "version"): ("roamkey", "--version"),
    ("roamkey", "status_absent"): ("roamkey", "status", "--port", "/dev/nowhere"),
    ("roamkey", "bindings"): ("roamkey", "correspondent", "bindings"),
    ("mpremote", "help"): ("mpremote", "--help"),
    ("esptool", "version"): ("esptool", "version"),
}
_NOTHING = subprocess.DEVNULL
_EXIT_CODES = {("roamkey", "status_absent"): 3}


def cpu_ms(words: tuple[str, ...], environ: dict[str, str], code: int) -> float:
    """What a process and its children took; raises where it ended otherwise than by `code`."""
    program = str(Path(sys.executable).with_name(words[0]))
    process = subprocess.Popen(
        [program, *words[1:]],
        env=environ, stdin=_NOTHING, stdout=_NOTHING, stderr=_NOTHING,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise RuntimeError(f"{' '.join(words)}: exit code {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1000


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Medians by program and what it was asked for."""
    taken: dict[tuple[str, str], list[float]] = {key: [] for key in COMMANDS}
    with tempfile.TemporaryDirectory(prefix="roamkey-startup-") as folder:
        environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith("ROAMKEY_")},
            "HOME": folder, "XDG_DATA_HOME": f"{folder}/data", "TERM": "dumb",
            "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
        }  # fmt: skip
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        cpu_ms(("roamkey", "init"), environ, 0)
        for number in range(rounds + 1):
            for key, words in COMMANDS.items():
                spent = cpu_ms(words, environ, _EXIT_CODES.get(key, 0))
                if number:  # the first round writes the bytecode
                    taken[key].append(spent)
    found: dict[str, dict[str, float]] = {}
    for (program, what), spent in taken.items():
        found.setdefault(program, {})[what] = round(statistics.median(spent), 1)
    return found


def main() -> int:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    found = measure(parser.parse_args().rounds)
    rows = {
        f"{program} {what}": ms
        for program, of_program in found.items()
        for what, ms in of_program.items()
    }
    for name, ms in rows.items():
        print(f"{name:<24}{ms:8.1f} ms")
    update("startup.json", **found)
    missed = {what for what, goal in GOALS_MS.items() if found["roamkey"][what] > goal}
    for what in missed:
        print(f"missed: {what} within {GOALS_MS[what]} ms", file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
