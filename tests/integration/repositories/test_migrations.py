"""The schema is the same however a database came to it, and a migration happens whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from interfaces.errors import MigrationError
from local.stack.postgres import PostgresServer
from repositories import migrations
from repositories.migrations import build_indexes, drop, migrate, pending
from repositories.sql_files import ROOT
from tests.fix_stack import CHECKOUT

CATALOG = {
    "relations": """
        SELECT relname, relkind::text, relpersistence::text, reloptions, relacl::text,
               obj_description(oid, 'pg_class') AS comment
        FROM pg_class WHERE relnamespace::regnamespace::text IN ('app', 'geo') AND relkind <> 'i'
        ORDER BY 1""",
    "columns": """
        SELECT c.relname, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) AS place, a.attname,
               format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attidentity::text,
               a.attgenerated::text, a.attcollation::regcollation::text AS collation,
               pg_get_expr(d.adbin, d.adrelid) AS value
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum)
        WHERE c.relnamespace::regnamespace::text IN ('app', 'geo') AND c.relkind IN ('r', 'v', 'p')
        ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text AS relation, conname, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE connamespace::regnamespace::text IN ('app', 'geo') ORDER BY 1, 2""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname IN ('app', 'geo')
        ORDER BY 1, 2""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'app' ORDER BY 1",
    "functions": """
        SELECT oid::regprocedure::text AS signature, pg_get_functiondef(oid) AS definition
        FROM pg_proc WHERE pronamespace = 'app'::regnamespace ORDER BY 1""",
    "enums": """
        SELECT enumtypid::regtype::text AS type, array_agg(enumlabel::text ORDER BY enumsortorder) AS labels
        FROM pg_enum GROUP BY 1 ORDER BY 1""",
    "sequences": """
        SELECT sequencename, data_type::text, start_value, increment_by, cache_size
        FROM pg_sequences WHERE schemaname = 'app' ORDER BY 1""",
    "triggers": """
        SELECT tgrelid::regclass::text AS relation, tgname, pg_get_triggerdef(oid) AS definition
        FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2""",
    "extensions": "SELECT extname FROM pg_extension ORDER BY 1",
    "history": "SELECT name, sha256 FROM app.schema_migrations ORDER BY 1",
}
FIRST = "0001_core.sql"
FOLDERS = ("migrations", "functions", "views", "comments")


def connect(url: str) -> psycopg.Connection[dict[str, Any]]:
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)


