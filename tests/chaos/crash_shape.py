"""What a kind of job is for a crash test, and what its tasks and result must be, reckoned apart from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.crash_harness import CrashHost

RESULTS = "job-results"
"""The container of large results."""
ARCHIVE = "run-archive"
"""The container of runs that were removed."""

Results = dict[tuple[int, int], dict[str, Any] | None]
"""(stage, task index) → its result; None where the task must have failed."""


@dataclass(frozen=True)
class Shape:
    """A kind of job. `results` and `result` are left out where they depend on the moment of the crash."""

    job_type: str
    parameters: Mapping[str, Any]
    status: str = "completed"
    results: Callable[[str], Results] | None = None
    result: Callable[[str], dict[str, Any]] | None = None
    error: str = ""
    label: str = "label"
    """The parameter that makes each job of this shape another one."""
    prepare: Callable[[CrashHost, str], None] | None = None
    """Brings a job, given by its label, to where the crash is to meet it."""
    act: Callable[[CrashHost, str], None] | None = None
    """What is done to the submitted job, given by its id, while workers die."""
    removed: bool = False
    """Whether nothing is left of the job in the end."""
    verify: Callable[[CrashHost, str], bool] = field(default=lambda host, job_id: True)
    """What else must come true."""

    def submission(self, label: str) -> tuple[str, dict[str, Any]]:
        """The job type and parameters of one job."""
        return self.job_type, {**self.parameters, self.label: label}


def hello(
    n: int, *, failing: float = 0.0
) -> tuple[Callable[[str], Results], Callable[[str], dict[str, Any]]]:
    """What hello_world must answer, reckoned apart from it: each task's result, and the job's."""
    fails = {i for i in range(n) if int((i + 1) * failing) > int(i * failing)}
    given = [i for i in range(n) if i not in fails]

    def results(name: str) -> Results:
        found: Results = {(1, i): None for i in fails}
        for index, i in enumerate(given):
            greeting = {"number": i + 1, "greeting": f"Hello, {name}! ({i + 1})"}
            found[1, i] = greeting
            found[2, index] = {**greeting, "reply": f'{name} says: you said "{greeting["greeting"]}"'}
        return found

    def result(name: str) -> dict[str, Any]:
        replies = [(results(name)[2, index] or {})["reply"] for index in range(len(given))]
        return {
            "greetings": len(given),
            "failed_greetings": len(fails),
            "replies": len(given),
            "failed_replies": 0,
            "first_replies": replies[:10],
        }

    return results, result


def squares(n: int, *, stage: int = 1) -> Results:
    """A stage of n squares."""
    return {(stage, i): {"i": i, "square": i * i} for i in range(n)}


def total(n: int) -> Callable[[str], dict[str, Any]]:
    """The sum of n squares."""
    return lambda label: {"sum": sum(i * i for i in range(n))}


def numbered(kind: str, n: int, **options: Any) -> Shape:
    """A job of one stage of n squares, made by tasks of one kind."""
    return Shape(f"crash_{kind}", {"n": n}, results=lambda label: squares(n), result=total(n), **options)


def greetings(n: int, sleep: float, **parameters: Any) -> dict[str, Any]:
    """The parameters of a hello_world."""
    return {"n": n, "sleep_seconds": sleep, **parameters}
