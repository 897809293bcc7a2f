"""Steps that overlap: one has not committed yet when the next begins."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

from interfaces.jobs import TaskReport
from interfaces.states import TaskStatus
from tests.fix_engine import World

from .breakage import planned
from .protocol_session import Session


def test_a_result_that_waits_for_a_heartbeats_commit_is_written(
    make_world: Callable[..., World],
) -> None:
    """The heartbeat moves the row; the report, which began before, must find it where it is then."""
    world = make_world(run_at_once_seconds=0)
    job_id = planned(world, n=2)
    heartbeat, worker = Session(world.settings, "worker"), Session(world.settings, "worker")
    world.databases += [heartbeat.database, worker.database]
    lease = timedelta(minutes=1)
    claimed = worker.tasks.claim(job_id, 1, 1, 0, 1, worker="worker", lease=lease)
    assert len(claimed) == 2
    reports = [
        TaskReport(task_index=t.task_index, fence=t.fence, outcome=TaskStatus.COMPLETED, result="{}")
        for t in claimed
    ]
    with ThreadPoolExecutor(1) as thread, heartbeat.database.holding() as connection:
        assert len(heartbeat.tasks.extend(claimed[:1], lease)) == 1
        running = thread.submit(worker.tasks.finish, job_id, 1, 1, "worker", reports)
        wait([running], 0.5)
        assert not running.done()
        connection.commit()
        assert running.result(20) == {0: TaskStatus.COMPLETED, 1: TaskStatus.COMPLETED}
    assert [task["status"] for task in world.tasks(job_id)] == ["completed", "completed"]
