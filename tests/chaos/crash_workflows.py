"""Workflows that take the paths which the shipped ones take rarely: retries, limits, plans that refuse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from interfaces.contracts import JsonObject, StageResult
from interfaces.errors import ServiceUnavailable
from interfaces.plans import CompleteJob, FailJob, StageDefinition, StagePlan, Tasks, TasksFromItems
from interfaces.workflows import RetryPolicy, TaskContext, TaskResults
from registration import JobCatalog, TaskCatalog
from tests.doubles.workflows import AnyParameters, ScriptedJob, task_type

LARGE = 1536 * 1024
"""Characters of a result that is not kept in its row."""
ITEMS = 25
"""What each finder finds."""
PATIENT = RetryPolicy(
    max_attempts=6, base_delay=timedelta(milliseconds=1), max_delay=timedelta(milliseconds=1)
)
"""As many attempts as two crashes and a time-out may take from a task."""

_asked: set[str] = set()


def square(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """The square of `i`."""
    return {"i": p["i"], "square": p["i"] ** 2}


def flaky(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """Fails at the first attempt."""
    if c.attempt == 1:
        raise ConnectionError("not this time")
    return square(p, c)


def find(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """Finds so many items, none of which another finder finds."""
    start = p["i"] * ITEMS
    return {"found": c.discover({"i": i} for i in range(start, start + ITEMS))}


def large(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """A result of 1.5 MiB."""
    return {"text": str(p["i"]) * LARGE}


def slow(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """Takes longer than a heartbeat, and asks whether it is still wanted."""
    for _ in range(20):
        c.check()
        time.sleep(0.05)
    return square(p, c)


def hung(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """At the first attempt longer than it may take; it never asks."""
    if c.attempt == 1:
        time.sleep(2.5)
    return square(p, c)


def _numbered(p: AnyParameters) -> Tasks:
    return Tasks([{"i": i} for i in range(p.n)])


def discover(stage: int, p: AnyParameters, previous: StageResult | None) -> StagePlan:
    """Finders, then a task for each item."""
    return _numbered(p) if stage == 1 else TasksFromItems()


def refuse(stage: int, p: AnyParameters, previous: StageResult | None) -> StagePlan:
    """Refuses to go on after the first stage."""
    return _numbered(p) if stage == 1 else FailJob("nothing to go on with")


def early(stage: int, p: AnyParameters, previous: StageResult | None) -> StagePlan:
    """Completes the job after the first stage."""
    return _numbered(p) if stage == 1 else CompleteJob({"early": True})


def unsure(stage: int, p: AnyParameters, previous: StageResult | None) -> StagePlan:
    """Cannot reach something the first time that a process asks about a job."""
    if p.label not in _asked:
        _asked.add(p.label)
        raise ServiceUnavailable("not this time")
    return _numbered(p)


def slow_plan(stage: int, p: AnyParameters, previous: StageResult | None) -> StagePlan:
    """Takes longer than a heartbeat."""
    time.sleep(1)
    return _numbered(p)


def total(stages: Sequence[StageResult], results: TaskResults) -> JsonObject:
    """The sum of the last stage's squares."""
    return {"sum": sum(int(str((task.result or {}).get("square", 0))) for task in results(len(stages)))}


def register(jobs: JobCatalog, tasks: TaskCatalog) -> None:
    """Add them to the app's."""
    tasks.register(task_type("crash_square", square, retry=PATIENT))
    tasks.register(task_type("crash_flaky", flaky, retry=PATIENT))
    tasks.register(task_type("crash_find", find, retry=PATIENT))
    tasks.register(task_type("crash_large", large, retry=PATIENT))
    tasks.register(task_type("crash_slow", slow, retry=PATIENT))
    tasks.register(task_type("crash_limited", square, retry=PATIENT))
    tasks.register(task_type("crash_hung", hung, retry=PATIENT, timeout=timedelta(seconds=0.7)))
    one = [StageDefinition("a", "crash_square")]
    two = [*one, StageDefinition("b", "crash_square")]
    finders = [StageDefinition("a", "crash_find"), StageDefinition("b", "crash_square")]
    jobs.register(ScriptedJob("crash_two", two, None, total))
    jobs.register(ScriptedJob("crash_retries", [StageDefinition("a", "crash_flaky")], None, total))
    jobs.register(ScriptedJob("crash_discover", finders, discover, total))
    jobs.register(ScriptedJob("crash_large", [StageDefinition("a", "crash_large")], None, total))
    jobs.register(ScriptedJob("crash_slow", [StageDefinition("a", "crash_slow")], None, total))
    jobs.register(ScriptedJob("crash_hung", [StageDefinition("a", "crash_hung")], None, total))
    jobs.register(ScriptedJob("crash_limited", [StageDefinition("a", "crash_limited")], None, total))
    jobs.register(ScriptedJob("crash_refused", two, refuse, total))
    jobs.register(ScriptedJob("crash_early", two, early, total))
    jobs.register(ScriptedJob("crash_unsure", one, unsure, total))
    jobs.register(ScriptedJob("crash_slow_plan", one, slow_plan, total))
