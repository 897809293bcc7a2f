"""The handlers of hello_world."""

from __future__ import annotations

import time

import pytest

from interfaces.errors import PermanentTaskError, TaskCancelled
from services.hello import GreetingParameters, ReplyParameters, greet, reply

from .doubles import Context


def test_a_reply_quotes_its_greeting() -> None:
    greeting = greet(GreetingParameters(number=7, message="Hi", name="Ann"), Context())
    answer = reply(ReplyParameters(number=7, greeting=greeting.greeting, name="Ann"), Context())

    assert greeting.greeting == "Hi, Ann! (7)"
    assert '"Hi, Ann! (7)"' in answer.reply


def test_a_greeting_that_is_asked_to_fail_fails_for_good() -> None:
    with pytest.raises(PermanentTaskError, match="greeting 7"):
        greet(GreetingParameters(number=7, message="Hi", name="Ann", fail=True), Context())


def test_a_sleeping_task_notices_that_it_was_cancelled() -> None:
    started = time.monotonic()
    with pytest.raises(TaskCancelled):
        greet(
            GreetingParameters(number=1, message="Hi", name="Ann", sleep_seconds=60),
            Context(cancelled_after=0),
        )
    assert time.monotonic() - started < 30
