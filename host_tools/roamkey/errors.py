"""What a command can fail with. Each failure is one line on stderr and one documented exit code.

Raise these deep; `roamkey.cli.ending` prints them once.
"""


class RoamkeyError(Exception):
    """A failure with a message for the user; subclasses fix the exit code."""

    exit_code = 1


class BadInputError(RoamkeyError):
    """A file, packet or value that is damaged or out of range."""

    exit_code = 1


class BoardError(RoamkeyError):
    """The board can't be reached, doesn't answer, or answers nonsense."""

    exit_code = 3


class RefusedError(RoamkeyError):
    """The board or the registry says no: a duplicate, a conflict, an older state."""

    exit_code = 4


class SystemRefusedError(RoamkeyError):
    """The operating system says no: a busy address, a missing right, a full disk."""

    exit_code = 5
