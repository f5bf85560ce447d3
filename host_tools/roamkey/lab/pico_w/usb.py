"""The console's USB endpoint, left idle as a real host leaves it.

rp2040py answers an idle endpoint with zero-length packets without end, so the firmware never
sleeps and emulated time crawls. A real host lets the transfer wait (NAK) until it has data.
"""

from typing import Any

_WAKE_NS = 50e3  # let a few octets gather before the transfer that was held is answered


def hold_idle_reads(device: Any) -> None:
    """Repair the console of an rp2040py device: a read is answered when there is an octet."""
    console, controller = device.cdc, device.mcu.usb_ctrl
    answer, push, reset = (
        controller.on_endpoint_read,
        console.send_serial_byte,
        controller.on_reset,
    )
    held: list[tuple[int, int]] = []

    def release() -> None:
        if held:
            answer(*held.pop())

    alarm = device.mcu.clock.create_alarm(release)

    def on_read(endpoint: int, size: int) -> None:
        # Endpoint 0 carries control transfers, which never wait.
        if endpoint and endpoint == console._out_endpoint and console.tx_fifo.empty:
            held[:] = [(endpoint, size)]
        else:
            answer(endpoint, size)

    def send(octet: int) -> None:
        push(octet)
        if held:
            alarm.schedule(_WAKE_NS)

    def on_reset() -> None:
        held.clear()
        reset()

    controller.on_endpoint_read = on_read
    console.send_serial_byte = send
    controller.on_reset = on_reset
