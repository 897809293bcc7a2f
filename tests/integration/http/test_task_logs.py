"""What attempts log is written with their outcomes, and shown by task."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine.task_logs import TaskLogHandler
from interfaces.errors import PermanentTaskError
from interfaces.plans import StageDefinition
from interfaces.states import FailurePolicy
from tests.doubles.workflows import FAST_RETRY, ScriptedJob, task_type
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

logger = logging.getLogger("services.of_a_test")


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    root, handler = logging.getLogger(), TaskLogHandler()
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield
    root.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def register(world: World, handle: Any, **options: Any) -> None:
    work = task_type("work", handle, max_batch=100, **options)
    world.register(ScriptedJob("job", [StageDefinition("s", "work", FailurePolicy.CONTINUE)]), work)


def messages(api: Client, path: str) -> list[tuple[int, int, str, list[str]]]:
    found = api.get(path).json()["logs"]
    return [
        (one["task_index"], one["attempt"], one["outcome"], [line["message"] for line in one["lines"]])
        for one in found
    ]


def test_lines_are_shown_by_task_and_attempt_with_the_trace_of_what_was_not_foreseen(
    api: Client, world: World
) -> None:
    def handle(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        if parameters["i"]:
            logger.info("task %d, attempt %d", parameters["i"], context.attempt)
        if parameters["i"] == 2 and context.attempt == 1:
            raise ZeroDivisionError("secret=abc")
        if parameters["i"] == 3:
            raise PermanentTaskError("the file is broken")
        return {}

    register(world, handle)
    job_id = world.submit("job", n=4).job_id
    world.run(job_id)
    found = messages(api, f"/api/jobs/{job_id}/logs")
    assert [(index, attempt, outcome) for index, attempt, outcome, _ in found] == [
        (1, 1, "completed"),
        (2, 1, "retry"),
        (2, 2, "completed"),
        (3, 1, "failed"),
    ]
    first, retried, _, failed = (lines for *_, lines in found)
    assert first == ["task 1, attempt 1"]
    assert retried[0] == "task 2, attempt 1"
    assert "ZeroDivisionError: secret=***" in retried[1]
    assert "Traceback" in retried[1]
    # What its error says is not said twice.
    assert failed == ["task 3, attempt 1"]
    assert [one[:2] for one in messages(api, f"/api/jobs/{job_id}/logs?level=error")] == [(2, 1)]
    assert [one[:2] for one in messages(api, f"/api/jobs/{job_id}/logs?stage=1&task=2")] == [(2, 1), (2, 2)]
    assert messages(api, f"/api/jobs/{job_id}/logs?stage=2") == []
    page = api.get(f"/api/jobs/{job_id}/logs?limit=2").json()
    assert [one["task_index"] for one in page["logs"]] == [1, 2]
    rest = api.get(page["links"]["next"]).json()
    assert [(one["task_index"], one["attempt"]) for one in rest["logs"]] == [(2, 2), (3, 1)]
    assert rest["next_cursor"] is None
    for wrong in ("level=debug", "task=-1", "cursor=x", "run=2"):
        assert api.get(f"/api/jobs/{job_id}/logs?{wrong}").status == 400


def test_an_outcome_that_came_too_late_brings_no_lines(api: Client, world: World) -> None:
    def handle(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.info("attempt by %s", "nobody")
        # As if its lease had ended, and another worker had it now.
        world.rows("UPDATE app.tasks SET fence = 1 WHERE job_id = %s RETURNING 1", context.job_id)
        return {}

    register(world, handle)
    job_id = world.submit("job", n=1).job_id
    world.pump()
    assert messages(api, f"/api/jobs/{job_id}/logs") == []


def test_an_attempt_that_runs_too_long_leaves_what_it_logged_by_then(api: Client, world: World) -> None:
    def handle(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.info("begun")
        if context.attempt == 1:
            # Longer than the clock, which looks each half second, lets it run.
            time.sleep(1.5)
            logger.info("too late")
        return {}

    register(world, handle, timeout=timedelta(seconds=0.2))
    job_id = world.submit("job", n=1).job_id
    world.run(job_id)
    assert [one[1:] for one in messages(api, f"/api/jobs/{job_id}/logs")] == [
        (1, "retry", ["begun"]),
        (2, "completed", ["begun"]),
    ]


def test_of_a_task_that_is_tried_again_and_again_ten_attempts_are_kept(world: World) -> None:
    def handle(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.info("attempt %d", context.attempt)
        if context.attempt < 13:
            raise RuntimeError("again")
        return {}

    register(world, handle, retry=replace(FAST_RETRY, max_attempts=13))
    job_id = world.submit("job", n=1).job_id
    assert world.run(job_id)["status"] == "completed"
    rows = world.rows("SELECT lines -> 0 ->> 'message' AS message FROM app.task_logs ORDER BY written_at")
    assert [row["message"] for row in rows] == [f"attempt {n}" for n in range(4, 14)]


def test_lines_go_with_their_run_and_with_the_stages_that_a_retry_forgets(world: World) -> None:
    broken = [True]

    def second(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.info("second")
        return {}

    def first(parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.info("first")
        if parameters["i"] == 1 and broken[0]:
            raise PermanentTaskError("no")
        return {}

    stages = [
        StageDefinition("a", "first", on_failure=FailurePolicy.CONTINUE),
        StageDefinition("b", "second"),
    ]
    world.register(ScriptedJob("job", stages), task_type("first", first), task_type("second", second))
    job_id = world.submit("job", n=2).job_id
    world.run(job_id)
    broken[0] = False
    world.engine.retry(job_id, correlation_id="c")
    kept = "SELECT stage, task_index FROM app.task_logs ORDER BY 1, 2"
    assert [tuple(row.values()) for row in world.rows(kept)] == [(1, 0), (1, 1)]
    world.run(job_id)
    assert len(world.rows(kept)) == 5
    world.rows("UPDATE app.jobs SET completed_at = now() - interval '91 days' RETURNING 1")
    assert world.engine.retention.run().runs == 1
    assert world.rows(kept) == []