def catalog(connection: psycopg.Connection[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """All that the schema is made of."""
    if not connection.execute("SELECT to_regnamespace('app') AS there").fetchall()[0]["there"]:
        return {}
    return {name: connection.execute(query).fetchall() for name, query in CATALOG.items()}


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A database with nothing in it, not even PostGIS."""
    with connect(empty_database_url) as connection:
        yield connection


@pytest.fixture
def fresh(postgres_server: PostgresServer) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """Another one, to compare with."""
    name = "compared"
    with connect(postgres_server.create_database(name)) as connection:
        yield connection
    postgres_server.drop_database(name)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SQL of a release that a test writes: at first, that of this one."""
    folder = tmp_path / "sql"
    shutil.copytree(ROOT, folder)
    monkeypatch.setattr(migrations, "ROOT", folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.sql"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_new_database_has_every_file_applied_in_order(connection: Any) -> None:
    expected = [f"{folder}/{name}" for folder in FOLDERS for name in names(ROOT / folder)]
    assert pending(connection) == expected
    assert migrate(connection) == expected
    assert pending(connection) == []


def test_migrating_again_changes_nothing(connection: Any) -> None:
    migrate(connection)
    before = catalog(connection)
    times = connection.execute("SELECT * FROM app.schema_migrations ORDER BY name").fetchall()
    assert migrate(connection) == []
    assert catalog(connection) == before
    assert connection.execute("SELECT * FROM app.schema_migrations ORDER BY name").fetchall() == times


def test_no_extension_is_needed(connection: Any) -> None:
    migrate(connection)
    assert catalog(connection)["extensions"] == [{"extname": "plpgsql"}]


def test_a_database_migrated_step_by_step_equals_a_fresh_one(
    connection: Any, fresh: Any, release: Path
) -> None:
    later = release.parent / "later"
    for folder in FOLDERS:
        (release / folder).rename(later.with_name(f"later-{folder}"))
        (release / folder).mkdir()
    for folder in FOLDERS:
        kept = later.with_name(f"later-{folder}")
        for name in names(kept):
            shutil.copy(kept / name, release / folder / name)
            assert migrate(connection)[0] == f"{folder}/{name}"
    migrate(fresh)
    assert catalog(connection) == catalog(fresh)
    assert len(catalog(connection)["functions"]) > 20


def test_a_database_of_an_older_release_becomes_equal_to_a_fresh_one(
    connection: Any, fresh: Any, release: Path
) -> None:
    # The older release: no later migrations nor what needs their columns, other function bodies, another
    # view, one function less.
    current = release.parent / "current"
    shutil.copytree(release, current)
    for name in names(release / "migrations"):
        if name != FIRST:
            (release / "migrations" / name).unlink()
    for name in ("18_callbacks.sql", "19_follow_ups.sql", "32_planners.sql"):
        (release / "functions" / name).unlink()
    (release / "views" / "follow_ups.sql").unlink()
    edit(release / "functions" / "50_outbox.sql", "604800", "3600")
    edit(release / "functions" / "40_tasks.sql", "interval '1 second'", "interval '3 seconds'")
    edit(release / "views" / "invariants.sql", "interval '5 seconds'", "interval '9 seconds'")
    for name in ("70_poison.sql", "90_cogs.sql", "91_layers.sql"):
        (release / "functions" / name).unlink()
    for name in names(release / "comments"):
        (release / "comments" / name).unlink()
    migrate(connection)
    job = "0" * 64
    connection.execute(
        "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages) VALUES (%s, 'kept', '{}', 1)",
        [job],
    )

    for folder in FOLDERS:
        shutil.rmtree(release / folder)
        shutil.copytree(current / folder, release / folder)
    done = migrate(connection)
    assert {
        "functions/40_tasks.sql",
        "functions/50_outbox.sql",
        "functions/70_poison.sql",
        "views/invariants.sql",
    } <= set(done)
    assert "functions/10_events.sql" not in done
    migrate(fresh)
    assert catalog(connection) == catalog(fresh)
    [row] = connection.execute("SELECT job_id, job_type, status FROM app.jobs").fetchall()
    assert row == {"job_id": job, "job_type": "kept", "status": "queued"}


def test_a_later_migration_makes_an_old_database_equal_to_a_fresh_one(
    connection: Any, fresh: Any, release: Path
) -> None:
    migrate(connection)
    (release / "migrations" / "9000_priority.sql").write_text(
        "ALTER TABLE app.jobs ADD COLUMN priority smallint NOT NULL DEFAULT 0 CHECK (priority >= 0);\n"
        "CREATE INDEX jobs_by_priority ON app.jobs (priority) WHERE status = 'queued';\n"
        "ALTER TABLE app.outbox ALTER COLUMN sends TYPE integer;\n"
    )
    (release / "functions" / "90_priority.sql").write_text(
        "CREATE OR REPLACE FUNCTION app.priority_of(p_job_id text) RETURNS smallint LANGUAGE sql AS\n"
        "$$ SELECT priority FROM app.jobs WHERE job_id = p_job_id $$;\n"
    )
    (release / "views" / "priority.sql").write_text(
        "CREATE VIEW app.first_jobs AS SELECT * FROM app.jobs ORDER BY priority DESC;\n"
    )
    assert migrate(connection) == [
        "migrations/9000_priority.sql",
        "functions/90_priority.sql",
        "views/priority.sql",
    ]
    migrate(fresh)
    assert catalog(connection) == catalog(fresh)


def test_the_functions_that_the_previous_release_calls_stay(connection: Any, release: Path) -> None:
    migrate(connection)
    edit(
        release / "functions" / "10_events.sql",
        "FUNCTION app.lock_job(p_job_id text)",
        "FUNCTION app.lock_job(p_job_id text, p_run integer)",
    )
    assert migrate(connection) == ["functions/10_events.sql"]
    signatures = {row["signature"] for row in catalog(connection)["functions"]}
    assert {"app.lock_job(text)", "app.lock_job(text,integer)"} <= signatures


def test_an_applied_migration_that_was_edited_is_refused_by_name(connection: Any, release: Path) -> None:
    migrate(connection)
    before = catalog(connection)
    with (release / "migrations" / FIRST).open("a") as file:
        file.write("\n-- one more thing\n")
    with pytest.raises(
        MigrationError, match=f"migrations/{FIRST} was changed after it was applied; add a new migration"
    ):
        migrate(connection)
    assert catalog(connection) == before


def test_a_database_ahead_of_the_files_is_refused_by_name(connection: Any, release: Path) -> None:
    newer = release / "migrations" / "9000_newer.sql"
    newer.write_text("CREATE TABLE app.newer ();")
    migrate(connection)
    newer.unlink()
    edit(release / "functions" / "50_outbox.sql", "604800", "3600")
    before = catalog(connection)
    with pytest.raises(MigrationError, match=r"the database has migrations/9000_newer\.sql.*it is older"):
        migrate(connection)
    assert catalog(connection) == before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("migrations/9000_broken.sql", "CREATE TABLE app.half (); SELECT 1 / 0;"),
        ("functions/99_broken.sql", "CREATE FUNCTION app.half() RETURNS int LANGUAGE sql AS $$ SELECT x $$;"),
        ("views/z_broken.sql", "CREATE VIEW app.half AS SELECT * FROM app.no_such_table;"),
    ],
)
def test_a_failure_in_the_middle_leaves_nothing(
    connection: Any, fresh: Any, release: Path, file: str, text: str
) -> None:
    migrate(connection)
    before = catalog(connection)
    (release / "migrations" / "8000_fine.sql").write_text("CREATE TABLE app.fine ();")
    (release / file).write_text(text)
    for database, expected in ((connection, before), (fresh, {})):
        with pytest.raises(MigrationError, match=file):
            migrate(database)
        assert catalog(database) == expected
    (release / file).unlink()
    assert migrate(connection) == ["migrations/8000_fine.sql"]


def test_five_migrators_at_once_do_the_work_of_one(empty_database_url: str, fresh: Any) -> None:
    ready = threading.Barrier(5)

    def run(_: int) -> list[str]:
        with connect(empty_database_url) as own:
            ready.wait(10)
            return migrate(own)

    with ThreadPoolExecutor(5) as pool:
        done = sorted(pool.map(run, range(5)), key=len)
    assert done[:4] == [[]] * 4
    assert done[4] == migrate(fresh)
    with connect(empty_database_url) as own:
        assert catalog(own) == catalog(fresh)


def indexes(connection: Any) -> dict[str, bool]:
    """Those of the table of jobs, and whether they are of use."""
    rows = connection.execute(
        "SELECT indexrelid::regclass::text AS name, indisvalid AS valid FROM pg_index"
        " WHERE indrelid = 'app.jobs'::regclass"
    ).fetchall()
    return {row["name"].removeprefix("app."): row["valid"] for row in rows}


def test_large_tables_are_indexed_after_the_migration_and_once(connection: Any) -> None:
    migrate(connection)
    assert "jobs_parameters" not in indexes(connection)
    assert build_indexes(connection) == ["indexes/jobs_parameters.sql", "indexes/jobs_words.sql"]
    assert indexes(connection)["jobs_parameters"]
    assert build_indexes(connection) == []


def test_an_index_whose_builder_died_is_built_anew(connection: Any) -> None:
    migrate(connection)
    build_indexes(connection)
    connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.jobs_parameters'::regclass"
    )
    assert build_indexes(connection) == ["indexes/jobs_parameters.sql"]
    assert indexes(connection)["jobs_parameters"]


