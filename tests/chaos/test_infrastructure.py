"""Servers restarted, stopped and emptied, connections broken at every moment, processes killed."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress

import httpx
import pytest

from local.stack.azurite import AzuriteServer
from local.stack.postgres import PostgresServer
from tests.fix_app import App, MakeApp, until

from .checks import Load, audit, check, every, report
from .deadly_attempts import MAX_ATTEMPTS
from .fault_proxy import Cut, Fault, FaultProxy, Moment, answered_at_all

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SECONDS = 45
STATEMENTS = (
    b"app.submit_job(",
    b"app.claim_plan(",
    b"app.seal_stage(",
    b"COMMIT",
    b"app.claim_tasks(",
    b"app.extend_leases(",
    b"app.finish_tasks(",
    b"app.finish_stage(",
    b"app.complete_job(",
    b"app.take_dispatches(",
    b"app.mark_sent(",
)
REQUESTS = (
    b"POST /devstoreaccount1/jobs-",
    b"POST /devstoreaccount1/tasks-",
    b"DELETE /devstoreaccount1/tasks-",
)


def test_postgres_restarted_every_few_seconds_under_load(
    make_app: MakeApp, postgres_server: PostgresServer
) -> None:
    app = make_app()
    audit(app)
    load, chance, faults = Load(app, seed=1), random.Random(1), Counter[str]()
    with load.going_on():
        for _ in every(lambda: chance.uniform(2, 5), SECONDS):
            # Immediate: as a crash, without a word to anybody.
            postgres_server.stop(signal.SIGQUIT)
            postgres_server.start()
            faults["restart"] += 1
    assert load.wrong == []
    found = check(app, load.expected)
    report("postgres_restarts", faults=faults, jobs=found, answers=dict(load.answers))


def test_all_database_connections_ended_again_and_again(make_app: MakeApp) -> None:
    app = make_app()
    audit(app)
    load, faults = Load(app, seed=2), Counter[str]()
    with load.going_on():
        for _ in every(lambda: 0.5, SECONDS):
            ended = app.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            faults["connection ended"] += len(ended)
    assert load.wrong == []
    found = check(app, load.expected)
    report("connections_ended", faults=faults, jobs=found, answers=dict(load.answers))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_that_breaks_connections_to_the_database(
    make_app: MakeApp, postgres_server: PostgresServer, seed: int
) -> None:
    # What it drops stays silent for good: only the app can put an end to that.
    with FaultProxy(postgres_server.port, seed=seed, hangs_seconds=None).serving() as proxy:
        app = make_app(through={postgres_server.port: proxy.port}, DATABASE_ANSWER_SECONDS="6")
        audit(app)
        load = Load(app, seed=10 + seed)
        with load.going_on(), proxy.faulty(0.005):
            time.sleep(SECONDS)
        assert load.wrong == []
        assert {fault.value for fault in Fault} <= set(proxy.done)
        found = check(app, load.expected)
        report(f"database_network_{seed}", faults=proxy.done, jobs=found, answers=dict(load.answers))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_that_breaks_connections_to_the_storage(
    make_app: MakeApp, azurite: AzuriteServer, seed: int
) -> None:
    blob, queue = azurite.ports[:2]
    with (
        FaultProxy(blob, answered=answered_at_all, seed=seed).serving() as blobs,
        FaultProxy(queue, answered=answered_at_all, seed=seed).serving() as queues,
    ):
        app = make_app(through={blob: blobs.port, queue: queues.port})
        audit(app)
        load = Load(app, seed=20 + seed)
        with load.going_on(), queues.faulty(0.02), blobs.faulty(0.1):
            time.sleep(SECONDS)
        assert load.wrong == []
        # A queue that fails is no reason to refuse a job.
        assert set(load.answers) <= {"200", "202"}
        found = check(app, load.expected)
        report(f"storage_network_{seed}", faults=queues.done + blobs.done, jobs=found)


def test_a_connection_cut_just_before_and_just_after_each_statement(
    make_app: MakeApp, postgres_server: PostgresServer
) -> None:
    moments: tuple[Moment, ...] = ("before", "after")
    with FaultProxy(postgres_server.port).serving() as proxy:
        app = make_app(through={postgres_server.port: proxy.port})
        audit(app)
        expected = {}
        for statement in STATEMENTS:
            for moment in moments:
                cut = proxy.cut_next(statement, moment)
                name = f"{statement.decode()} {moment}"
                expected[_insist(app, "hello_world", n=6, sleep_seconds=1.2, name=name)] = "completed"
                _until_cut(app, cut, name)
        found = check(app, expected)
        assert proxy.done == {"cut before": len(STATEMENTS), "cut after": len(STATEMENTS)}
        report("statements_cut", faults=proxy.done, jobs=found)


def test_a_connection_cut_just_before_and_just_after_each_request_to_a_queue(
    make_app: MakeApp, azurite: AzuriteServer
) -> None:
    moments: tuple[Moment, ...] = ("before", "after")
    queue = azurite.ports[1]
    with FaultProxy(queue, answered=answered_at_all).serving() as proxy:
        app = make_app(through={queue: proxy.port})
        audit(app)
        expected = {}
        for request in REQUESTS:
            for moment in moments:
                cut = proxy.cut_next(request, moment)
                name = f"{request.decode()} {moment}"
                expected[app.submit("hello_world", n=6, sleep_seconds=0.3, name=name)] = "completed"
                _until_cut(app, cut, name)
        found = check(app, expected)
        report("queue_requests_cut", faults=proxy.done, jobs=found)


def test_storage_that_is_away_for_a_minute_delays_and_refuses_nothing(
    make_app: MakeApp, azurite: AzuriteServer
) -> None:
    app = make_app()
    audit(app)
    load = Load(app, seed=30, pause_seconds=1)
    with load.going_on():
        time.sleep(5)
        azurite.stop()
        try:
            time.sleep(60)
        finally:
            azurite.start()
        back = time.monotonic()
    assert load.wrong == []
    assert set(load.answers) <= {"200", "202"}
    assert load.slowest_answer < 5
    found = check(app, load.expected)
    report(
        "storage_away",
        faults={"storage away": 1},
        jobs=found,
        slowest_answer_seconds=round(load.slowest_answer, 3),
        caught_up_seconds=round(time.monotonic() - back, 1),
    )


def test_the_queues_and_all_their_messages_deleted_in_the_middle_of_jobs(
    make_app: MakeApp, azurite: AzuriteServer
) -> None:
    app = make_app()
    audit(app)
    load = Load(app, seed=31)
    with load.going_on():
        for _ in range(2):
            time.sleep(8)
            azurite.stop(signal.SIGKILL)
            for path in azurite.home.glob("*queue*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            azurite.start()
        time.sleep(8)
    assert load.wrong == []
    assert set(load.answers) <= {"200", "202"}
    found = check(app, load.expected)
    report("queues_deleted", faults={"queue data deleted": 2}, jobs=found)


@pytest.fixture
def mined(make_app: MakeApp) -> App:
    """An app with a job whose tasks may be deadly."""
    app = make_app("--app", "tests.chaos.deadly_app:app")
    audit(app)
    return app


@pytest.mark.parametrize(
    ("tasks", "sleep_seconds"), [(60, 0.0), (12, 0.5)], ids=["in one message", "each alone"]
)
def test_a_task_that_runs_out_of_memory_fails_and_no_other_task_does(
    mined: App, tasks: int, sleep_seconds: float
) -> None:
    deadly = _insist(
        mined,
        "minefield",
        name="deadly",
        n=tasks,
        out_of_memory=[3],
        disk_full=[7],
        sleep_seconds=sleep_seconds,
    )
    beside = {
        _insist(mined, "hello_world", n=8, sleep_seconds=1, name=f"beside {i}"): "completed" for i in range(4)
    }
    began = time.monotonic()
    found = check(mined, {**beside, deadly: "completed_with_errors"}, 300)
    rows = mined.rows("SELECT * FROM app.tasks WHERE job_id = %s ORDER BY task_index", deadly)
    failed = {row["task_index"]: row for row in rows if row["status"] == "failed"}
    assert set(failed) == {3, 7}
    assert "killed, out of memory, or hung" in failed[3]["error"]
    assert "No space left on device" in failed[7]["error"]
    outcomes = Counter(attempt["outcome"] for attempt in failed[3]["attempts"])
    # Twice it may have died together with others.
    assert MAX_ATTEMPTS <= outcomes["lease_lost"] <= MAX_ATTEMPTS + 2
    assert [a["outcome"] for a in failed[7]["attempts"]].count("lease_lost") <= 2
    report(
        f"out_of_memory_{tasks}",
        faults={"process killed from within": outcomes["lease_lost"], "disk full": 1},
        jobs=found,
        seconds=round(time.monotonic() - began, 1),
        most_attempts_of_others=max(row["attempt"] for row in rows if row["status"] == "completed"),
    )


def _until_cut(app: App, cut: Cut, name: str) -> None:
    until(cut.happened.is_set, 60, lambda: f"{name} did not happen\n{app.tail()}")


def _insist(app: App, job_type: str, **parameters: object) -> str:
    """Submit a job, again while the service is unavailable for a moment; its id."""
    end = time.monotonic() + 60
    while True:
        # A worker may be killed that has the request.
        with suppress(httpx.TransportError):
            answer = app.http.post(f"/jobs/submit/{job_type}", json=parameters)
            if answer.status_code in (200, 202):
                return str(answer.json()["job_id"])
            assert answer.status_code == 503, answer.text
        assert time.monotonic() < end, app.tail()
        time.sleep(0.3)
