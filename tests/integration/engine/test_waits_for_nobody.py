"""No commit waits for another's: sessions that hold their transactions open keep nobody from going on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from interfaces.plans import StageDefinition
from interfaces.queues import JobMessage
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

from .arrivals import arrive

WORKERS = 8
"""Sessions with an open transaction about one stage: as many as it has counter rows (`app.count_tasks`)."""
CLAIM = "SELECT fence FROM app.claim_tasks(%s, 1, 1, %s, %s, 'w', interval '10 minutes') ORDER BY task_index"
FINISH = """
SELECT task_index, status::text FROM app.finish_tasks(
    %s, 1, 1, 'w', ARRAY[%s::int], ARRAY[%s::bigint], ARRAY['completed'], ARRAY['{}']::jsonb[],
    ARRAY[NULL]::jsonb[], ARRAY[NULL]::text[], ARRAY[0]::float8[], ARRAY[NULL]::jsonb[], NULL)
"""
PROBE = "SELECT app.finish_stage(%s, 1, 1, 'w')"

Session = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def connect(database_url: str) -> Iterator[Callable[[], Session]]:
    """Opens sessions that give up at once, where they would have to wait for another's lock."""
    with ExitStack() as opened:

        def make() -> Session:
            session = opened.enter_context(psycopg.connect(database_url))
            session.execute("SET lock_timeout = '2 s'")
            session.commit()
            return session

        yield make


@pytest.fixture
def job_id(world: World) -> str:
    """A job whose stage of eight tasks is planned."""
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    job_id = world.submit("job", n=WORKERS).job_id
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    return job_id


def test_claims_of_different_ranges_do_not_wait_for_each_other(
    job_id: str, connect: Callable[[], Session]
) -> None:
    sessions = [connect() for _ in range(WORKERS)]
    claimed = [
        session.execute(CLAIM, (job_id, index, index)).fetchall() for index, session in enumerate(sessions)
    ]
    assert [len(rows) for rows in claimed] == [1] * WORKERS


def test_a_claim_of_what_another_is_claiming_finds_nothing_rather_than_wait(
    job_id: str, connect: Callable[[], Session]
) -> None:
    first, second = connect(), connect()
    assert len(first.execute(CLAIM, (job_id, 0, WORKERS - 1)).fetchall()) == WORKERS
    assert second.execute(CLAIM, (job_id, 0, WORKERS - 1)).fetchall() == []


def test_outcomes_of_different_tasks_do_not_wait_for_each_other(
    job_id: str, world: World, connect: Callable[[], Session]
) -> None:
    fences = [row["fence"] for row in world.rows(CLAIM, job_id, 0, WORKERS - 1)]
    sessions = [connect() for _ in range(WORKERS)]
    for index, session in enumerate(sessions):
        assert session.execute(FINISH, (job_id, index, fences[index])).fetchall() == [(index, "completed")]
    # Who has committed looks whether the stage is over, and does not wait for the others to learn that.
    sessions[0].commit()
    assert sessions[0].execute(PROBE, (job_id,)).fetchall() == [(False,)]
    sessions[0].commit()
    for session in sessions[1:]:
        session.commit()
    assert sessions[-1].execute(PROBE, (job_id,)).fetchall() == [(True,)]
    sessions[-1].commit()
    assert world.progress(job_id)[0]["completed"] == WORKERS


def test_an_outcome_of_the_same_task_would_have_to_wait(
    job_id: str, world: World, connect: Callable[[], Session]
) -> None:
    # What the tests above would see if anything were shared.
    [row] = world.rows(CLAIM, job_id, 0, 0)
    first, second = connect(), connect()
    second.execute("SET lock_timeout = '100 ms'")
    first.execute(FINISH, (job_id, 0, row["fence"]))
    with pytest.raises(psycopg.errors.LockNotAvailable):
        second.execute(FINISH, (job_id, 0, row["fence"]))


def test_a_claim_and_a_heartbeat_do_not_wait_for_an_outcome(
    job_id: str, world: World, connect: Callable[[], Session]
) -> None:
    fences = [row["fence"] for row in world.rows(CLAIM, job_id, 0, 1)]
    writing, claiming, renewing = connect(), connect(), connect()
    writing.execute(FINISH, (job_id, 0, fences[0]))
    assert len(claiming.execute(CLAIM, (job_id, 2, 3)).fetchall()) == 2
    renewed = renewing.execute(
        "SELECT task_index FROM app.extend_leases(%s, '{1}', '{1}', '{1}', %s, '10 minutes')",
        ([job_id], [fences[1]]),
    ).fetchall()
    assert renewed == [(1,)]
