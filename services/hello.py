"""Handlers of hello_world: a greeting and the reply that quotes it."""

from __future__ import annotations

import time

from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.workflows import TaskContext

CHECK_SECONDS = 1.0
"""How often a sleeping task asks whether it is still wanted."""


class GreetingParameters(TaskParameters):
    """One greeting; `fail` makes it go wrong, `sleep_seconds` makes it slow."""

    number: int
    message: str
    name: str
    fail: bool = False
    sleep_seconds: float = 0.0


class Greeting(Contract):
    """A greeting as it was given."""

    number: int
    greeting: str


class ReplyParameters(TaskParameters):
    """The greeting to reply to."""

    number: int
    greeting: str
    name: str
    sleep_seconds: float = 0.0


class Reply(Contract):
    """A reply that quotes its greeting."""

    number: int
    greeting: str
    reply: str


def greet(parameters: GreetingParameters, context: TaskContext) -> Greeting:
    """Say the greeting. Raises `PermanentTaskError` when asked to fail."""
    _sleep(parameters.sleep_seconds, context)
    if parameters.fail:
        raise PermanentTaskError(f"greeting {parameters.number} was asked to fail")
    return Greeting(
        number=parameters.number, greeting=f"{parameters.message}, {parameters.name}! ({parameters.number})"
    )


def reply(parameters: ReplyParameters, context: TaskContext) -> Reply:
    """Answer the greeting, quoting it."""
    _sleep(parameters.sleep_seconds, context)
    return Reply(
        number=parameters.number,
        greeting=parameters.greeting,
        reply=f'{parameters.name} says: you said "{parameters.greeting}"',
    )


def _sleep(seconds: float, context: TaskContext) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        context.check()
        time.sleep(min(left, CHECK_SECONDS))
