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
MIXED = 4
"""Tasks of a batch of which only one is slow."""
FEW = 6
"""What a finder of few finds."""
KEPT = 1500
"""Characters of a result that is not kept in its row where a row keeps no more than 1,000."""
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


def keep(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """A result that goes to blob storage."""
    return {"text": str(p["i"]) * KEPT}


def find_few(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """Finds few items."""
    return {"found": c.discover({"i": i} for i in range(FEW))}


def find_untidily(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """Leaves the items of its first attempt behind; its result goes to blob storage."""
    c.discover({"i": i} for i in range(FEW))
    if c.attempt == 1:
        raise ConnectionError("not this time")
    return {"text": "0" * KEPT}


def mixed(p: dict[str, Any], c: TaskContext) -> JsonObject:
    """The last of the batch takes so long that the others are written before."""
    for _ in range(50 if p["i"] == MIXED - 1 else 0):
        c.check()
        time.sleep(0.05)
    return square(p, c)


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
    for kind in ("keep", "keep_few"):
        tasks.register(task_type(f"crash_{kind}", keep, retry=PATIENT))
    tasks.register(task_type("crash_find_few", find_few, retry=PATIENT))
    tasks.register(task_type("crash_find_untidily", find_untidily, retry=PATIENT))
    tasks.register(task_type("crash_held", square, retry=PATIENT))
    tasks.register(task_type("crash_forgotten", square, retry=PATIENT))
    together = {"max_batch": MIXED, "expected_duration": timedelta(milliseconds=1)}
    tasks.register(task_type("crash_mixed", mixed, retry=PATIENT, **together))
    _register_jobs(jobs)


def _register_jobs(jobs: JobCatalog) -> None:
    one = [StageDefinition("a", "crash_square")]
    two = [*one, StageDefinition("b", "crash_square")]
    finders = [StageDefinition("a", "crash_find"), StageDefinition("b", "crash_square")]
    jobs.register(ScriptedJob("crash_two", two, None, total))
    jobs.register(ScriptedJob("crash_retries", [StageDefinition("a", "crash_flaky")], None, total))
    jobs.register(ScriptedJob("crash_discover", finders, discover, total))
    for kind in ("large", "slow", "hung", "limited", "held", "forgotten", "mixed", "keep", "keep_few"):
        stages = [StageDefinition("a", f"crash_{kind}")]
        jobs.register(ScriptedJob(f"crash_{kind}", stages, None, total))
    survey = [StageDefinition("a", "crash_find_few"), StageDefinition("b", "crash_keep")]
    jobs.register(ScriptedJob("crash_survey", survey, discover, total))
    untidy = [StageDefinition("a", "crash_find_untidily"), StageDefinition("b", "crash_square")]
    jobs.register(ScriptedJob("crash_untidy", untidy, discover, total))
    jobs.register(ScriptedJob("crash_refused", two, refuse, total))
    jobs.register(ScriptedJob("crash_early", two, early, total))
    jobs.register(ScriptedJob("crash_unsure", one, unsure, total))
    jobs.register(ScriptedJob("crash_slow_plan", one, slow_plan, total))
