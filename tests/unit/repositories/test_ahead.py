"""Some calls run ahead of the one whose answer is awaited, and none when nobody awaits any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import ContextVar
from functools import partial

import pytest

from repositories.ahead import AHEAD, ahead

WHO: ContextVar[str] = ContextVar("who", default="nobody")


@pytest.mark.parametrize("count", [0, 1, AHEAD, AHEAD + 1, 50])
def test_answers_come_in_the_order_of_the_calls(count: int) -> None:
    def answer(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number

    assert list(ahead(partial(answer, number) for number in range(count))) == list(range(count))


def test_as_many_run_at_once_as_may_and_all_for_the_one_who_asked() -> None:
    together = threading.Barrier(AHEAD, timeout=10)

    def answer() -> str:
        together.wait()
        return WHO.get()

    WHO.set("me")
    assert set(ahead([answer] * AHEAD * 2)) == {"me"}


def test_no_more_are_taken_than_may_run_ahead() -> None:
    taken: list[int] = []

    def calls() -> Iterator[Callable[[], int]]:
        for number in range(1000):
            taken.append(number)
            yield lambda: 0

    with closing(ahead(calls())) as answers:
        next(answers)
        assert len(taken) == AHEAD + 1


def test_what_a_call_raises_is_raised_and_nothing_goes_on() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def answer(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise OSError("gone")
        time.sleep(0.01)
        ended.append(number)
        return number

    with pytest.raises(OSError, match="gone"):
        list(ahead(partial(answer, number) for number in range(1000)))
    assert sorted(ended) == sorted(set(begun) - {2})
    assert len(begun) <= 2 + 1 + AHEAD
