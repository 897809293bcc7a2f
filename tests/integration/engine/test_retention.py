"""Old runs are removed, wholly and in small steps, and nothing else is."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from interfaces.errors import JobNotFound
from interfaces.retention import OldRun
from repositories import retention as pages
from repositories.inspection import Inspection
from repositories.results import Results
from repositories.retention import RetentionRepository
from tests.fix_engine import World
from tests.integration.engine.retention_scenes import age, done, left, old, retention, survey

MakeWorld = Callable[..., World]
NO_RUN = {"jobs": 0, "runs": 0, "tasks": 0, "items": 0, "events": 0, "blobs": 0}


class Crash(BaseException):
    """The process ends here."""


class CrashingRepository(RetentionRepository):
    """Ends the process after so many statements, or before the first of a name."""

    def __init__(self, world: World, statements: int = -1, before: str = "") -> None:
        super().__init__(world.databases[0])
        self._left = statements
        self._before = before

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        if self._left == 0 or query == self._before:
            raise Crash
        self._left -= 1
        return super()._rows(query, **parameters)


@pytest.fixture
def world(make_world: MakeWorld) -> Iterator[World]:
    """A world of surveys with results in blob storage; after the test its invariants hold."""
    made = make_world(max_inline_result_bytes=1000)
    survey(made)
    yield made
    made.run(made.submit("survey", label="afterwards").job_id)
    assert made.violations() == {}


def counts(answer: Any) -> dict[str, int]:
    return {kind: getattr(answer, kind) for kind in NO_RUN}


def test_an_old_job_is_removed_with_everything_and_a_younger_one_stays(world: World) -> None:
    removed, kept = old(world, 91, label="old", n=2), old(world, 89, label="young")
    before = left(world, kept)
    assert left(world, removed)["blobs"] == 6
    answer = world.engine.retention.run()
    assert counts(answer) | {"events": 0} == {
        "jobs": 1,
        "runs": 1,
        "tasks": 8,
        "items": 6,
        "events": 0,
        "blobs": 6,
    }
    assert answer.events > 5
    assert not answer.more
    assert left(world, removed) == {}
    assert left(world, kept) == before
    with pytest.raises(JobNotFound):
        world.engine.retry(removed, correlation_id="test")
    assert counts(world.engine.retention.run()) == NO_RUN


@pytest.mark.parametrize("end", ["failed", "cancelled", "completed_with_errors"])
def test_jobs_of_every_end_are_removed(world: World, end: str) -> None:
    if end == "cancelled":
        job = world.submit("hello_world", n=3)
        world.engine.cancel(job.job_id)
    else:
        policy = "continue" if end == "completed_with_errors" else "fail_job"
        job = world.submit("hello_world", n=4, fail_fraction=0.5, on_failure=policy)
    assert world.run(job.job_id)["status"] == end
    age(world, job.job_id, 91)
    assert world.engine.retention.run().jobs == 1
    assert left(world, job.job_id) == {}


def test_a_live_job_is_never_removed_however_old(world: World) -> None:
    job = world.submit("survey", n=2)
    age(world, job.job_id, 1000)
    assert counts(world.engine.retention.run()) == NO_RUN
    assert world.run(job.job_id)["status"] == "completed"


def test_nothing_is_removed_when_it_is_switched_off(make_world: MakeWorld) -> None:
    world = make_world(retention_days=0)
    job = world.submit("hello_world", n=2)
    world.run(job.job_id)
    age(world, job.job_id, 30_000)
    before = left(world, job.job_id)
    assert counts(world.engine.retention.run()) == NO_RUN
    assert left(world, job.job_id) == before


def test_a_removed_job_that_is_submitted_again_goes_on_counting_its_runs(world: World) -> None:
    job_id = old(world)
    names = set(world.blobs.blobs)
    for run in (2, 3):
        assert world.engine.retention.run().jobs == 1
        assert left(world, job_id) == {}
        again = world.submit("survey")
        assert (again.job_id, again.created, again.run) == (job_id, True, run)
        assert world.run(job_id)["status"] == "completed"
        assert names.isdisjoint(world.blobs.blobs)
        assert world.events(job_id).count("submitted") == 1
        age(world, job_id, 100)
    assert world.rows("SELECT * FROM app.removed_jobs") == [{"first_digits": job_id[:4], "highest_run": 2}]


def test_a_removal_that_was_slow_takes_nothing_of_the_same_job_submitted_again(world: World) -> None:
    job_id = old(world)
    repository = RetentionRepository(world.databases[0])
    with pytest.raises(Crash):
        retention(world, CrashingRepository(world, before="sweep_tasks")).run()
    seen = repository.unswept()
    assert [(run.job_id, run.run) for run in seen] == [(job_id, 1)]
    world.engine.retention.run()
    assert world.submit("survey").created
    world.run(job_id)
    alive = left(world, job_id)

    class Slow(RetentionRepository):
        """Has looked for what is to be removed before all that."""

        def unswept(self, limit: int = 1000) -> list[OldRun]:
            return seen

    retention(world, Slow(world.databases[0])).run()
    assert left(world, job_id) == alive
    assert alive["blobs"] > 0


def test_a_job_submitted_again_while_rows_are_left_counts_its_runs_from_behind_them(world: World) -> None:
    job_id = old(world, n=2)
    with pytest.raises(Crash):
        retention(world, CrashingRepository(world, before="sweep_tasks")).run()
    leavings = left(world, job_id)
    assert "jobs" not in leavings
    assert leavings["tasks"] == 8
    assert world.violations() == {}
    again = world.submit("survey", n=2)
    assert (again.created, again.run) == (True, 2)
    assert world.run(job_id)["status"] == "completed"
    assert {
        event["run"] for event in Inspection(world.databases[0]).events(job_id, after=None, limit=99)[0]
    } == {2}
    world.engine.retention.run()
    assert {task["run"] for task in world.tasks(job_id)} == {2}
    assert left(world, job_id)["blobs"] == 6
    assert left(world, job_id)["tasks"] == 8
    assert world.rows("SELECT * FROM app.past_runs") == []


def test_earlier_runs_are_removed_of_a_job_that_lives_on(world: World) -> None:
    job_id = old(world, label="daily")
    world.engine.submit("survey", {"label": "daily"}, rerun=True, correlation_id="test")
    world.run(job_id)
    results = Results(world.databases[0])
    assert (
        len(list(results.rows(results.scope(job_id, run=1, stage=2, statuses=()), after=None, limit=None)))
        == 3
    )
    answer = world.engine.retention.run()
    assert (answer.jobs, answer.runs, answer.tasks, answer.blobs) == (0, 1, 4, 3)
    assert {task["run"] for task in world.tasks(job_id)} == {2}
    assert world.rows("SELECT DISTINCT run FROM app.job_events WHERE job_id = %s", job_id) == [{"run": 2}]
    assert world.job(job_id)["status"] == "completed"
    assert left(world, job_id)["blobs"] == 3
    assert (
        list(results.rows(results.scope(job_id, run=1, stage=2, statuses=()), after=None, limit=None)) == []
    )
    # The job itself goes with its last run.
    age(world, job_id, 100)
    assert world.engine.retention.run().jobs == 1
    assert left(world, job_id) == {}


def test_all_runs_of_an_old_job_are_removed_in_one_go(world: World) -> None:
    job_id = done(world)
    for _ in range(2):
        world.engine.rerun(job_id, correlation_id="test")
        world.run(job_id)
    age(world, job_id, 100)
    answer = world.engine.retention.run()
    assert (answer.jobs, answer.runs) == (1, 3)
    assert left(world, job_id) == {}


def test_a_crash_after_any_statement_leaves_the_job_whole_or_gone_and_is_made_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 4)
    statements = 0
    while True:
        statements += 1
        job_id = old(world)
        whole = left(world, job_id)
        try:
            retention(world, CrashingRepository(world, statements=statements)).run()
        except Crash:
            assert world.violations() == {}
            try:
                Inspection(world.databases[0]).job_status(job_id)
            except JobNotFound:
                assert {"jobs", "stages", "stage_counters"}.isdisjoint(left(world, job_id))
            else:
                assert left(world, job_id) == whole
            world.engine.retention.run()
            assert left(world, job_id) == {}
            assert world.rows("SELECT * FROM app.past_runs") == []
        else:
            break
    # Else the job was gone too soon for any of this to mean something.
    assert statements > 15


def test_two_that_remove_the_same_get_in_nobody_s_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", 2)
    jobs = [old(world, label=str(i), n=4) for i in range(3)]
    answers: list[Any] = []
    sweepers = [retention(world) for _ in range(3)]
    threads = [threading.Thread(target=lambda s=s: answers.append(s.run())) for s in sweepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 3
    # What one of them skipped because another was deleting it is left to the next firing.
    world.engine.retention.run()
    assert [left(world, job_id) for job_id in jobs] == [{}, {}, {}]
    assert sum(answer.jobs for answer in answers) == 3


def test_whoever_steers_a_job_keeps_it(world: World) -> None:
    job_id = old(world)
    repository = RetentionRepository(world.databases[0])
    [found] = repository.old_runs(repository.days_ago(90))
    with psycopg.connect(world.url) as steering:
        steering.execute("SELECT 1 FROM app.jobs WHERE job_id = %s FOR UPDATE", (job_id,))
        assert repository.remove(found) is None
    world.engine.rerun(job_id, correlation_id="test")
    # Only the run is old now.
    assert repository.remove(found) == "run"
    assert world.run(job_id)["run"] == 2


def test_a_job_that_is_retried_after_it_was_found_stays(world: World) -> None:
    job = world.submit("hello_world", n=4, fail_fraction=0.5)
    world.run(job.job_id)
    age(world, job.job_id, 100)
    repository = RetentionRepository(world.databases[0])
    [found] = repository.old_runs(repository.days_ago(90))
    world.engine.retry(job.job_id, correlation_id="test")
    assert repository.remove(found) is None
    assert world.run(job.job_id)["status"] == "failed"
    assert repository.remove(found) is None


def test_the_earlier_runs_of_a_job_go_first(world: World) -> None:
    job_id = old(world)
    world.engine.rerun(job_id, correlation_id="test")
    world.run(job_id)
    age(world, job_id, 100)
    repository = RetentionRepository(world.databases[0])
    first, second = repository.old_runs(repository.days_ago(90))
    assert (first.run, first.is_current, second.run, second.is_current) == (1, False, 2, True)
    assert repository.remove(second) is None
    assert (repository.remove(first), repository.remove(second)) == ("run", "job")


def test_who_submits_a_job_that_is_just_being_removed_gets_a_new_one(world: World) -> None:
    job_id = old(world)
    at = world.job(job_id)["completed_at"]
    answers: list[Any] = []
    submitting = threading.Thread(target=lambda: answers.append(world.submit("survey")))
    with psycopg.connect(world.url) as removing:
        # The submission finds the row, waits for it, and then finds that it is gone.
        removing.execute("SELECT 1 FROM app.jobs WHERE job_id = %s FOR UPDATE", (job_id,))
        submitting.start()
        _until_somebody_waits(world)
        removing.execute("SELECT app.remove_run(%s, 1, %s)", (job_id, at))
    submitting.join(10)
    assert (answers[0].job_id, answers[0].created, answers[0].run) == (job_id, True, 2)
    assert world.run(job_id)["status"] == "completed"


def test_who_submits_after_the_removal_but_before_its_commit_gets_a_new_job_too(world: World) -> None:
    job_id = old(world)
    at = world.job(job_id)["completed_at"]
    answers: list[Any] = []
    submitting = threading.Thread(target=lambda: answers.append(world.submit("survey")))
    with psycopg.connect(world.url) as removing:
        removing.execute("SELECT app.remove_run(%s, 1, %s)", (job_id, at))
        submitting.start()
        _until_somebody_waits(world)
    submitting.join(10)
    assert (answers[0].created, answers[0].run) == (True, 2)
    assert world.run(job_id)["status"] == "completed"


def test_messages_about_removed_jobs_are_ignored(world: World) -> None:
    job_id = old(world)
    world.engine.retention.run()
    place = f'"job_id": "{job_id}", "run": 1, "stage": 1, "correlation_id": "late"'
    world.send(world.settings.jobs_queue, f"{{{place}}}")
    world.send(world.settings.tasks_queue, f'{{{place}, "first": 0, "last": 0}}')
    world.pump()
    assert left(world, job_id) == {}
    assert world.rows("SELECT * FROM app.poison_messages") == []


def test_when_its_time_is_over_the_next_one_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = old(world, n=4)
    monkeypatch.setattr(pages, "PAGE", 1)
    # A clock that shows ten seconds more at each look: a firing has time for a dozen steps.
    clock = itertools.count(step=10)
    monkeypatch.setattr("engine.retention.monotonic", lambda: next(clock))
    firings = 1
    while world.engine.retention.run().more:
        firings += 1
        assert firings < 100
    assert firings > 3
    assert left(world, job_id) == {}


def test_poison_messages_go_with_their_run_or_by_age_but_never_while_they_lie_in_a_queue(
    world: World,
) -> None:
    job_id = old(world)
    record = (
        "INSERT INTO app.poison_messages (queue, message_id, reason, raw, bytes, dequeue_count, job_id, run,"
        " correlation_id, recorded_at)"
        " VALUES ('q-poison', %s, 'x', '', 0, 1, %s, %s, '', now() - %s::interval)"
    )
    world.rows(record, "of the run", job_id, 1, "1 day", fetch=False)
    world.rows(record, "of nobody, old", None, None, "100 days", fetch=False)
    world.rows(record, "of nobody, young", None, None, "1 day", fetch=False)
    world.rows(record, "old, still there", None, None, "100 days", fetch=False)
    world.rows(
        "INSERT INTO app.poison_queue_sightings VALUES"
        " ('q-poison', 'old, still there', now() - interval '99 days')",
        fetch=False,
    )
    world.engine.retention.run()
    kept = world.rows("SELECT message_id FROM app.poison_messages ORDER BY message_id")
    assert [row["message_id"] for row in kept] == ["of nobody, young", "old, still there"]


def _until_somebody_waits(world: World) -> None:
    for _ in range(500):
        waiting = world.rows(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if waiting:
            return
        threading.Event().wait(0.02)
    raise AssertionError("nobody waits for a lock")
