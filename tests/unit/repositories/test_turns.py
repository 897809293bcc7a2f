"""Turns at long connections: in order, and without an attempt for who waits too long."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from interfaces.errors import DependencyUnavailable
from interfaces.settings import Settings
from repositories.database import Database
from repositories.turns import Turns


def test_who_takes_one_turn_after_the_other_does_not_pass_those_who_wait() -> None:
    turns, order = Turns(1), list[int]()

    def work(number: int) -> None:
        assert turns.take(10)
        order.append(number)
        turns.give_back()

    assert turns.take(0)
    with ThreadPoolExecutor(3) as threads:
        for number in range(3):
            threads.submit(work, number)
            deadline = time.monotonic() + 10
            while len(turns._waiting) <= number and time.monotonic() < deadline:
                time.sleep(0.001)
        turns.give_back()
        # Back in line at once, behind all others.
        assert turns.take(10)
    assert order == [0, 1, 2]
    turns.give_back()
    assert turns.take(0)


def test_a_turn_that_was_not_waited_for_is_the_next_ones() -> None:
    turns = Turns(2)
    assert [turns.take(0), turns.take(0), turns.take(0.01), turns.take(0)] == [True, True, False, False]
    turns.give_back()
    assert [turns.take(0), turns.take(0)] == [True, False]


def test_who_gets_no_turn_at_a_long_connection_is_put_off_and_has_not_failed() -> None:
    nowhere = SecretStr("postgresql://127.0.0.1:1/nothing")
    database = Database(Settings(database_url=nowhere, database_pool_size=3))
    assert database._turns.take(0)
    refused = pytest.raises(DependencyUnavailable, match="others hold the connections")
    with refused as raised, database.long_transaction(wait=0.01):
        pass
    assert (raised.value.dependency, raised.value.retry_after > 0) == ("database", True)
