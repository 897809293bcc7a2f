"""Loading and publishing on a real database, by attempts that die or lose their task at every step."""

from __future__ import annotations

import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import shapely

from interfaces.errors import LeaseLost, PermanentTaskError, TaskCancelled
from interfaces.layers import ChunkCounts, Rejected
from interfaces.vectors import IfExists
from repositories import feature_tables, table_publishing
from repositories.connection import Connection
from services.vector.publishing import AbandonedStaging

from .yard import JOB, POINT, Killed, Yard, batch


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are large, however few rows they have: their keys are made by sessions of their own."""
    monkeypatch.setattr(table_publishing, "MANY_FEATURES", 0)


def test_a_chunk_is_there_whole_or_not_at_all(yard: Yard) -> None:
    staging = yard.stage()
    owner = yard.attempt()
    with suppress(Killed), yard.tables.loading(staging, owner, 0) as writer:
        writer.write(batch([(POINT, 1), (POINT, 2)]))
        writer.reject([Rejected("t.gpkg", "t", "7", "is bad", None)])
        raise Killed
    assert yard.count(f"geo_staging.{staging}") == yard.count("geo.rejected_features") == 0
    assert yard.locks() == 0


def test_an_attempt_that_lost_its_task_loads_nothing(yard: Yard) -> None:
    staging = yard.stage()
    lost = yard.attempt(1)
    yard.attempt(2)
    with pytest.raises(LeaseLost):
        yard.load(staging, lost, [1])
    assert yard.count(f"geo_staging.{staging}") == 0


def test_what_an_attempt_loaded_that_died_before_it_said_so_is_replaced(yard: Yard) -> None:
    staging = yard.stage()
    yard.load(staging, yard.attempt(1), [1, 2])
    yard.load(staging, yard.attempt(2), [3, 4])
    assert yard.values(f"geo_staging.{staging}") == [3, 4]
    assert yard.count("geo.rejected_features") == 1


def test_an_attempt_that_lost_its_task_makes_no_staging_table(yard: Yard) -> None:
    yard.stage()
    owner = replace(yard.attempt(5, stage=3), fence=4)
    with pytest.raises(LeaseLost):
        yard.tables.stage(yard.tables.plan(yard.staged()[0]), owner)
    assert len(yard.staged()) == 1


@pytest.mark.parametrize("if_exists", ["replace", "append"])
def test_a_publisher_that_dies_before_any_statement_leaves_all_as_it_was(
    yard: Yard, if_exists: IfExists, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = yard.stage(features=3)
    yard.tables.publish(first, yard.attempt(stage=5), yard.load(first, yard.attempt(), [1, 2]))
    staging = yard.stage(if_exists, features=2)
    counts = yard.load(staging, yard.attempt(), [9])
    execute = Connection.execute
    left = 0

    def dying(connection: Connection, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return execute(connection, *arguments, **options)

    steps = 0
    while True:
        left = steps
        owner = yard.attempt(10 + steps, stage=5)
        with monkeypatch.context() as patched, suppress(Killed):
            patched.setattr(Connection, "execute", dying)
            [done] = yard.tables.publish(staging, owner, counts)
            break
        assert yard.values("features.t") == [1, 2], steps
        assert yard.staged() == [staging]
        assert yard.locks() == 0
        steps += 1
    assert steps > 12
    assert yard.values("features.t") == ([9] if if_exists == "replace" else [1, 2, 9])
    assert done.rows == yard.count("features.t")
    assert yard.staged() == []


def test_a_publication_whose_answer_was_lost_is_not_made_twice(yard: Yard) -> None:
    first = yard.stage(features=3)
    yard.tables.publish(first, yard.attempt(stage=5), yard.load(first, yard.attempt(), [1, 2]))
    staging = yard.stage("append", features=2)
    counts = yard.load(staging, yard.attempt(), [9])
    done = yard.tables.publish(staging, yard.attempt(2, stage=5), counts)
    assert yard.tables.publish(staging, yard.attempt(3, stage=5), counts) == done
    assert yard.values("features.t") == [1, 2, 9]


def test_a_publisher_that_lost_its_task_publishes_nothing(yard: Yard) -> None:
    staging = yard.stage(features=3)
    counts = yard.load(staging, yard.attempt(), [1, 2])
    lost = yard.attempt(1, stage=5)
    yard.attempt(2, stage=5)
    with pytest.raises(LeaseLost):
        yard.tables.publish(staging, lost, counts)
    assert yard.staged() == [staging]
    assert yard.count("geo.layers") == 0


def test_a_job_that_is_cancelled_while_it_publishes_leaves_the_target_as_it_was(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.admin.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status)"
        " VALUES (%s, 'vector_to_postgis', '{}', 5, 'processing')",
        (JOB,),
    )
    first = yard.stage(features=3)
    yard.tables.publish(first, yard.attempt(stage=5), yard.load(first, yard.attempt(), [1, 2]))
    staging = yard.stage("append", features=2)
    counts = yard.load(staging, yard.attempt(), [9])
    execute = Connection.execute

    def cancelled(connection: Connection, query: Any, *arguments: Any, **options: Any) -> Any:
        if "INSERT INTO geo.layer_loads" in str(query):
            yard.admin.execute("UPDATE app.jobs SET status = 'cancelling'")
        return execute(connection, query, *arguments, **options)

    owner = yard.attempt(2, stage=5)
    monkeypatch.setattr(Connection, "execute", cancelled)
    with pytest.raises(TaskCancelled, match="nothing was published"):
        yard.tables.publish(staging, owner, counts)
    monkeypatch.undo()
    assert (yard.values("features.t"), yard.staged()) == ([1, 2], [staging])


def test_nothing_is_published_of_which_a_part_is_missing_or_miscounted(yard: Yard) -> None:
    staging = yard.stage(chunks=2, features=6)
    counts = yard.load(staging, yard.attempt(), [1, 2])
    with pytest.raises(PermanentTaskError, match="1 of 2 chunks failed: nothing is published"):
        yard.tables.publish(staging, yard.attempt(stage=5), counts)
    counts |= yard.load(staging, yard.attempt(), [3, 4], chunk=1)
    yard.admin.execute(f"DELETE FROM geo_staging.{staging} WHERE n = 3")
    miscounted = {**counts, 1: ChunkCounts(read=4, loaded=3, rejected=1)}
    with pytest.raises(PermanentTaskError, match="4 rows in 2 chunks are noted, and the tasks loaded 5 rows"):
        yard.tables.publish(staging, yard.attempt(stage=5), miscounted)
    with pytest.raises(PermanentTaskError, match="has 3 rows, and the tasks loaded 4: nothing is"):
        yard.tables.publish(staging, yard.attempt(stage=5), counts)


def test_readers_see_the_old_table_until_the_new_one_is_there(yard: Yard, database_url: str) -> None:
    first = yard.stage(features=3)
    yard.tables.publish(first, yard.attempt(stage=5), yard.load(first, yard.attempt(), [1, 2]))
    staging = yard.stage("replace", features=2)
    with psycopg.connect(database_url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # Loading and preparing do not wait for readers.
        assert reader.execute("SELECT count(*) FROM features.t").fetchone() == (2,)
        counts = yard.load(staging, yard.attempt(), [9])
        assert reader.execute("SELECT count(*) FROM features.t").fetchone() == (2,)
    yard.tables.publish(staging, yard.attempt(2, stage=5), counts)
    assert yard.values("features.t") == [9]


def test_while_a_load_waits_for_one_reader_others_read_on(yard: Yard, database_url: str) -> None:
    first = yard.stage(features=2)
    yard.tables.publish(first, yard.attempt(stage=5), yard.load(first, yard.attempt(), [1]))
    staging = yard.stage("replace", features=2)
    counts = yard.load(staging, yard.attempt(), [9])
    waiting = "SELECT 1 FROM pg_locks WHERE relation = 'features.t'::regclass AND NOT granted"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM features.t")
        published = pool.submit(yard.tables.publish, staging, yard.attempt(2, stage=5), counts)
        while not yard.admin.execute(waiting).fetchall():
            assert not published.done()
            time.sleep(0.01)
        # It queues behind the load, which gives way.
        yard.admin.execute("SET statement_timeout = '4s'")
        assert yard.values("features.t") == [1]
        reader.rollback()
        published.result()
    assert yard.values("features.t") == [9]


def test_staging_tables_of_runs_that_ended_are_dropped(yard: Yard) -> None:
    staging = yard.stage()
    yard.load(staging, yard.attempt(), [1])
    yard.admin.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status)"
        " VALUES (%s, 'vector_to_postgis', '{}', 5, 'processing')",
        (JOB,),
    )
    sweep = AbandonedStaging(yard.tables)
    yard.admin.execute("UPDATE geo.staging_tables SET created_at = now() - interval '1 hour'")
    assert sweep.clean(timedelta(seconds=60), lambda: None) == 0
    yard.admin.execute(
        "UPDATE app.jobs SET status = 'failed', error = 'x', completed_at = now() - interval '1 hour'"
    )
    assert sweep.clean(timedelta(hours=2), lambda: None) == 0
    assert sweep.clean(timedelta(seconds=60), lambda: None) == 1
    assert yard.staged() == []
    # What was rejected stays as long as the run.
    assert yard.count("geo.rejected_features") == 1
    yard.admin.execute("DELETE FROM app.jobs")
    assert sweep.clean(timedelta(seconds=60), lambda: None) == 1
    assert yard.count("geo.rejected_features") == 0


def test_rows_go_through_one_copy_until_something_else_is_asked_of_the_connection(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_tables, "HELD_FEATURES", 2)
    staging = yard.stage()
    owner = yard.attempt()
    arc = bytes.fromhex("010800000003000000") + struct.pack("<6d", 0, 0, 1, 1, 2, 0)
    bad = [Rejected("t.gpkg", "t", str(number), "is bad", POINT) for number in range(5)]
    with yard.tables.loading(staging, owner, 0) as writer:
        for number in range(3):
            writer.write(batch([(POINT, number)]))
            writer.reject(bad[number : number + 1])
        [line] = writer.linearise([arc], 4)
        writer.write(batch([(POINT, 3)]))
        writer.reject(bad[3:])
        writer.write(batch([(None, 4)]))
    assert shapely.from_wkb(line).geom_type == "LineString"
    assert yard.values(f"geo_staging.{staging}") == [0, 1, 2, 3, 4]
    rejected = yard.admin.execute("SELECT feature_id FROM geo.rejected_features ORDER BY 1").fetchall()
    assert [row["feature_id"] for row in rejected] == ["0", "1", "2", "3", "4"]
    noted = yard.admin.execute("SELECT loaded, rejected FROM geo.staging_chunks").fetchall()
    assert noted == [{"loaded": 5, "rejected": 5}]


def test_data_that_postgresql_refuses_fails_with_its_words(yard: Yard) -> None:
    staging = yard.stage()
    owner = yard.attempt()
    line = shapely.to_wkb(shapely.set_srid(shapely.LineString([(0, 0), (1, 1)]), 4326), include_srid=True)
    with (
        pytest.raises(PermanentTaskError, match=r"PostgreSQL refuses the data: Geometry type \(LineString\)"),
        yard.tables.loading(staging, owner, 0) as writer,
    ):
        writer.write(batch([(line, 1)]))
