"""Install into this Python's environment and show how far it is: what the Makefile's targets run.

    python installing.py WHAT...    (as for pip install; '--editable .[lab]')

On a terminal one line that changes, elsewhere a line for each thing done. What pip says is shown
where it fails. Nothing but the standard library, Python 3.10.
"""

import re
import select
import subprocess
import sys
import time

_STEPS = re.compile(
    r"\s*(?:(?P<fetch>Downloading|Using cached|Processing) (?:\S*/)?(?P<file>\S+?)"
    r"(?: \((?P<size>[\d.]+ [kMG]B)\))?"
    r"|(?P<build>Building \w+ for \S+|Installing build dependencies)"
    r"|(?P<install>Installing collected packages): (?P<names>.*))\s*(?:\.\.\.|:|\Z)"
)
_TICK_S = 0.5


def step_of(line: str) -> str | None:
    """What a line of pip's tells people; None: nothing."""
    found = _STEPS.match(line)
    if found is None:
        return None
    if found["fetch"]:
        name = "-".join(found["file"].split("-")[:2])
        return f"fetching {name}" + (f" ({found['size']})" if found["size"] else "")
    if found["install"]:
        return f"unpacking {len(found['names'].split(','))} packages"
    return found["build"].lower()


def main(arguments: list[str]) -> int:
    """Run pip; its exit code."""
    start = time.monotonic()
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--no-color", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    terminal, said, step = sys.stdout.isatty(), [], "asking the package index"
    while True:
        if terminal:
            print(f"\r\x1b[K  {time.monotonic() - start:3.0f} s  {step}"[:79], end="", flush=True)
            if not select.select([process.stdout], [], [], _TICK_S)[0]:
                continue
        line = process.stdout.readline()
        if not line:
            break
        said.append(line)
        new = step_of(line)
        if new not in (None, step) and not terminal:
            print(f"  {new}", flush=True)
        step = new or step
    code = process.wait()
    print("\r\x1b[K" * terminal, end="")
    if code:
        print("".join(said[-20:]), end="", file=sys.stderr)
    else:
        print(f"  done in {time.monotonic() - start:.0f} s")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
