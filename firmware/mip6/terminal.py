"""The board's end of the serial line: waits for lines, and has the console answer them."""

import asyncio
import select

from .compat import const
from .linereader import LineReader, Oversized

_BURST = const(64)  # octets taken before others have their turn
_REST_S = 0.3  # between an answer and the reboot it announces

_NO_MEMORY = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"no memory left"}}\n'


async def serve(desk, source, sink):
    """Answer the lines of `source` on `sink` until 0x03 or a reboot is asked for.

    `desk`: a desk.Desk. `source`: a stream that select.poll knows and whose read(1) gives octets
    (`sys.stdin.buffer`: its read(n) blocks for exactly n, hence one at a time); `sink`: has
    write(octets). Returns True for a reboot, False for 0x03 on a board that isn't sealed, None
    when the line is closed (a service without a terminal). For MicroPython's asyncio alone.
    """
    reader = LineReader()
    stream = asyncio.StreamReader(source)
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    octet = None
    while True:
        if octet:
            await asyncio.sleep(0)  # a long burst: the node's turn
        else:
            octet = await stream.read(1)
        for _ in range(_BURST):
            if not octet:
                break
            try:
                line = reader.feed(octet[0])
            except Oversized as error:
                line = error
            if line and await _answer(desk, line, sink):
                await asyncio.sleep(_REST_S)  # the answer leaves a UART or USB first
                return True
            if reader.interrupted and not desk.sealed():
                return False
            octet = source.read(1) if waiting.poll(0) else None
        if octet == b"":
            return None


async def _answer(desk, line, sink):
    """Answer a line (or Oversized); whether a reboot was asked for."""
    try:
        console = await desk.open()
    except MemoryError:  # an application has it: the node works on
        sink.write(_NO_MEMORY)
        return False
    answer = console.refuse(line) if isinstance(line, Oversized) else console.handle(line)
    if answer:
        sink.write(answer + b"\n")
    return console.rebooting
