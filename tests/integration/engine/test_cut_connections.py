"""A connection to the database is cut just before a statement, or just after it may have committed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest
from pydantic import SecretStr

from interfaces.errors import ServiceUnavailable
from local.stack.postgres import PostgresServer
from tests.chaos.fault_proxy import FaultProxy, Moment
from tests.fix_engine import World

T = TypeVar("T")
STATEMENTS = (b"app.submit_job(", b"COMMIT", b"app.claim_tasks(", b"app.finish_tasks(", b"app.finish_stage(")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("statement", STATEMENTS, ids=bytes.decode)
def test_a_cut_connection_loses_and_doubles_nothing(
    make_world: Callable[..., World],
    postgres_server: PostgresServer,
    database_url: str,
    statement: bytes,
    moment: Moment,
) -> None:
    with FaultProxy(postgres_server.port).serving() as proxy:
        url = database_url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        assert url != database_url
        world = make_world(
            database_url=SecretStr(url), lease_seconds=0.5, heartbeat_seconds=0.1, run_at_once_seconds=0
        )
        cut = proxy.cut_next(statement, moment)
        job_id = _insist(lambda: world.submit("hello_world", n=40).job_id)
        row = _insist(lambda: world.run(job_id))
        assert cut.happened.is_set()
        assert row["status"] == "completed"
        tasks = world.tasks(job_id)
        assert {task["status"] for task in tasks} == {"completed"}
        assert [task["task_index"] for task in tasks] == [*range(40), *range(40)]
        assert world.violations() == {}
        for database in world.databases:
            database.close()


def _insist(call: Callable[[], T]) -> T:
    """The answer, asked for again where the connection was cut, as a person or the host would."""
    for _ in range(3):
        with suppress(ServiceUnavailable):
            return call()
    raise AssertionError("unavailable for good")
