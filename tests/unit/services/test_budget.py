"""Reservations wait in order, end with their block, and never exceed the limit."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from interfaces.errors import PermanentTaskError, TaskCancelled
from services.budget import size_text
from services.memory_budget import MemoryBudget


def _nothing() -> None:
    return None


def _eventually(budget: MemoryBudget, waiting: int) -> None:
    end = time.monotonic() + 10
    while len(budget._waiting) != waiting:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_fits_is_given_at_once_and_returned_at_the_end() -> None:
    budget = MemoryBudget(100)
    with budget.reserve(60, _nothing), budget.reserve(40, _nothing):
        assert budget.reserved_bytes == 100
    assert budget.reserved_bytes == 0
    with pytest.raises(KeyError), budget.reserve(100, _nothing):
        raise KeyError
    assert budget.reserved_bytes == 0


def test_more_than_there_ever_is_is_refused_at_once_with_the_numbers() -> None:
    budget = MemoryBudget(1024**3)
    with (
        pytest.raises(PermanentTaskError, match=r"^needs 1\.5 GiB of memory, and 1\.0 GiB are allowed$"),
        budget.reserve(3 * 512 * 1024**2, _nothing),
    ):
        pass


def test_those_who_wait_are_served_in_order_so_that_large_ones_do_not_starve() -> None:
    budget = MemoryBudget(100)
    served: list[int] = []

    def ask(number: int, size: int) -> None:
        with budget.reserve(size, _nothing):
            served.append(number)

    with ThreadPoolExecutor(5) as pool:
        with budget.reserve(60, _nothing):
            asked = []
            # The first does not fit beside the 60; the others would.
            for number, size in enumerate((100, 10, 10, 10)):
                asked.append(pool.submit(ask, number, size))
                _eventually(budget, number + 1)
            assert served == []
        for future in asked:
            future.result(10)
    assert served[0] == 0
    assert sorted(served) == [0, 1, 2, 3]


def test_who_is_cancelled_while_waiting_leaves_the_queue_to_others() -> None:
    budget = MemoryBudget(100)
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise TaskCancelled("the job was cancelled")

    def ask(size: int, check_or_not: bool) -> None:
        with budget.reserve(size, check if check_or_not else _nothing):
            pass

    with ThreadPoolExecutor(2) as pool, budget.reserve(60, _nothing):
        first = pool.submit(ask, 100, True)
        _eventually(budget, 1)
        second = pool.submit(ask, 40, False)
        _eventually(budget, 2)
        cancelled.set()
        with pytest.raises(TaskCancelled):
            first.result(10)
        second.result(10)
    assert budget.reserved_bytes == 0


def test_many_threads_never_hold_more_than_the_limit() -> None:
    budget = MemoryBudget(100)
    seen: list[int] = []

    def ask(size: int) -> None:
        with budget.reserve(size, _nothing):
            seen.append(budget.reserved_bytes)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, [7, 100, 31, 50, 1, 99, 64, 2] * 50))
    assert len(seen) == 400
    assert max(seen) <= 100
    assert budget.reserved_bytes == 0


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * 1024**4, "5.0 TiB")]
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
