"""Emulated time: it lags behind the wall clock on a slow machine and never overtakes it."""

import asyncio
import time

from rp2040py._clock_batch_gate import clock_tick_batch_size
from rp2040py.execute_batch import execute_batch
from rp2040py.simulator import Simulator

_LOOK_NS = 1e6  # look at the wall clock at least each emulated millisecond
_TOLERANCE_S = 0.001
_LAG_FORGIVEN_S = 0.02  # time lost isn't made up: a board that catches up would seem too fast


class PacedSimulator(Simulator):  # type: ignore[misc]
    """Without a pace an idle board runs as fast as it can: its seconds would be too short."""

    _ended = False

    def stop(self) -> None:
        self._ended = True
        self.stopped = True

    @property
    def executing(self) -> bool:
        return not self._ended

    async def execute(self) -> None:
        """Run until `stop`; `stopped` only ends a batch, so that the wall clock is looked at."""
        started, origin = time.monotonic(), self.clock.nanos

        def ahead() -> float:
            emulated = (self.clock.nanos - origin) / 1e9
            return float(emulated - (time.monotonic() - started))

        def look() -> None:
            alarm.schedule(_LOOK_NS)
            if ahead() > _TOLERANCE_S:
                self.stopped = True

        alarm = self.clock.create_alarm(look)
        alarm.schedule(_LOOK_NS)
        try:
            while not self._ended:
                self.stopped = False
                execute_batch(self, clock_tick_batch_size())
                early = ahead()
                if early < -_LAG_FORGIVEN_S:
                    started, origin = time.monotonic(), self.clock.nanos
                await asyncio.sleep(max(0.0, early))
        except Exception as error:
            self.engine_room_error = error  # whoever waits for the board learns why it stands
            self._ended = True
            raise
        finally:
            self.stopped = True
