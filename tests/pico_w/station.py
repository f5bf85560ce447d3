"""An emulated Pico W in the laboratory network, and the commands that a technician gives."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from support.pico_w import InReach
from support.technician import Technician, run

from roamkey.lab.pico_w import EmulatedPicoW

__all__ = ["INTERFACE_ID", "Station", "board_resetting", "run"]

#: The board's MAC is the emulator's, so its addresses are known (RFC 4862).
INTERFACE_ID = "210:18ff:fe00:2"


class Station(InReach, Technician):
    """A Pico W with two Wi-Fi networks in reach, named as the laboratory's they belong to."""

    interface_id = INTERFACE_ID

    @property
    def is_at_work(self) -> bool:
        """Whether its firmware hasn't reset the chip."""
        return not self.board.asks_for_reset

    def resetting(self) -> contextlib.AbstractContextManager[None]:
        """See `board_resetting`; the wired sides are plugged in again."""
        return board_resetting(self.board, self.power_on)


class Bench(Technician):
    """In front of a Pico W that is in no network."""

    def __init__(self, board: EmulatedPicoW) -> None:
        self.board = board

    def resetting(self) -> contextlib.AbstractContextManager[None]:
        """See `board_resetting`."""
        return board_resetting(self.board)


@contextlib.contextmanager
def board_resetting(
    board: EmulatedPicoW, power_on: Callable[[], None] | None = None
) -> Iterator[None]:
    """Meanwhile, a board that resets itself starts afresh, as the chip does on hardware."""
    over = threading.Event()

    def attend() -> None:
        while not over.wait(0.2):
            if board.asks_for_reset:
                board.power_cut()
                (power_on or board.power_on)()

    thread = threading.Thread(target=attend)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
