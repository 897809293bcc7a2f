"""Turns: one at a time, unless it takes long."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest

from engine.turns import Turns


class Crowd:
    """Counts how many have a turn at once."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._lock = Lock()
        self._now = 0
        self.most = 0

    def take(self, seconds: float) -> None:
        with self._turns.turn():
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            time.sleep(seconds)
            with self._lock:
                self._now -= 1


def together(crowd: Crowd, seconds: float, count: int = 8) -> None:
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(crowd.take, [seconds] * count))


def test_what_is_brief_runs_alone() -> None:
    crowd = Crowd(Turns(60))
    together(crowd, 0.01)
    assert crowd.most == 1


def test_what_takes_long_keeps_nobody_waiting() -> None:
    crowd = Crowd(Turns(0.02))
    together(crowd, 1.0)
    assert crowd.most == 8


def test_a_turn_that_fails_is_given_back() -> None:
    turns = Turns(60)
    with pytest.raises(ValueError, match="broken"), turns.turn():
        raise ValueError("broken")
    began = time.monotonic()
    with turns.turn():
        assert time.monotonic() - began < 30


def test_who_had_it_too_long_takes_it_from_nobody() -> None:
    """The end of a turn that was lost does not end the one that followed."""
    turns = Turns(0.05)
    crowd = Crowd(turns)
    with ThreadPoolExecutor(1) as threads:
        with turns.turn():
            time.sleep(0.1)
            turns._seconds = 60
            second = threads.submit(crowd.take, 0.5)
            while not crowd.most:
                time.sleep(0.001)
        began = time.monotonic()
        with turns.turn():
            assert time.monotonic() - began > 0.2
        second.result()
