"""A moment at which a worker dies, and what it is part of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

Moment = Literal["before", "within", "after", "during", "cut"]
"""`during`: a request has been sent, and nobody will read its answer. `cut`: the same, but the process lives
on, and only the connection is gone."""

OPERATION = "operation"
"""Stands for every round trip to the database and every request to a queue or a blob that writes."""


@dataclass(frozen=True)
class Step:
    """The `nth` time that a process comes to this moment of this function.

    Of a function that yields, each of its steps is an `after`.

    With `moved`, only calls count that answered something: a claim that got tasks, a rule that moved any.
    """

    place: str
    moment: Moment
    nth: int = 1
    moved: bool = False

    def as_dict(self) -> dict[str, object]:
        """As it is handed to the worker."""
        return asdict(self)


@dataclass(frozen=True)
class CrashPoint:
    """A place to die, the job that passes it, and what must happen then.

    With `also_at` a worker dies there first: the point lies on the way of recovery from that.
    """

    name: str
    shape: str
    step: Step
    then: str
    also_at: Step | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """For the host, besides the short leases that all of these have."""

    @property
    def steps(self) -> list[Step]:
        """Where workers die, in this order."""
        return [self.step] if self.also_at is None else [self.also_at, self.step]


def before(place: str, nth: int = 1) -> Step:
    """The moment at which the function is called."""
    return Step(place, "before", nth)


def within(place: str, nth: int = 1) -> Step:
    """A moment within a function that takes at least a few tenths of a second."""
    return Step(place, "within", nth)


def after(place: str, nth: int = 1, *, moved: bool = False) -> Step:
    """The moment at which it has done its work."""
    return Step(place, "after", nth, moved)


def during(place: str, nth: int = 1) -> Step:
    """The moment at which a request to storage has been sent, and its answer has not been read."""
    return Step(place, "during", nth)
