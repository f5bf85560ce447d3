"""The wait loop: as soon as it is true, no longer than was said, and never without asking."""

import time

import pytest

from roamkey.waiting import until


def test_the_answer_as_soon_as_it_is_true() -> None:
    answers = iter([None, "", 0, "here"])
    assert until(lambda: next(answers), 10, 0.001) == "here"


def test_the_last_answer_when_the_time_is_over() -> None:
    started = time.monotonic()
    assert until(list, 0.05, 0.01) == []
    assert 0.05 <= time.monotonic() - started < 1


def test_it_asks_once_without_time() -> None:
    asked = []
    assert until(lambda: asked.append(1), 0) is None
    assert len(asked) == 1


def test_it_asks_again_when_the_time_is_over() -> None:
    """What came to pass during the last pause is not missed."""
    start = time.monotonic()
    assert until(lambda: time.monotonic() - start >= 0.05, 0.05, 10)


def test_what_is_raised_goes_up() -> None:
    with pytest.raises(ZeroDivisionError):
        until(lambda: 1 / 0, 10)
