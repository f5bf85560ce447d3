"""The command `roamkey`, by that name and as `python -m roamkey`."""

from roamkey.interrupts import end_at_once


def main() -> None:
    """Run it. Until a command has begun, and after its end (Python has threads and files to end),
    Ctrl-C ends all at once: raised amid imports it may be swallowed there, or printed."""
    end_at_once()
    from roamkey.cli import main as command

    command()


if __name__ == "__main__":
    main()
