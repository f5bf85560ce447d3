# mypy: ignore-errors
# ruff: noqa: F403
"""`machine` as firmware knows it from hardware: the unix port's own, and what that one lacks."""

from umachine import *

# The values of ports/esp32/modmachine.c.
PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

# Set once by _virtual_board: how to reach the supervisor, and what it said at the start.
_request = None
_unique_id = None
_cause = None


def reset():
    """Reset the board at once, open files and all."""
    _request(b"R")


def unique_id():
    """The board's own 8 octets."""
    return _unique_id


def reset_cause():
    """Why the board started: one of the *_RESET numbers."""
    return _cause
