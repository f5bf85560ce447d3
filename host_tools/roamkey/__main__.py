"""The command `roamkey`, by that name and as `python -m roamkey`."""

from roamkey.interrupts import at_once, end_at_once


def main() -> None:
    """Run it; Ctrl-C is looked after before the rest is imported."""
    with at_once():
        from roamkey.cli import main as command
    try:
        command()
    finally:
        end_at_once()  # Python has threads and files to end


if __name__ == "__main__":
    main()
