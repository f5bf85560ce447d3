"""What else is on serial ports: devices behind a pty that speak as real ones were recorded to."""

import contextlib
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable, Iterable
from typing import Any

#: ESP32-D0WD, BOOT held while it is plugged in.
ESP32_DOWNLOAD = (
    b"ets Jul 29 2019 12:21:46\r\n\r\n"
    b"rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/"
    b"SDIO_REI_REO_V2))\r\nwaiting for download\r\n"
)
ESP32_S3_DOWNLOAD = (
    b"ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\nrst:0x1 (POWERON),boot:0x0 "
    b"(DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n"
)
#: After `esptool erase_flash`; it says so again and again.
ESP32_EMPTY = (
    b"ets Jul 29 2019 12:21:46\r\n\r\n"
    b"rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    b"invalid header: 0xffffffff\r\ninvalid header: 0xffffffff\r\ninvalid header: 0xffffffff\r\n"
)
ESP32_PANIC = (
    b"ets Jul 29 2019 12:21:46\r\n\r\n"
    b"rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    b"configsip: 0, SPIWP:0xee\r\nclk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,"
    b"wp_drv:0x00\r\nmode:DIO, clock div:2\r\nload:0x3fff0030,len:4892\r\nho 0 tail 12 room 4\r\n"
    b"entry 0x400805e4\r\nGuru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was "
    b"unhandled.\r\n\r\nRebooting...\r\n"
)
ESP32_LOOP = (
    b"ets Jul 29 2019 12:21:46\r\n\r\n"
    b"rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    b"configsip: 0, SPIWP:0xee\r\nmode:DIO, clock div:2\r\nload:0x3fff0030,len:4892\r\n"
)
ESP32_BROWNOUT = b"\r\nBrownout detector was triggered\r\n\r\n"
CIRCUITPYTHON = (
    b"\x1b]0;\xf0\x9f\x90\x8dCode done running. | 9.2.1\x1b\\\r\nCode done running.\r\n\r\n"
    b"Press any key to enter the REPL. Use CTRL-D to reload.\r\n"
)
CIRCUITPYTHON_REPL = (
    b"\r\nAdafruit CircuitPython 9.2.1 on 2024-11-20; Raspberry Pi Pico W with rp2040\r\n>>> "
)
#: u-blox NEO-6M, without a fix.
NMEA = (
    b"$GPRMC,083559.00,V,,,,,,,091202,,,N*77\r\n$GPVTG,,,,,,,,,N*30\r\n"
    b"$GPGGA,083559.00,,,,,0,00,99.99,,,,,,*64\r\n$GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99*30\r\n"
)
LOGIN = b"\r\nDebian GNU/Linux 12 raspberrypi ttyGS0\r\n\r\nraspberrypi login: "
MARLIN = b'echo:Unknown command: "{"JSONRPC":"2.0"}"\r\nok\r\n'
MODEM = b"\r\nERROR\r\n"
#: A UART at 9,600 baud, heard at 115,200.
WRONG_SPEED = bytes.fromhex("00f800e6fe0080f81e0698e0fe7e00f8e07efe80001e78f80066e61e") * 3
THERMOMETER = b"t=21.4 h=40\r\n"


class Device:
    """A device behind a pty. `speak`: what it says of itself, again each `each_s` (None: once);
    `answer`: what it says to what it is sent, where that is anything."""

    def __init__(
        self,
        speak: bytes = b"",
        each_s: float | None = None,
        answer: Callable[[bytes], bytes] = lambda _: b"",
    ) -> None:
        self._speak, self._each_s, self._answer = speak, each_s, answer
        self.heard = bytearray()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def _run(self) -> None:
        due: float | None = time.monotonic()
        with contextlib.suppress(OSError):
            while not self._over.is_set():
                if due is not None and time.monotonic() >= due:
                    self._say(self._speak)
                    due = None if self._each_s is None else due + self._each_s
                if select.select([self._master], [], [], 0.02)[0]:
                    octets = os.read(self._master, 4096)
                    self.heard += octets
                    self._say(self._answer(octets))

    def _say(self, octets: bytes) -> None:
        """Without waiting: nobody may listen, and a UART waits for nobody."""
        if octets and select.select([], [self._master], [], 0)[1]:
            os.write(self._master, octets)


def after(first: Iterable[bytes]) -> Callable[[bytes], bytes]:
    """Answers one after the other, then nothing."""
    left = iter(first)
    return lambda _: next(left, b"")
