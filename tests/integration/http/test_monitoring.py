"""What waits, what happened lately, and poison messages that are taken up again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from interfaces.errors import ServiceUnavailable
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client


def test_activity_counts_what_happened_to_tasks(api: Client, world: World) -> None:
    for parameters in ({"n": 20}, {"n": 4, "fail_fraction": 0.5, "on_failure": "continue"}):
        world.run(api.post("/api/jobs/submit/hello_world", parameters).json()["job_id"])
    body = api.get("/api/monitor/activity?minutes=10").json()
    totals = {name: sum(counts) for name, counts in body["series"].items() if name != "unfinished"}
    tasks = world.rows("SELECT status, count(*) AS n FROM app.tasks GROUP BY status")
    by_status = {row["status"]: row["n"] for row in tasks}
    assert totals["completed"] == by_status["completed"]
    assert totals["failed"] == by_status["failed"] == 2
    assert totals["planned"] == sum(by_status.values())
    assert totals["jobs_completed"] == 2
    assert body["series"]["unfinished"][-1] == 0
    assert (body["bucket_seconds"], len(body["times"]), body["complete_since"]) == (5, 120, None)
    assert all(len(counts) == 120 for counts in body["series"].values())


def test_activity_counts_back_how_many_tasks_were_unfinished(api: Client, world: World) -> None:
    object.__setattr__(world.settings, "run_at_once_seconds", 0)
    job_id = api.post("/api/jobs/submit/hello_world", {"n": 50}).json()["job_id"]
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    # As if the stage had been planned half a minute ago.
    world.rows(
        "UPDATE app.job_events SET at = at - interval '30 seconds' WHERE job_id = %s RETURNING 1", job_id
    )
    body = api.get("/api/monitor/activity?minutes=2").json()
    unfinished = body["series"]["unfinished"]
    assert (body["queued"], body["processing"], unfinished[-1], unfinished[0]) == (50, 0, 50, 0)
    assert unfinished.index(50) == pytest.approx(len(unfinished) - 31, abs=2)


def test_queues_say_how_many_messages_wait_and_for_how_long(api: Client, world: World) -> None:
    empty = api.get("/api/monitor/queues").json()["queues"]
    assert [(q["kind"], q["messages"], q["oldest_message_seconds"]) for q in empty] == [
        ("jobs", 0, None),
        ("tasks", 0, None),
    ]
    api.post("/api/jobs/submit/hello_world", {"n": 1})
    world.queues.queues[world.settings.jobs_queue][0].inserted_at = datetime.now(UTC) - timedelta(minutes=2)
    world.send(f"{world.settings.tasks_queue}-poison", "x")
    body = api.get("/api/monitor/queues").json()
    jobs, tasks = body["queues"]
    assert jobs["messages"] == 1
    assert 120 <= jobs["oldest_message_seconds"] < 150
    assert (jobs["poison_messages"], tasks["poison_messages"]) == (0, 1)
    assert body["outbox"]["pending"] == 0


def at_minutes_ago(world: World, minutes: float) -> None:
    """As if what was sampled last had been so some minutes before now."""
    world.rows(
        "UPDATE app.samples SET at = date_trunc('minute', now()) - make_interval(secs => 60 * %s)"
        " WHERE at = (SELECT max(at) FROM app.samples) RETURNING 1",
        minutes,
    )


def test_history_has_what_queues_looked_like_and_what_came_of_tasks(api: Client, world: World) -> None:
    api.post("/api/jobs/submit/hello_world", {"n": 1})
    world.queues.queues[world.settings.jobs_queue][0].inserted_at = datetime.now(UTC) - timedelta(minutes=2)
    assert world.engine.history.sample()
    at_minutes_ago(world, 3)
    world.run(api.post("/api/jobs/submit/hello_world", {"n": 7}).json()["job_id"])
    assert world.engine.history.sample()
    at_minutes_ago(world, 1)
    body = api.get("/api/monitor/history?hours=1").json()
    assert (body["bucket_seconds"], len(body["times"]), body["kept_hours"]) == (60, 60, 168)
    series = body["series"]
    assert all(len(values) == 60 for values in series.values())
    sampled = [n for n, messages in enumerate(series["jobs_messages"]) if messages is not None]
    assert len(sampled) == 2
    first, second = sampled
    assert second - first == 2
    assert series["jobs_messages"][first] == 1
    assert 120 <= series["jobs_oldest_seconds"][first] < 150
    assert series["completed"][first] is None
    # Of both jobs, since all messages were delivered, and of both of their stages.
    assert series["completed"][second] == 16
    assert (series["jobs_completed"][second], series["unfinished"][second]) == (2, 0)


def test_a_minute_has_one_sample_however_many_take_it(world: World) -> None:
    engines = [world.engine, *(world.new_engine() for _ in range(3))]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda engine: engine.history.sample(), engines * 2))
    rows = world.rows("SELECT at FROM app.samples")
    # Two where a minute ended meanwhile.
    assert sum(taken) == len(rows) <= 2


def test_samples_older_than_a_week_are_removed(world: World) -> None:
    for days in (7.01, 6.99):
        world.engine.history.sample()
        at_minutes_ago(world, days * 1440)
    world.engine.history.sample()
    age = "SELECT extract(epoch FROM now() - min(at))::float8 / 86400 AS days FROM app.samples"
    assert world.rows(age)[0]["days"] == pytest.approx(6.99, abs=0.01)


def test_a_queue_that_does_not_answer_is_missing_from_the_sample(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = world.queues.length

    def length(queue: str) -> int:
        if queue == world.settings.jobs_queue:
            raise ServiceUnavailable("the queue does not answer")
        return answers(queue)

    monkeypatch.setattr(world.queues, "length", length)
    assert world.engine.history.sample()
    [row] = world.rows("SELECT * FROM app.samples")
    assert (row["jobs_messages"], row["tasks_messages"], row["outbox_messages"]) == (None, 0, 0)


def poisoned(world: World, queue: str, body: str) -> int:
    """Deliver a message that cannot be processed; answers its number."""
    world.send(queue, body)
    world.pump()
    return int(world.rows("SELECT max(poison_id) AS id FROM app.poison_messages")[0]["id"])


def test_replaying_a_message_that_failed_its_job_retries_the_job(api: Client, world: World) -> None:
    job_id = api.post("/api/jobs/submit/hello_world", {"n": 3}).json()["job_id"]
    world.queues.queues[world.settings.jobs_queue].clear()
    number = poisoned(world, world.settings.jobs_queue, json.dumps({"job_id": job_id, "run": "one"}))
    assert world.job(job_id)["status"] == "failed"
    answer = api.post(f"/api/monitor/poison/{number}/replay")
    assert (answer.status, answer.json()["job_id"], answer.json()["changed"]) == (202, job_id, True)
    assert world.run(job_id)["status"] == "completed"
    again = api.post(f"/api/monitor/poison/{number}/replay")
    assert again.status == 409
    assert "completed" in again.json()["detail"]


def test_replaying_a_message_whose_work_waits_sends_it_again(api: Client, world: World) -> None:
    job_id = api.post("/api/jobs/submit/hello_world", {"n": 3}).json()["job_id"]
    [message] = world.queues.queues[world.settings.jobs_queue]
    world.queues.queues[world.settings.jobs_queue].clear()
    number = poisoned(world, f"{world.settings.jobs_queue}-poison", message.body)
    world.queues.queues[world.settings.jobs_queue].clear()
    if world.job(job_id)["status"] == "queued":
        answer = api.post(f"/api/monitor/poison/{number}/replay")
        assert (answer.status, answer.json()["status"]) == (202, "queued")
        assert len(world.queues.queues[world.settings.jobs_queue]) == 1
    assert world.run(job_id)["status"] == "completed"


def test_a_message_that_names_nothing_cannot_be_replayed(api: Client, world: World) -> None:
    number = poisoned(world, world.settings.tasks_queue, "garbage")
    answer = api.post(f"/api/monitor/poison/{number}/replay")
    assert answer.status == 409
    assert "names no job" in answer.json()["detail"]
    assert api.post(f"/api/monitor/poison/{number + 1}/replay").status == 404
    for wrong in ("x", "-1", "9" * 30, "%31%00"):
        assert api.post(f"/api/monitor/poison/{wrong}/replay").status == 400
