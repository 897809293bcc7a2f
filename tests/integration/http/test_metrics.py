"""`GET /api/metrics`: what it counts is what happened, whichever process is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.signals import Signals
from interfaces.breakers import BreakerState
from interfaces.errors import ServiceUnavailable
from interfaces.plans import StageDefinition
from interfaces.signals import METRICS
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.integration.http.conftest import client_of
from tests.unit.triggers.http_client import Client

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(api: Client) -> Series:
    answer = api.get("/api/metrics")
    assert answer.status == 200, answer.text()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text())
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((f"orchestrator_{name}", frozenset(labels.items())))


def total(series: Series, name: str) -> float:
    return sum(n for (found, _), n in series.items() if found == f"orchestrator_{name}")


def test_attempts_durations_jobs_and_reconciliation_are_counted(api: Client, world: World) -> None:
    tries: list[int] = []

    def work(parameters: object, context: object) -> dict[str, int]:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("the first time always")
        return {}

    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", work))
    job = world.submit("job", n=3)
    assert value(scraped(api), "jobs", job_type="job", status="queued") == 1
    assert world.run(job.job_id)["status"] == "completed"
    # What was read is kept for a few seconds; another process reads for itself.
    series = scraped(client_of(world))
    assert value(series, "task_attempts_total", task_type="work", outcome="completed") == 3
    assert value(series, "task_attempts_total", task_type="work", outcome="retry") == 1
    count = value(series, "task_duration_seconds_count", task_type="work", outcome="completed")
    below = value(series, "task_duration_seconds_bucket", task_type="work", outcome="completed", le="+Inf")
    assert (count, below) == (3, 3)
    assert value(series, "job_duration_seconds_count", job_type="job", status="completed") == 1
    assert value(series, "jobs", job_type="job", status="queued") is None
    assert value(series, "stuck", reason="message_overdue") == 0
    world.engine.reconcile()
    assert value(scraped(client_of(world)), "reconcile_last_timestamp_seconds") is not None


def test_a_lost_lease_is_an_attempt_of_its_own(api: Client, world: World) -> None:
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    world.submit("job")
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    world._admin.execute(
        "UPDATE app.tasks SET status = 'processing', worker = 'dead', fence = 1, attempt = 1,"
        " started_at = now(), lease_until = now() - interval '1 hour'"
    )
    assert value(scraped(api), "stuck", reason="task_lease_ended") == 1
    assert world.engine.reconcile()["leases_ended"] == 1
    series = scraped(client_of(world))
    assert total(series, "task_attempts_total") == 1
    [labels] = [dict(labels) for name, labels in series if name == "orchestrator_task_attempts_total"]
    assert labels["outcome"] == "lease_lost"
    # Nobody knows how long its handler ran.
    assert total(series, "task_duration_seconds_count") == 0
    assert value(series, "reconcile_actions_total", rule="leases_ended") == 1


def test_the_queues_and_the_outbox_are_measured(api: Client, world: World) -> None:
    world.queues.broken = True
    world.submit("hello_world", n=1)
    world.queues.broken = False
    world.send(world.settings.tasks_queue, "a message")
    world.send(f"{world.settings.tasks_queue}-poison", "poison")
    series = scraped(api)
    assert value(series, "outbox_messages", queue="jobs", state="pending") == 1
    assert (value(series, "outbox_oldest_seconds", queue="jobs") or 0) > 0
    assert value(series, "queue_messages", queue=world.settings.tasks_queue) == 1
    assert (value(series, "queue_oldest_seconds", queue=world.settings.tasks_queue) or 0) > 0
    assert value(series, "queue_messages", queue=f"{world.settings.tasks_queue}-poison") == 1
    world.pump()
    series = scraped(client_of(world))
    assert total(series, "poison_messages_total") == 2


def test_two_processes_tell_the_same_of_what_they_share(world: World) -> None:
    world.run(world.submit("hello_world", n=5).job_id)

    def of_another_process() -> Signals:
        world.new_engine()
        return Signals(world.settings, world.databases[-1], world.queues, world.breakers, "other")

    one, other = of_another_process().fleet(), of_another_process().fleet()
    assert one == other
    assert len(one) == 18


def test_what_is_told_is_what_is_declared(api: Client, world: World) -> None:
    world.run(world.submit("hello_world", n=2).job_id)
    declared = {metric.name: metric for metric in METRICS}
    families = Signals(world.settings, world.databases[0], world.queues, world.breakers, "me").all()
    assert {family.metric.name for family in families} == set(declared)
    for family in families:
        for sample in family.samples:
            assert set(sample.labels) == set(family.metric.labels), family.metric.name


def test_without_a_database_the_rest_is_told(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.queues.broken = False
    signals = Signals(world.settings, world.databases[0], world.queues, world.breakers, "me")

    def refuse() -> None:
        raise ServiceUnavailable("the database is away")

    signals._repository.facts = refuse  # type: ignore[method-assign,assignment]
    found = {family.metric.name: family.samples for family in signals.all()}
    assert {sample.labels["source"]: sample.value for sample in found["source_up"]} == {
        "database": 0,
        "queues": 1,
    }
    assert "task_attempts" not in found
    assert len(found["queue_messages"]) == 4
    assert found["pool_waiting"]


def test_an_open_breaker_is_told(world: World) -> None:
    signals = Signals(world.settings, world.databases[0], world.queues, world.breakers, "me")
    breaker = world.breakers._breakers["blob"]
    with breaker._changed:
        breaker._breaker.open()
    assert breaker.status().state is BreakerState.OPEN
    found = {family.metric.name: family.samples for family in signals.process()}
    assert {s.labels["dependency"]: s.value for s in found["breaker_open"]}["blob"] == 1


@pytest.mark.parametrize("workers", [17])
def test_workers_that_count_do_not_wait_for_each_other(world: World, workers: int) -> None:
    """Sixteen hold what they have counted, as before their commit; only one more has to wait."""
    add = "SELECT app.add_totals('attempts', ARRAY['x'], ARRAY['y'], ARRAY[1], ARRAY[0.2])"
    sessions = [psycopg.connect(world.url) for _ in range(workers)]
    try:
        for session in sessions[:16]:
            session.execute("SET lock_timeout = '5s'")
            session.execute(add)
        last = threading.Thread(target=sessions[16].execute, args=(add,))
        last.start()
        for session in sessions[:16]:
            session.commit()
        last.join(10)
        assert not last.is_alive()
        sessions[16].commit()
    finally:
        for session in sessions:
            session.close()
    [row] = world.rows("SELECT count(*) AS rows, sum(n) AS n, sum(seconds) AS seconds FROM app.totals")
    assert (row["rows"], row["n"], round(row["seconds"], 6)) == (16, 17, 3.4)
