"""What the API reads: large stages, keyset pages, and the indexes that keep them cheap."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from interfaces.errors import InvalidRequest, JobNotFound
from interfaces.settings import Settings
from repositories.database import Database
from repositories.inspection import Inspection
from repositories.results import Results, StageScope
from repositories.sql_files import queries

JOB = "ab" * 32
TASKS = 50_000
Connection = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connected:
        yield connected


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(Settings(database_url=SecretStr(database_url)))
    yield opened
    opened.close()


@pytest.fixture
def large_stage(connection: Connection) -> str:
    """A running job whose second stage has 50,000 tasks: 40 failed, 9,960 queued, the others completed."""
    connection.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, status, stage, started_at)"
        " VALUES (%s, 'hello_world', '{}', 2, 'processing', 2, now())",
        [JOB],
    )
    connection.execute(
        "INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size,"
        " on_failure, max_attempts) VALUES (%s, 1, 2, 'reply', 'hello_reply', %s, 100, 'continue', 4)",
        [JOB, TASKS],
    )
    connection.execute(
        """
        INSERT INTO app.tasks (job_id, run, stage, task_index, status, parameters, attempt,
                               result, error, completed_at)
        SELECT %s, 1, 2, g, s::app.task_status, '{}', 1,
               CASE s WHEN 'completed' THEN jsonb_build_object('number', g, 'key' || g %% 7, g) END,
               CASE s WHEN 'failed' THEN 'no luck' END, CASE WHEN s <> 'queued' THEN now() END
        FROM generate_series(0, %s) AS g,
             LATERAL (SELECT CASE WHEN g >= 40040 THEN 'queued' WHEN g %% 1001 = 7 THEN 'failed'
                                  ELSE 'completed' END AS s) AS states
        """,
        [JOB, TASKS - 1],
    )
    connection.execute("VACUUM ANALYZE app.tasks")
    connection.execute("ANALYZE app.jobs")
    return JOB


def plan(connection: Connection, query: str, **parameters: object) -> str:
    """How PostgreSQL would run a query, as the app sends it: unprepared, the values known."""
    text = "EXPLAIN " + queries("inspection")[query]
    return "\n".join(row["QUERY PLAN"] for row in connection.execute(text, parameters, prepare=False))


def test_a_stage_of_fifty_thousand_tasks_is_read_whole_in_order(database: Database, large_stage: str) -> None:
    results = Results(database)
    scope = results.scope(large_stage, run=None, stage=None, statuses=[])
    indexes = [row["task_index"] for row in results.rows(scope, after=None, limit=None)]
    assert (scope.stage, indexes) == (2, list(range(TASKS)))


def test_pages_of_any_size_hold_each_row_once(database: Database, large_stage: str) -> None:
    results = Results(database)
    scope = results.scope(large_stage, run=None, stage=2, statuses=["failed"])
    for limit in (1, 7, 39, 40, 41):
        found: list[Any] = []
        after = None
        while True:
            rows, after = results.page(scope, after=after, limit=limit)
            found += [row["task_index"] for row in rows]
            if after is None:
                break
        assert found == sorted(set(found))
        assert len(found) == 40


def test_the_keys_of_all_results_are_found_or_found_to_be_too_many(
    database: Database, large_stage: str
) -> None:
    results = Results(database)
    scope = results.scope(large_stage, run=None, stage=2, statuses=[])
    assert results.keys(scope, 8) == [*(f"key{n}" for n in range(7)), "number"]
    assert results.keys(scope, 7) is None


def test_no_connection_is_held_between_the_pages_of_a_download(database: Database, large_stage: str) -> None:
    results = Results(database)
    scope = results.scope(large_stage, run=None, stage=2, statuses=[])
    downloads = [results.rows(scope, after=None, limit=None) for _ in range(20)]
    assert [next(download)["task_index"] for download in downloads] == [0] * 20
    done = threading.Event()

    def look() -> None:
        Inspection(database).job_status(large_stage)
        done.set()

    threading.Thread(target=look, daemon=True).start()
    assert done.wait(5)


def test_a_scope_that_the_job_cannot_have_is_refused(database: Database, large_stage: str) -> None:
    results = Results(database)
    for run, stage, field in ((2, None, "run"), (None, 3, "stage")):
        with pytest.raises(InvalidRequest) as caught:
            results.scope(large_stage, run=run, stage=stage, statuses=[])
        assert caught.value.errors[0].field == field
    with pytest.raises(JobNotFound):
        results.scope("0" * 64, run=None, stage=None, statuses=[])
    assert results.page(StageScope(large_stage, 1, 1), after=None, limit=10) == ([], None)


def test_percent_counts_every_stage_alike_and_rounds_down(
    database: Database, connection: Connection, large_stage: str
) -> None:
    connection.execute(
        "INSERT INTO app.stage_counters (job_id, run, stage, slot, queued, completed, failed)"
        " VALUES (%s, 1, 2, 0, 0, 49998, 1), (%s, 1, 2, 1, 1, 0, 0)",
        [JOB, JOB],
    )
    document: Any = Inspection(database).progress(large_stage)
    assert document["stages"][0]["progress"]["percent"] == 99.9
    # Its first stage has no row here, as if it were still to be planned.
    assert document["progress"]["percent"] == 49.9
    assert document["progress"]["total"] == TASKS


def test_the_next_page_of_results_is_found_by_the_primary_key(
    connection: Connection, large_stage: str
) -> None:
    how = plan(
        connection,
        "results",
        job_id=JOB,
        run=1,
        stage=2,
        after_index=44_000,
        statuses=None,
        limit=100,
        max_bytes=10**7,
    )
    assert "tasks_pkey" in how
    assert "Seq Scan" not in how
    assert "task_index > 44000" in how


def test_failed_tasks_are_found_by_their_own_index(connection: Connection, large_stage: str) -> None:
    how = plan(
        connection,
        "results",
        job_id=JOB,
        run=1,
        stage=2,
        after_index=-1,
        statuses="{failed}",
        limit=100,
        max_bytes=10**7,
    )
    assert "tasks_failed" in how


def test_a_page_deep_in_a_job_starts_where_the_last_one_ended(
    connection: Connection, large_stage: str
) -> None:
    filters = {"statuses": None, "task_type": None, "stage": None, "hours": None, "limit": 100}
    one = plan(connection, "job_tasks", job_id=JOB, run=1, after_stage=2, after_index=44_000, **filters)
    every = plan(
        connection,
        "tasks",
        after_at="2100-01-01T00:00:00+00:00",
        after_job_id=JOB,
        after_stage=2,
        after_index=44_000,
        **filters,
    )
    for how in (one, every):
        assert "tasks_pkey" in how
        assert "Seq Scan on tasks" not in how
        assert any("Index Cond" in line and "task_index" in line for line in how.splitlines())


def test_the_newest_jobs_are_found_by_their_index(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, created_at)"
        " SELECT md5(g::text) || md5(g::text), 'hello_world', '{}', 2, now() - make_interval(secs => g)"
        " FROM generate_series(1, 5000) AS g"
    )
    connection.execute("ANALYZE app.jobs")
    how = plan(
        connection,
        "jobs",
        statuses=None,
        job_type=None,
        stage=None,
        hours=None,
        search=None,
        contains=None,
        name=None,
        value=None,
        after_at="2020-01-01T00:00:00+00:00",
        after_job_id=JOB,
        limit=100,
    )
    assert "jobs_newest" in how
    assert "Seq Scan" not in how


def test_jobs_are_found_by_words_with_their_index_also_before_there_are_statistics(
    connection: Connection,
) -> None:
    connection.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, created_at)"
        " SELECT md5(g::text) || md5(g::text), 'raster_to_cog', jsonb_build_object('container', 'bronze',"
        " 'day', g % 150, 'names', jsonb_build_array('survey/2024/tile_' || g || '.tif')), 2,"
        " now() - make_interval(secs => g) FROM generate_series(1, 3000) AS g"
    )
    filters = {"statuses": None, "job_type": None, "stage": None, "hours": None, "limit": 100}
    nothing = {"contains": None, "name": None, "value": None, "after_at": None, "after_job_id": None}
    for _ in ("no statistics", "statistics"):
        for search in ("tile_2999", "2999", "a36e841c", "survey 2999"):
            how = plan(connection, "jobs", search=search, **filters, **nothing)
            assert "Bitmap Index Scan on jobs_words" in how, how
        # What every job has is found sooner by reading on from the newest.
        connection.execute("ANALYZE app.jobs")
    assert "jobs_newest" in plan(connection, "jobs", search="bronze", **filters, **nothing)


def test_of_large_parameters_the_beginning_is_searched_and_all_of_them_are_looked_through(
    database: Database, connection: Connection
) -> None:
    names = [f"tile{n:05d}" for n in range(5000)]
    connection.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages) VALUES (%s, 'x', %s, 1)",
        [JOB, Jsonb({"a": ["n" * 5000], "names": names})],
    )

    def found(search: str | None = None, contains: str | None = None) -> int:
        page, _ = Inspection(database).jobs(
            statuses=[],
            job_type=None,
            stage=None,
            hours=None,
            search=search,
            contains=contains,
            after=None,
            limit=1,
        )
        return len(page)

    assert (found(search="tile00007"), found(search="n" * 150), found(search="tile04999")) == (1, 1, 0)
    assert (found(contains="le04999"), found(contains="n" * 200)) == (1, 1)


def test_jobs_made_at_the_same_instant_are_paged_without_loss(
    database: Database, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, created_at)"
        " SELECT md5(g::text) || md5(g::text), 'hello_world', '{}', 2, '2026-01-01T00:00:00.123456Z'"
        " FROM generate_series(1, 25) AS g"
    )
    inspection, found, after = Inspection(database), [], None
    while True:
        rows, after = inspection.jobs(
            statuses=[], job_type=None, stage=None, hours=None, after=after, limit=4
        )
        found += [row["job_id"] for row in rows]
        if after is None:
            break
    assert len(found) == len(set(found)) == 25


def test_every_named_query_is_accepted_by_the_server(database_url: str) -> None:
    """A column that a migration renames must not wait for the first request to be noticed."""
    named = {name: text for file in ("inspection", "diagnostics") for name, text in queries(file).items()}
    with psycopg.connect(database_url) as connection:
        for name, text in named.items():
            cursor = psycopg.ClientCursor(connection)
            values: dict[str, object] = {
                key: None if key in ("statuses", "after_at", "hours", "job_type", "task_type") else 1
                for key in _names(text)
            }
            values |= {key: JOB for key in ("job_id", "after_job_id") if key in values}
            assert cursor.execute(text, values).description, name


def _names(text: str) -> set[str]:
    return {part.split(")s", 1)[0] for part in text.split("%(")[1:]}
