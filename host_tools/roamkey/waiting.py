"""The one wait loop: ask until the answer is true, or until the time is over."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def until(ask: Callable[[], Answer], timeout_s: float, pause_s: float = 0.02) -> Answer:
    """What `ask` gives as soon as that is true; what it gave last once `timeout_s` is over.

    It is asked at least once, and once more when the time is over. What it raises goes up.
    """
    end = time.monotonic() + timeout_s
    while True:
        over = time.monotonic() >= end
        answer = ask()
        if answer or over:
            return answer
        time.sleep(min(pause_s, max(0.0, end - time.monotonic())))
