"""Procrastinate with the simplest correct fan-in: results in a table, a counter row for each stage.

A task writes its result and adds to its stage's counter in one transaction; the one that makes the counter
full starts the next stage. A task that runs twice finds its result there and adds nothing, but still sees
the full counter: nothing is lost when a worker dies between the two.
"""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, misc, no-any-return"

from __future__ import annotations

import asyncio
import os
import sys
import threading
import uuid
from typing import Any

import procrastinate
import psycopg
from client import serve
from psycopg_pool import AsyncConnectionPool

URL = os.environ["BENCH_DATABASE_URL"]
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "8"))
PAGE = 1000

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=URL, min_size=2, max_size=CONCURRENCY)
)
own: AsyncConnectionPool[Any] | None = None

TABLES = """
CREATE TABLE stages (run text, stage int, total int, done int NOT NULL DEFAULT 0, PRIMARY KEY (run, stage))
    WITH (fillfactor = 50);
CREATE TABLE results (run text, stage int, task int, result jsonb NOT NULL, PRIMARY KEY (run, stage, task));
"""
RESULT = """
WITH written AS (
    INSERT INTO results VALUES (%(run)s, %(stage)s, %(task)s, to_jsonb(%(task)s::int))
    ON CONFLICT DO NOTHING RETURNING 1)
UPDATE stages SET done = done + (SELECT count(*) FROM written)
WHERE run = %(run)s AND stage = %(stage)s RETURNING done, total
"""


@app.task
async def no_op(run: str, stage: int, task: int) -> None:
    """One task, its durable result and its share of the fan-in."""
    assert own is not None
    async with own.connection() as connection:
        cursor = await connection.execute(RESULT, {"run": run, "stage": stage, "task": task})
        row = await cursor.fetchone()
    assert row is not None
    done, total = row
    if done < total:
        return
    if stage == 1:
        await start_stage(run, 2, total)
    else:
        async with own.connection() as connection:
            await connection.execute("SELECT pg_notify('finished', %s)", [run])


async def start_stage(run: str, stage: int, total: int) -> None:
    """A counter row and `total` tasks, deferred in pages."""
    assert own is not None
    async with own.connection() as connection:
        insert = "INSERT INTO stages VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
        await connection.execute(insert, [run, stage, total])
    for first in range(0, total, PAGE):
        page = range(first, min(first + PAGE, total))
        await no_op.batch_defer_async(*[{"run": run, "stage": stage, "task": task} for task in page])


class ProcrastinatePeer:
    """Starts jobs and listens for their end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._call(_open())
        self._listening = psycopg.connect(URL, autocommit=True)
        self._listening.execute("LISTEN finished")

    def run(self, n: int, jobs: int, seconds: float) -> bool:
        """See `client.Peer`."""
        waiting = {uuid.uuid4().hex for _ in range(jobs)}
        for run in waiting:
            self._call(start_stage(run, 1, n))
        for notice in self._listening.notifies(timeout=seconds):
            waiting.discard(notice.payload)
            if not waiting:
                return True
        return False

    def enqueue(self) -> None:
        """See `client.Peer`."""
        self._call(no_op.defer_async(run="", stage=0, task=0))

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


async def _open() -> None:
    global own  # tasks are functions, and have nowhere else to find it
    own = AsyncConnectionPool(URL, min_size=2, max_size=CONCURRENCY, open=False, kwargs={"autocommit": True})
    await own.open()
    await app.open_async()


async def _setup() -> None:
    await _open()
    assert own is not None
    await app.schema_manager.apply_schema_async()
    async with own.connection() as connection:
        await connection.execute(TABLES)
        # What `enqueue` counts against: a stage that never fills.
        await connection.execute("INSERT INTO stages VALUES ('', 0, 2000000000)")


async def _work() -> None:
    await _open()
    await app.run_worker_async(concurrency=CONCURRENCY)


def main(arguments: list[str]) -> None:
    """`setup`, `worker` or `client`."""
    if arguments[0] == "setup":
        asyncio.run(_setup())
    elif arguments[0] == "worker":
        asyncio.run(_work())
    else:
        serve(ProcrastinatePeer())


if __name__ == "__main__":
    # The name of a task holds the name of its module, which must be the same in every process.
    import procrastinate_app

    procrastinate_app.main(sys.argv[1:])
