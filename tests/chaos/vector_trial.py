"""One load during which a worker dies, while somebody reads the target all the time."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import psycopg
from psycopg import sql

from tests.chaos.crash_harness import CrashHost
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.raster_shapes import clean_up
from tests.chaos.vector_crash_points import STAGED
from tests.chaos.vector_shapes import OLD, READ, numbers, staged, table_of

LOOK_EVERY_SECONDS = 0.02


def trial(host: CrashHost, point: CrashPoint) -> dict[str, object]:
    """Let a worker die there, and check all that must hold then; answers figures."""
    label = uuid.uuid4().hex[:12]
    kind = READ.get(point.shape, "")
    began = time.monotonic()
    with reading(host.app.database_url, table_of(label, kind)) as seen:
        job_id, died = host.trial(point.shape, point.steps, label)
        ended = time.monotonic()
        left = len(staged(host))
        host.rows("UPDATE geo.staging_tables SET created_at = created_at - interval '1 hour' RETURNING 1")
        clean_up(host, job_id)
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
    now = len(numbers(host, label, kind))
    assert len(seen) > 1
    # There was something to clean up.
    assert left or point.then != STAGED
    # Never a part of a table, never none, never the old one again.
    assert [count for count, _ in groupby(seen)] in ([len(OLD), now], [len(OLD)], [now])
    assert seen[-1] == now
    assert staged(host) == []
    assert host.rows("SELECT * FROM geo.staging_tables") == []
    assert host.app.violations() == 0
    return {"seconds": round(ended - began, 2), "reads": len(seen), "staging tables left": left}


@contextmanager
def reading(url: str, table: str) -> Iterator[list[int]]:
    """Count the target's rows over and over; the list of what was read, growing."""
    seen: list[int] = []
    over = threading.Event()
    failed: list[Exception] = []
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("features", table))

    def read() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not over.wait(LOOK_EVERY_SECONDS):
                try:
                    [(count,)] = connection.execute(query).fetchall()
                    seen.append(count)
                except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                    # Not there yet; once it is, it is never gone.
                    if seen:
                        raise

    def reader() -> None:
        try:
            read()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the test's result
            failed.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(30)
    assert failed == []