def test_jobs_are_submitted_while_their_index_is_built(connection: Any, empty_database_url: str) -> None:
    migrate(connection)
    insert = "INSERT INTO app.jobs (job_id, job_type, parameters, total_stages) VALUES (%s, 'x', '{}', 1)"
    with connect(empty_database_url) as slow, connect(empty_database_url) as own:
        # What began before keeps the builder waiting, and nobody who comes later.
        slow.execute("BEGIN")
        slow.execute(insert, ["a" * 64])
        with ThreadPoolExecutor(1) as pool:
            building = pool.submit(build_indexes, own)
            while not connection.execute("SELECT 1 FROM pg_stat_progress_create_index").fetchall():
                assert not building.done()
            connection.execute("SET lock_timeout = '5s'")
            connection.execute(insert, ["b" * 64])
            assert build_indexes(connection) == []
            assert not building.done()
            slow.execute("COMMIT")
            assert building.result(30) == ["indexes/jobs_parameters.sql", "indexes/jobs_words.sql"]
    assert indexes(connection)["jobs_parameters"]


def test_dropping_lists_what_it_drops_and_leaves_nothing(connection: Any, fresh: Any) -> None:
    migrate(connection)
    connection.execute("CREATE TABLE public.not_ours (); CREATE TABLE geo.not_ours_either ()")
    dropped = drop(connection)
    assert catalog(connection) == {}
    assert {"table jobs", "table outbox", "view invariant_1_stalled_job", "type job_status"} <= set(dropped)
    assert {"function submit_job", "sequence fences", "table schema_migrations"} <= set(dropped)
    assert {"table cogs", "table cog_publications", "table layers", "table staging_tables"} <= set(dropped)
    assert "table not_ours_either" not in dropped
    left = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'geo'").fetchall()
    assert left == [{"tablename": "not_ours_either"}]
    connection.execute("DROP TABLE geo.not_ours_either")
    assert connection.execute("SELECT to_regclass('public.not_ours') AS there").fetchone()["there"]
    assert drop(connection) == []
    migrate(connection)
    migrate(fresh)
    assert catalog(connection) == catalog(fresh)


def command(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "repositories.migrations"],
        cwd=CHECKOUT,
        env={"DATABASE_URL": url, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_says_what_it_applied(empty_database_url: str) -> None:
    done = command(empty_database_url)
    assert done.returncode == 0, done.stderr
    assert f"applied migrations/{FIRST}\n" in done.stdout
    assert command(empty_database_url).stdout == "nothing to apply\n"


def test_the_command_line_asks_for_a_database() -> None:
    done = command("")
    assert done.returncode != 0
    assert done.stderr == "DATABASE_URL is not set\n"
