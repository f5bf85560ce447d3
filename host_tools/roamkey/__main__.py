"""The command `roamkey`, by that name and as `python -m roamkey`."""

import sys

from roamkey.interrupts import EXIT_INTERRUPTED, at_once, end_at_once


def main() -> None:
    """Run it; Ctrl-C is looked after before the rest is imported."""
    try:
        with at_once():
            from roamkey.cli import main as command
        command()
    except KeyboardInterrupt:  # between the two
        sys.exit(EXIT_INTERRUPTED)
    finally:
        end_at_once()  # Python has threads and files to end


if __name__ == "__main__":
    main()
