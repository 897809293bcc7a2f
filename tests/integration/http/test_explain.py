"""`explain` says of each thing that can keep a job what it is, with its figures, and what can be done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from interfaces.errors import DependencyUnavailable, PermanentTaskError, ServiceUnavailable, TaskError
from interfaces.plans import StageDefinition, Tasks
from interfaces.states import FailurePolicy
from interfaces.workflows import RetryPolicy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

MakeApi = Callable[..., tuple[Client, World]]
SLOWLY = RetryPolicy(max_attempts=4, base_delay=timedelta(minutes=2), max_delay=timedelta(minutes=2))


class Scene:
    """A job of four tasks, whose handler does what the test says."""

    def __init__(self, api: Client, world: World, canary: int = 0) -> None:
        self.api, self.world = api, world
        self.errors: dict[int, Exception] = {}
        # Nothing runs where it was planned: the test takes each step.
        object.__setattr__(world.settings, "run_at_once_seconds", 0)
        stage = StageDefinition("first", "work", FailurePolicy.CONTINUE)

        def plan(stage: int, p: Any, previous: Any) -> Tasks:
            return Tasks([{"i": i} for i in range(4)], canary=canary)

        world.register(ScriptedJob("job", [stage], plan), task_type("work", self._work, retry=SLOWLY))
        self.job_id = ""

    def _work(self, parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        error = self.errors.get(parameters["i"])
        if error is not None:
            raise error
        return {}

    def submit(self) -> None:
        self.job_id = self.world.submit("job").job_id

    def planned(self) -> None:
        """The stage is there, and its messages are in the queue."""
        self.submit()
        self.step(self.world.settings.jobs_queue)

    def step(self, queue: str) -> None:
        message = self.world.queues.receive(queue)
        assert message is not None
        self.world.deliver(message, queue)

    def set(self, statement: str, *parameters: object) -> None:
        self.world.rows(statement, *parameters, fetch=False)

    def claimed(self, lease: str) -> None:
        """All tasks are in work, until their leases end."""
        self.planned()
        self.set(
            "UPDATE app.tasks SET status = 'processing', fence = 1, attempt = 1, worker = 'w1',"
            f" started_at = now(), lease_until = now() + interval '{lease}'"
        )
        self.set("SELECT app.recount_stage(job_id, run, stage) FROM app.stages")

    def explain(self) -> dict[str, Any]:
        answer = self.api.get(f"/api/jobs/{self.job_id}/explain")
        assert answer.status == 200, answer.text()
        document: dict[str, Any] = answer.json()
        for reason in document["reasons"]:
            assert "{" not in reason["text"], reason
        return document

    def because(self, code: str) -> SimpleNamespace:
        """The only reason of this code, and the whole explanation with it."""
        document = self.explain()
        found = [reason for reason in document["reasons"] if reason["code"] == code]
        assert len(found) == 1, document
        return SimpleNamespace(
            **found[0],
            moves=document["moves"],
            summary=document["summary"],
            repairs=[repair["href"].partition("?")[0].rpartition("/")[2] for repair in document["repairs"]],
        )


@pytest.fixture
def scene(make_api: MakeApi) -> Scene:
    return Scene(*make_api())


def test_a_job_waits_for_a_worker_that_plans_it(scene: Scene) -> None:
    scene.submit()
    found = scene.because("waits_for_a_worker")
    assert "a message that wakes its planner is in the queue since 2" in found.text
    assert found.since is not None
    assert found.until is not None
    assert (found.moves, found.repairs) == (True, ["cancel"])
    assert found.summary.startswith("Run 1 is queued at stage 1 of 1: a message that wakes its planner")


def test_tasks_wait_for_a_worker(scene: Scene) -> None:
    scene.planned()
    found = scene.because("waits_for_a_worker")
    assert (found.tasks, found.moves) == (4, True)
    assert "(4 tasks)" in found.text
    assert "(first: 0 of 4 tasks ended)" in found.summary


def test_a_message_is_not_sent_yet(scene: Scene) -> None:
    scene.submit()
    scene.set("UPDATE app.outbox SET sent_at = NULL, redeliver_at = NULL")
    found = scene.because("waits_to_be_sent")
    assert "is not sent yet, since" in found.text
    assert found.moves


def test_a_worker_plans_the_stage(scene: Scene) -> None:
    scene.submit()
    scene.set(
        "UPDATE app.jobs SET status = 'processing', plan_fence = 1, plan_attempts = 2, plan_worker = 'w7',"
        " plan_lease_until = now() + interval '25 s'"
    )
    found = scene.because("planning")
    assert "worker w7 plans stage 1, attempt 2; its lease is good until" in found.text
    assert "(in 25 s)" in found.text or "(in 24 s)" in found.text


def test_a_planner_was_lost(scene: Scene) -> None:
    scene.submit()
    scene.set(
        "UPDATE app.jobs SET status = 'processing', plan_fence = 1, plan_worker = 'w7',"
        " plan_lease_until = now() - interval '5 s'"
    )
    found = scene.because("planner_lost")
    assert "stopped renewing its lease" in found.text
    assert found.moves


def test_planning_was_interrupted(scene: Scene) -> None:
    scene.submit()
    scene.set("UPDATE app.jobs SET status = 'processing', plan_fence = 5, plan_attempts = 1")
    scene.set("SELECT app.release_plan(%s, 5, 'database: gone away')", scene.job_id)
    found = scene.because("planning_interrupted")
    assert "interrupted 1 time, last" in found.text
    assert found.text.endswith("database: gone away")
    assert "health" in found.repairs


def test_tasks_are_in_work(scene: Scene) -> None:
    scene.claimed("20 s")
    found = scene.because("tasks_running")
    assert (found.tasks, found.moves) == (4, True)
    assert "4 tasks in work on 1 worker, the longest since" in found.text
    assert found.until is not None


def test_leases_have_ended(scene: Scene) -> None:
    scene.claimed("-5 s")
    found = scene.because("leases_ended")
    assert (found.tasks, found.moves) == (4, True)
    assert "the leases of 4 tasks ended, the first" in found.text


def test_tasks_are_to_be_tried_again_after_an_error(scene: Scene) -> None:
    scene.errors = {1: TaskError("the server is busy"), 2: TaskError("the server is busy")}
    scene.planned()
    scene.world.pump()
    found = scene.because("tasks_wait_to_retry")
    assert (found.tasks, found.moves) == (2, True)
    assert "2 tasks to be tried again at" in found.text
    assert "attempt 1 of 4 was the last; it ended with: " in found.text
    assert found.text.endswith("the server is busy")


def test_tasks_are_put_off_while_a_dependency_is_away_and_its_breaker_is_open(scene: Scene) -> None:
    def away() -> None:
        raise ServiceUnavailable("no answer")

    breaker = scene.world.breakers.guard("storage", away)
    with pytest.raises(DependencyUnavailable) as refused, breaker.calling():
        away()
    scene.errors = {3: refused.value}
    scene.planned()
    scene.world.pump()
    scene.set("UPDATE app.tasks SET due_at = now() + interval '1 min' WHERE status = 'queued'")
    scene.set("UPDATE app.outbox SET not_before = now() + interval '1 min'")
    found = scene.because("tasks_put_off")
    assert "put off, which does not count as an attempt" in found.text
    assert "health" in found.repairs
    opened = scene.because("breaker_open")
    assert opened.text.startswith("storage failed 1 time in a row")
    assert opened.until is not None


def test_a_limit_is_reached(scene: Scene) -> None:
    scene.api.request("PUT", "/api/db/limits/task/work", {"at_most": 0})
    scene.planned()
    scene.world.pump()
    found = scene.because("limit_reached")
    assert (found.tasks, found.moves) == (4, False)
    assert "of task:work at most 0 may run at once and 0 do; 0 messages of others are before it" in found.text
    assert found.repairs[0] == "work"


def test_a_limit_of_jobs_keeps_one_from_beginning(make_api: MakeApi) -> None:
    scene = Scene(*make_api())
    scene.api.request("PUT", "/api/db/limits/job/job", {"at_most": 1})
    scene.claimed("20 s")
    scene.job_id = scene.world.submit("job", label="other").job_id
    scene.world.pump()
    found = scene.because("limit_reached")
    assert "the job must wait to begin, since" in found.text
    assert "of job:job at most 1 may run at once and 1 do" in found.text
    assert found.moves


def test_tasks_are_held_back_by_a_canary(make_api: MakeApi) -> None:
    scene = Scene(*make_api(), canary=1)
    scene.planned()
    assert scene.because("held_by_canary").tasks == 3
    assert scene.because("waits_for_a_worker").tasks == 1


def test_a_message_was_poison(scene: Scene) -> None:
    scene.planned()
    scene.set(
        "SELECT app.record_poison('tasks', 'm1', 'delivered 6 times', '{}', 2, 6, %s, 1, 1, 0, 3, '',"
        " 'woken')",
        scene.job_id,
    )
    found = scene.because("poison_message")
    assert found.text.endswith("delivered 6 times; woken")
    assert "poison" in found.repairs


def test_a_job_that_is_being_cancelled_waits_for_what_is_in_work(scene: Scene) -> None:
    scene.claimed("20 s")
    scene.api.request("POST", f"/api/jobs/{scene.job_id}/cancel")
    found = scene.because("cancelling")
    assert (found.tasks, found.repairs) == (4, [])
    assert "4 tasks in work are waited for" in found.text


def test_a_stage_is_failing(scene: Scene) -> None:
    scene.claimed("20 s")
    scene.set("UPDATE app.stages SET status = 'failing', failing_at = now(), error = 'too many failed'")
    found = scene.because("failing")
    assert "stage 1 is failing (too many failed): nothing new is begun" in found.text


@pytest.mark.parametrize(
    "stop",
    [
        "UPDATE app.jobs SET status = 'cancelling', updated_at = now()",
        "UPDATE app.stages SET status = 'failing', failing_at = now(), error = 'too many failed'",
    ],
)
def test_what_a_stopping_job_has_queued_is_said_to_be_cancelled(scene: Scene, stop: str) -> None:
    scene.api.request("PUT", "/api/db/limits/task/work", {"at_most": 0})
    scene.planned()
    scene.world.pump()
    scene.set(stop)
    document = scene.explain()
    [reason] = document["reasons"]
    assert reason["text"].endswith("nothing new is begun, and 4 tasks that wait are cancelled within 15 s")
    assert document["moves"]
    assert not any("limit" in repair["text"] for repair in document["repairs"])
    scene.world.engine.reconcile()
    assert scene.explain()["status"] in ("cancelled", "failed")


def test_what_a_stopping_job_waits_to_try_again_is_not_said_to_be_tried_again(scene: Scene) -> None:
    scene.errors = {1: TaskError("the server is busy")}
    scene.planned()
    scene.world.pump()
    scene.set("UPDATE app.jobs SET status = 'cancelling', updated_at = now() - interval '3 min'")
    scene.set("UPDATE app.job_events SET at = now() - interval '3 min'")
    document = scene.explain()
    assert [reason["code"] for reason in document["reasons"]] == ["cancelling", "nothing_moves"]
    assert not document["moves"]


def test_a_stopping_job_of_which_nothing_is_left_ends(scene: Scene) -> None:
    scene.submit()
    scene.set("UPDATE app.jobs SET status = 'cancelling', updated_at = now()")
    assert scene.because("cancelling").text.endswith("nothing new is begun, and it ends within 15 s")


def test_a_message_waits_for_its_time(scene: Scene) -> None:
    scene.submit()
    scene.set("UPDATE app.outbox SET not_before = now() + interval '40 s'")
    found = scene.because("waits_for_its_time")
    assert found.text.startswith("a message that wakes its planner is for later: 2")
    assert found.text.endswith(("(in 40 s)", "(in 39 s)"))
    assert found.moves


def test_a_cancelled_job_can_go_on_with_what_it_had_left(scene: Scene) -> None:
    scene.planned()
    scene.api.request("POST", f"/api/jobs/{scene.job_id}/cancel")
    scene.world.engine.reconcile()
    found = scene.because("cancelled")
    assert found.repairs == ["retry", "rerun"]
    assert scene.api.request("POST", f"/api/jobs/{scene.job_id}/retry").status == 202


def test_a_job_that_failed_without_a_failed_task_can_be_taken_up_where_it_failed(make_api: MakeApi) -> None:
    scene = Scene(*make_api())

    def broken(stage: int, p: Any, previous: Any) -> Tasks:
        raise PermanentTaskError("nothing to plan")

    scene.world.register(ScriptedJob("broken", [StageDefinition("first", "work")], broken))
    scene.job_id = scene.world.submit("broken").job_id
    scene.world.pump()
    found = scene.because("failed")
    assert "nothing to plan" in found.text
    assert found.repairs == ["retry", "rerun"]
    assert scene.api.request("POST", f"/api/jobs/{scene.job_id}/retry").status == 202


def test_nothing_speaks_for_what_is_left(scene: Scene) -> None:
    scene.planned()
    scene.set("DELETE FROM app.outbox")
    assert "the reconciler makes new ones within 15 s" in scene.because("dispatched_anew").text
    scene.world.engine.reconcile()
    assert scene.because("waits_to_be_sent").tasks == 4


def test_all_tasks_have_ended_and_nobody_took_the_next_step(scene: Scene) -> None:
    scene.planned()
    scene.set("UPDATE app.tasks SET status = 'completed', result = '{}', completed_at = now()")
    scene.set("SELECT app.recount_stage(job_id, run, stage) FROM app.stages")
    assert "the next step is taken within 15 s" in scene.because("advances").text


@pytest.mark.parametrize(
    "what",
    [
        "UPDATE app.outbox SET sent_at = NULL",
        "UPDATE app.outbox SET redeliver_at = now() - interval '3 min'",
        "UPDATE app.jobs SET plan_fence = 1, plan_worker = 'w', plan_lease_until = now() - interval '3 min'",
    ],
)
def test_what_the_timers_should_have_mended_long_ago_shows_that_none_runs(scene: Scene, what: str) -> None:
    scene.submit()
    scene.set("UPDATE app.outbox SET not_before = now() - interval '3 min'")
    scene.set("UPDATE app.outbox SET created_at = not_before")
    scene.set(what)
    found = scene.because("nothing_moves")
    assert (found.moves, found.repairs) == (False, ["health", "cancel"])
    assert "no worker runs, or none reaches database and queues" in found.summary
    assert found.summary.endswith("It does not go on by itself.")


def test_of_a_job_that_failed_it_says_with_which_errors(scene: Scene) -> None:
    scene.errors = {0: PermanentTaskError("no such file"), 2: PermanentTaskError("no such file")}
    scene.planned()
    scene.world.run(scene.job_id)
    document = scene.explain()
    assert (document["status"], document["moves"]) == ("completed_with_errors", False)
    [ended, failed] = document["reasons"]
    assert ended["code"] == "completed_with_errors"
    assert (failed["code"], failed["tasks"]) == ("tasks_failed", 2)
    assert failed["text"].startswith("2 tasks of stage 1 failed, the first is task 0: ")
    assert failed["text"].endswith("no such file")
    assert [repair["href"].rpartition("/")[2] for repair in document["repairs"][:2]] == ["retry", "rerun"]


def test_errors_that_differ_by_numbers_and_names_are_told_as_one_with_the_first_of_them(scene: Scene) -> None:
    scene.errors = {
        0: PermanentTaskError("no such file: 'a 1.tif'"),
        1: PermanentTaskError("row 7 is no point"),
        2: PermanentTaskError("no such file: 'b.tif'"),
    }
    scene.planned()
    scene.world.run(scene.job_id)
    failed = [reason for reason in scene.explain()["reasons"] if reason["code"] == "tasks_failed"]
    assert [reason["tasks"] for reason in failed] == [2, 1]
    assert failed[0]["text"].endswith("the first is task 0: no such file: 'a 1.tif'")


def test_of_a_job_that_completed_there_is_nothing_to_repair(scene: Scene) -> None:
    scene.planned()
    scene.world.run(scene.job_id)
    found = scene.because("completed")
    assert (found.moves, found.repairs) == (False, ["rerun"])
    assert found.summary == "Run 1 is completed: all stages completed."


def test_a_job_that_is_not_there_has_no_explanation(api: Client) -> None:
    assert api.get(f"/api/jobs/{'0' * 64}/explain").status == 404
    assert api.get("/api/jobs/zz/explain").status == 400
