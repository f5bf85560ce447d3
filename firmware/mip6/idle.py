"""What a board does while nothing else is due: it overwrites old keys, and keeps its log.

Old keys stay in unused flash until a scrub has erased every free block, seconds to a minute of
work. Here it goes a page or an erase at a time, everybody else having a turn between, and not
while an update is on its way: a handover waits for one slice at most.
"""

import asyncio

from .compat import const
from .errors import StorageError

_LOOK_S = const(1)
_BUSY_S = 0.05
_AGAIN_S = const(60)


async def tend(keystore, node, log, desk):
    """Work for ever. `node`: agent.Guarded; `log`: EventLog; `desk`: desk.Desk."""
    while True:
        log.tend(node.idle())
        if keystore.scrub_due and node.idle() and not await _scrub(keystore, node, log):
            await asyncio.sleep(_AGAIN_S)
        desk.tidy()
        await asyncio.sleep(_LOOK_S)


async def _scrub(keystore, node, log):
    """Overwrite old keys, as slowly as the node's work demands; whether it came to its end."""
    slices = keystore.scrubbing()
    try:
        for _ in slices:
            await asyncio.sleep(0)
            while not node.idle():
                await asyncio.sleep(_BUSY_S)
    except StorageError as error:
        log.add("storage", str(error))
        return False
    finally:
        slices.close()
    log.add("scrubbed", "old keys are overwritten")
    return True
