"""Jobs run from submission to their result, and every reply quotes its own greeting."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from interfaces.contracts import JsonObject, StageResult, Summarised
from interfaces.plans import CompleteJob, FailJob, StageDefinition, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from interfaces.workflows import TaskResults
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World


def _replies_quote_their_greetings(world: World, job_id: str, n: int) -> None:
    greetings, replies = world.tasks(job_id, 1), world.tasks(job_id, 2)
    assert len(greetings) == len(replies) == n
    for greeting, reply in zip(greetings, replies, strict=True):
        assert reply["result"]["greeting"] == greeting["result"]["greeting"]
        assert greeting["result"]["greeting"] in reply["result"]["reply"]


@pytest.mark.parametrize("n", [1, 30, 1000])
def test_every_reply_quotes_its_greeting(world: World, n: int) -> None:
    job = world.submit("hello_world", n=n)
    assert job.created
    row = world.run(job.job_id)
    assert row["status"] == "completed"
    assert row["result"]["replies"] == n
    _replies_quote_their_greetings(world, job.job_id, n)
    assert world.violations() == {}


def test_a_large_stage_travels_in_batches(world: World) -> None:
    job = world.submit("hello_world", n=5000)
    assert world.run(job.job_id)["status"] == "completed"
    _replies_quote_their_greetings(world, job.job_id, 5000)
    # 5,000 tasks twice, at most 128 messages a stage, and the job's own.
    assert world.queues.sent < 300


def test_repeated_and_reordered_messages_change_nothing(world: World) -> None:
    job = world.submit("hello_world", n=40)
    world.pump(repeat=5, shuffle=random.Random(7))
    row = world.run(job.job_id)
    assert row["status"] == "completed"
    assert all(task["attempt"] == 1 for task in world.tasks(job.job_id))
    _replies_quote_their_greetings(world, job.job_id, 40)
    assert world.violations() == {}


def test_old_messages_of_every_stage_are_ignored_after_the_end(world: World) -> None:
    job = world.submit("hello_world", n=3)
    seen = []
    while message := (
        world.queues.receive(world.settings.jobs_queue) or world.queues.receive(world.settings.tasks_queue)
    ):
        queue = world.settings.tasks_queue if '"first"' in message.body else world.settings.jobs_queue
        seen.append((message, queue))
        world.deliver(message, queue)
    before = world.tasks(job.job_id)
    events = world.events(job.job_id)
    for message, queue in reversed(seen):
        world.deliver(message, queue)
    assert world.tasks(job.job_id) == before
    assert world.events(job.job_id) == events


def test_a_hundred_simultaneous_equal_submissions_make_one_run(world: World) -> None:
    engines = [world.engine, world.new_engine(), world.new_engine(), world.new_engine()]

    def submit(i: int) -> Any:
        # Different key order, spelled-out defaults: the same question.
        parameters = {"n": 2, "name": "you"} if i % 2 else {"name": "you", "message": "Hello", "n": 2}
        return engines[i % 4].submit("hello_world", parameters, correlation_id=str(i))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(submit, range(100)))
    assert len({answer.job_id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert {answer.run for answer in answers} == {1}
    assert world.run(answers[0].job_id)["run"] == 1
    assert not world.submit("hello_world", n=2, name="you").created


def test_a_completed_job_runs_again_only_when_asked(world: World) -> None:
    first = world.submit("hello_world", n=2)
    world.run(first.job_id)
    again = world.engine.submit("hello_world", {"n": 2}, correlation_id="c")
    assert (again.created, again.run) == (False, 1)
    rerun = world.engine.submit("hello_world", {"n": 2}, rerun=True, correlation_id="c")
    assert (rerun.created, rerun.run, rerun.job_id) == (True, 2, first.job_id)
    assert world.run(first.job_id)["run"] == 2
    assert {task["run"] for task in world.tasks(first.job_id)} == {1, 2}
    assert world.violations() == {}


def test_a_failed_job_starts_its_next_run_when_submitted_again(world: World) -> None:
    job = world.submit("hello_world", n=4, fail_fraction=0.5)
    assert world.run(job.job_id)["status"] == "failed"
    again = world.submit("hello_world", n=4, fail_fraction=0.5)
    assert (again.created, again.run, again.job_id) == (True, 2, job.job_id)
    assert world.run(job.job_id)["run"] == 2


def test_a_stage_without_tasks_finishes_at_once(world: World) -> None:
    world.register(
        ScriptedJob(
            "empty", [StageDefinition("a", "noop"), StageDefinition("b", "noop")], lambda *_: Tasks([])
        ),
        task_type("noop", lambda p, c: {}),
    )
    row = world.run(world.submit("empty").job_id)
    assert (row["status"], row["result"]) == ("completed", {"stages": 2})


def test_a_plan_may_complete_or_fail_the_job(world: World) -> None:
    stages = [StageDefinition("a", "noop"), StageDefinition("b", "noop")]
    world.register(
        ScriptedJob("early", stages, lambda s, p, r: Tasks([{}]) if s == 1 else CompleteJob({"early": True})),
        task_type("noop", lambda p, c: {}),
    )
    world.register(
        ScriptedJob("hopeless", stages, lambda s, p, r: Tasks([{}]) if s == 1 else FailJob("no such thing"))
    )
    early, hopeless = world.submit("early"), world.submit("hopeless")
    row = world.run(early.job_id)
    assert (row["status"], row["result"]) == ("completed", {"early": True})
    row = world.run(hopeless.job_id)
    assert (row["status"], row["error"]) == ("failed", "no such thing")
    assert world.violations() == {}


def test_discovered_items_become_the_next_stages_tasks_in_order(make_world: Callable[..., World]) -> None:
    # Three pages of each task.
    world = make_world(discover_page_items=100)

    def find(p: dict[str, Any], c: Any) -> dict[str, Any]:
        return {"found": c.discover({"name": f"{p['i']}/{k}"} for k in range(250))}

    world.register(
        ScriptedJob(
            "discovery",
            [StageDefinition("find", "find"), StageDefinition("use", "use")],
            lambda s, p, r: (
                Tasks([{"i": i} for i in range(p.n)]) if s == 1 else TasksFromItems(common={"shared": 1})
            ),
        ),
        task_type("find", find),
        task_type(
            "use",
            lambda p, c: {"name": p["name"], "shared": p["shared"]},
            max_batch=20,
            expected_duration=timedelta(milliseconds=1),
        ),
    )
    job = world.submit("discovery", n=2)
    assert world.run(job.job_id)["status"] == "completed"
    names = [task["result"]["name"] for task in world.tasks(job.job_id, 2)]
    assert names == [f"{i}/{k}" for i in range(2) for k in range(250)]
    assert world.tasks(job.job_id, 2)[0]["result"]["shared"] == 1


def test_items_of_an_attempt_that_failed_do_not_count(world: World) -> None:
    attempts: list[int] = []

    def find(p: dict[str, Any], c: Any) -> dict[str, Any]:
        attempts.append(c.attempt)
        c.discover([{"name": f"attempt {c.attempt}"}])
        if c.attempt == 1:
            raise OSError("lost the connection")
        return {}

    world.register(
        ScriptedJob(
            "twice",
            [StageDefinition("find", "find"), StageDefinition("use", "use")],
            lambda s, p, r: Tasks([{}]) if s == 1 else TasksFromItems(),
        ),
        task_type("find", find),
        task_type("use", lambda p, c: {"name": p["name"]}),
    )
    job = world.submit("twice")
    assert world.run(job.job_id)["status"] == "completed"
    assert attempts == [1, 2]
    assert [task["result"]["name"] for task in world.tasks(job.job_id, 2)] == ["attempt 2"]


def test_progress_counters_agree_with_the_rows(world: World) -> None:
    job = world.submit("hello_world", n=50, fail_fraction=0.2, on_failure="continue")
    assert world.run(job.job_id)["status"] == "completed_with_errors"
    for stage in world.progress(job.job_id):
        rows = [t["status"] for t in world.tasks(job.job_id, stage["stage"])]
        for state in ("queued", "processing", "completed", "failed", "cancelled"):
            assert stage[state] == rows.count(state), (stage["stage"], state)
    assert world.progress(job.job_id)[0]["failed"] == 10


def test_continue_bears_failures_up_to_the_largest_fraction(world: World) -> None:
    def sometimes(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if p["i"] < 3:
            raise ValueError(f"number {p['i']}")
        return {}

    for name, fraction in (("bears", 0.3), ("breaks", 0.2)):
        stage = StageDefinition("a", "sometimes", FailurePolicy.CONTINUE, max_failed_fraction=fraction)
        world.register(ScriptedJob(name, [stage]))
    world.register(None, task_type("sometimes", sometimes))
    bears, breaks = world.submit("bears", n=10), world.submit("breaks", n=10)
    assert world.run(bears.job_id)["status"] == "completed_with_errors"
    row = world.run(breaks.job_id)
    assert row["status"] == "failed"
    assert "3 of 10 tasks failed; task 0: ValueError: number 0" in row["error"]
    assert world.violations() == {}


def test_a_results_too_large_for_a_row_is_kept_in_blob_storage(make_world: Any) -> None:
    world = make_world(max_inline_result_bytes=1000)
    world.register(
        ScriptedJob("large", [StageDefinition("a", "large")]),
        task_type("large", lambda p, c: {"text": "x" * (2000 if p["i"] else 10)}),
    )
    job = world.submit("large", n=2)
    assert world.run(job.job_id)["status"] == "completed"
    small, large = world.tasks(job.job_id)
    assert small["result"] == {"text": "x" * 10}
    assert large["result"] is None
    assert large["result_location"]["bytes"] == 2011
    [(where, data)] = world.blobs.blobs.items()
    assert where[0] == world.settings.results_container
    assert data == b'{"text":"' + b"x" * 2000 + b'"}'


def test_of_a_result_too_large_for_a_row_its_summary_stays_and_the_jobs_result_is_made_of_it(
    make_world: Any,
) -> None:
    class Large(Summarised):
        number: int
        text: str

        def summary(self) -> JsonObject:
            return {"number": self.number, "text": self.text[: 2000 if self.number == 3 else 1]}

    def added(stages: Sequence[StageResult], results: TaskResults) -> JsonObject:
        found = [(task.result or {}).get("number") for task in results(1)]
        return {"numbers": found}

    world = make_world(max_inline_result_bytes=1000)
    world.register(
        ScriptedJob("large", [StageDefinition("a", "large")], aggregate=added),
        task_type("large", lambda p, c: Large(number=p["i"] + 1, text="x" * (2000 if p["i"] else 10))),
    )
    job = world.submit("large", n=3)
    # Of the third even the summary is too large.
    assert world.run(job.job_id)["result"] == {"numbers": [1, 2, None]}
    small, large, _ = world.tasks(job.job_id)
    assert (small["result"], small["result_location"]) == ({"number": 1, "text": "x" * 10}, None)
    assert large["result"] == {"number": 2, "text": "x"}
    assert large["result_location"]["bytes"] > 2000
    assert world.violations() == {}


def test_results_with_characters_that_jsonb_cannot_hold_are_kept(world: World) -> None:
    world.register(
        ScriptedJob("odd", [StageDefinition("a", "odd")]),
        task_type("odd", lambda p, c: {"nul\0key": "a\0b", "surrogate": "\ud800", "escaped": "\\u0000"}),
    )
    job = world.submit("odd")
    assert world.run(job.job_id)["status"] == "completed"
    [task] = world.tasks(job.job_id)
    assert task["result"] == {"nul\ufffdkey": "a\ufffdb", "surrogate": "\ufffd", "escaped": "\\u0000"}
