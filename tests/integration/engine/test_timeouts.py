"""Handlers that run too long, and when a task is tried again."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from interfaces.errors import TaskTimedOut
from interfaces.plans import StageDefinition
from interfaces.workflows import RetryPolicy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

SHORT = timedelta(seconds=0.2)
AT_ONCE = RetryPolicy(max_attempts=2, base_delay=timedelta(0))


def waits(p: dict[str, Any], c: Any) -> dict[str, Any]:
    """Runs for two seconds, asking all the time whether it may."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        c.check()
        time.sleep(0.01)
    return {}


def hangs(p: dict[str, Any], c: Any) -> dict[str, Any]:
    """Runs for a second and asks nothing."""
    time.sleep(1)
    return {}


def run(world: World, handler: Any, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs a job of one task; answers the rows of both."""
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", handler, **options))
    job = world.submit("job")
    row = world.run(job.job_id)
    [task] = world.tasks(job.job_id)
    assert world.violations() == {}
    return row, task


@pytest.mark.parametrize("handler", [waits, hangs])
def test_a_handler_that_always_runs_too_long_fails_after_its_last_attempt(world: World, handler: Any) -> None:
    row, task = run(world, handler, timeout=SHORT, retry=AT_ONCE)
    assert (row["status"], task["status"], task["attempt"]) == ("failed", "failed", 2)
    assert "the attempt ran longer than 0.2 s" in row["error"]
    assert [a["outcome"] for a in task["attempts"]] == ["retry", "failed"]
    # One that asks ends by itself; any other is given up by the heartbeat, which looks twice a second.
    assert all(0.2 <= a["seconds"] < 1.5 for a in task["attempts"])


def test_a_task_type_may_say_that_running_too_long_once_is_enough(world: World) -> None:
    policy = RetryPolicy(max_attempts=5, permanent=(TaskTimedOut,))
    row, task = run(world, waits, timeout=SHORT, retry=policy)
    assert (row["status"], task["attempt"]) == ("failed", 1)


def test_a_retry_is_due_within_its_jitter_and_its_message_comes_then(world: World) -> None:
    def flaky(p: dict[str, Any], c: Any) -> dict[str, Any]:
        raise ConnectionError("reset")

    policy = RetryPolicy(max_attempts=9, base_delay=timedelta(minutes=4), max_delay=timedelta(minutes=5))
    world.register(
        ScriptedJob("job", [StageDefinition("a", "flaky")]), task_type("flaky", flaky, retry=policy)
    )
    job = world.submit("job", n=30)
    world.pump()
    waits = [
        row["wait"]
        for row in world.rows(
            "SELECT extract(epoch FROM t.due_at - (t.attempts -> 0 ->> 'ended_at')::timestamptz)::float8"
            " AS wait"
            " FROM app.tasks t JOIN app.outbox o ON o.first = t.task_index AND o.not_before = t.due_at"
            " WHERE t.job_id = %s AND t.status = 'queued' AND t.attempt = 1",
            job.job_id,
        )
    ]
    assert len(waits) >= 25, "a few may be due so soon that they came again"
    assert all(-0.1 <= wait <= 240 for wait in waits)
    assert max(waits) - min(waits) > 60, "thirty of them do not come back together"
