"""Who may do what in the database: the app works without changing its schema, readers see no secret."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interfaces.errors import MigrationError
from repositories.migrations import drop, migrate
from repositories.schema import Schema
from repositories.sql_files import queries
from tests.doubles.memory_blobs import MemoryBlobs
from tests.fix_engine import World
from tests.fix_pgbouncer import pgbouncer
from tests.integration.stac.items import collection, item

from .role_offices import PASSWORD, REFUSED, Office, let_in, make, named, remove

LINES = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": f"line {n}"},
            "geometry": {"type": "LineString", "coordinates": [[n, y] for y in range(20)]},
        }
        for n in range(5)
    ],
}


@pytest.fixture(scope="module")
def office(postgres_server: Any, catalog_template: str) -> Iterator[Office]:
    """A database with pgstac that a superuser made before there were roles."""
    url = postgres_server.create_database(f"office_{uuid.uuid4().hex[:8]}", catalog_template)
    names = named()
    with psycopg.connect(url, autocommit=True) as admin:
        assert make(url, names) == [names.owner, names.app, names.reader]
        let_in(admin, names.owner, names.app, names.reader)
        yield Office(url, names)
        remove(admin, names.owner, names.app, names.reader)
    postgres_server.drop_database(url.rpartition("/")[2])


@pytest.fixture(scope="module")
def worked(office: Office) -> Iterator[World]:
    """After jobs of several types, which the app ran as its own role."""
    blobs = MemoryBlobs()
    world = World(office.as_(office.names.app), storage=blobs)
    for container in ("bronze", world.settings.scratch_container):
        blobs.ensure_container(container)
    blobs.write("bronze", "lines.geojson", json.dumps(LINES).encode())
    blobs.write("bronze", "stac/collection.json", json.dumps(collection()).encode())
    blobs.write("bronze", "stac/item.json", json.dumps(item(1)).encode())
    world.engine.limits.set("task", "hello_greeting", 3)
    jobs: list[tuple[str, dict[str, Any]]] = [
        ("hello_world", {"n": 7}),
        ("list_container", {"container": "bronze"}),
        ("stac_setup", {}),
        ("stac_register", {"container": "bronze", "prefix": "stac/", "kind": "documents"}),
    ]
    for job_type, parameters in jobs:
        job = world.run(world.submit(job_type, **parameters).job_id, 60)
        assert job["status"] == "completed", (job_type, job["error"], world.tasks(job["job_id"]))
    for if_exists in ("fail", "append", "replace"):
        load = {"container": "bronze", "blob": "lines.geojson", "if_exists": if_exists}
        job = world.run(world.submit("vector_to_postgis", **load, subdivide=8).job_id, 60)
        assert job["status"] == "completed", (if_exists, job["error"], world.tasks(job["job_id"]))
    world.engine.retention.run()
    assert world.violations() == {}
    yield world
    world.close()


def test_the_app_works_as_a_role_that_does_not_own_its_schema(worked: World, office: Office) -> None:
    [found] = worked.rows(
        "SELECT current_user AS me, pg_has_role(current_user, %s, 'MEMBER') AS owns", office.names.owner
    )
    assert found == {"me": office.names.app, "owns": False}
    owners = {
        row["owner"]
        for row in worked.rows(
            "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class"
            " WHERE relnamespace::regnamespace::text IN ('app', 'geo') AND relkind IN ('r', 'v', 'S')"
            " UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'app'::regnamespace"
        )
    }
    assert owners == {office.names.owner}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE app.more ()",
        "CREATE FUNCTION app.more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION app.lock_job(p_job_id text) RETURNS void LANGUAGE sql AS ''",
        "ALTER TABLE app.jobs ADD COLUMN more int",
        "CREATE INDEX more ON app.jobs (run)",
        "CREATE TRIGGER more BEFORE INSERT ON app.jobs EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP TABLE app.jobs",
        "DROP VIEW app.invariant_1_stalled_job",
        "DROP SCHEMA app CASCADE",
        "TRUNCATE app.jobs",
        "INSERT INTO app.schema_migrations VALUES ('migrations/9999_more.sql', '')",
        "CREATE TABLE geo.more ()",
        "DROP TABLE geo.layers",
        "CREATE SCHEMA more",
        "CREATE TABLE public.more ()",
        "CREATE ROLE more",
        "UPDATE audit.actions SET name = 'somebody else'",
        "TRUNCATE audit.actions",
        "DROP TABLE audit.actions",
    ],
)
def test_the_app_may_not_change_what_it_works_with(office: Office, statement: str) -> None:
    with office.connect(office.names.app) as app, pytest.raises(REFUSED):
        app.execute(statement.encode())


def test_a_load_that_the_role_could_not_publish_fails_before_it_begins(worked: World, office: Office) -> None:
    with office.connect() as admin:
        admin.execute("CREATE SCHEMA closed; CREATE TABLE features.theirs ()")
        admin.execute(
            f'CREATE TABLE features.given (); GRANT INSERT ON features.given TO "{office.names.app}"'
        )
    app = office.names.app
    for schema, table, if_exists, reason in (
        ("closed", "t", "fail", f"the database role {app} may not make tables in the schema closed"),
        ("nowhere", "t", "fail", f"there is no schema nowhere, and the database role {app} may not make it"),
        ("features", "theirs", "replace", f"features.theirs: it is not the database role {app}'s to replace"),
        ("features", "theirs", "append", f"features.theirs: the database role {app} may not add rows to it"),
    ):
        target = {"target_schema": schema, "target_table": table, "if_exists": if_exists}
        load = {"container": "bronze", "blob": "lines.geojson", **target}
        job = worked.run(worked.submit("vector_to_postgis", **load).job_id, 30)
        errors = [task["error"] for task in worked.tasks(job["job_id"]) if task["error"]]
        assert job["status"] == "failed"
        assert reason in errors[0]
    worked.tables.check_target("features", "given", "append", 4326)
    worked.tables.check_target("more layers", "t", "fail", 4326)


def test_a_reader_sees_jobs_layers_and_the_catalog_and_changes_nothing(worked: World, office: Office) -> None:
    with office.connect(office.names.reader) as reader:
        for query in (
            "SELECT job_type, status, parameters, result FROM app.jobs",
            "SELECT * FROM app.tasks",
            "SELECT * FROM app.job_events",
            "SELECT * FROM app.stage_progress",
            "SELECT * FROM app.totals",
            "SELECT name FROM features.lines",
            "SELECT part FROM features.lines_parts",
            "SELECT target_table FROM geo.layers",
            "SELECT id FROM pgstac.items",
        ):
            assert reader.execute(query.encode()).fetchall(), query
        views = reader.execute("SELECT viewname FROM pg_views WHERE viewname LIKE 'invariant%'").fetchall()
        assert len(views) == 12
        for view in views:
            reader.execute(f"SELECT count(*) FROM app.{view['viewname']}".encode())
        # What a session says of itself keeps nobody from writing; what it may, does.
        reader.execute("SET default_transaction_read_only = off")
        for statement in (
            "UPDATE app.jobs SET status = 'cancelled'",
            "DELETE FROM app.tasks",
            "INSERT INTO app.concurrency_limits VALUES ('job:x', 0)",
            "SELECT app.cancel_job(job_id) FROM app.jobs",
            "SELECT nextval('app.fences')",
            "DELETE FROM features.lines",
            "CREATE TABLE app.more ()",
            "CREATE TABLE features.more ()",
            "SELECT * FROM geo_staging.anything",
        ):
            with pytest.raises(REFUSED):
                reader.execute(statement.encode())


SECRETS = {
    "subscriptions": {"secret", "url"},
    "run_subscribers": {"url"},
    "callbacks": {"url"},
    "followers": {"request"},
    "schedules": {"callback_url", "follower"},
    "poison_messages": {"raw"},
    "invariant_9_untold_end": {"url"},
    "invariant_10_neglected_callback": {"url"},
}
"""Columns by their tables and views."""
NO_SECRETS = {"stage_key", "key", "parts_vertices"}
"""Names of columns that sound like it."""


def test_a_reader_sees_no_secret(office: Office) -> None:
    with office.connect(office.names.reader) as reader:
        columns = reader.execute(
            "SELECT c.relname, a.attname, has_column_privilege(c.oid, a.attnum, 'SELECT') AS seen"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped"
            " WHERE c.relnamespace::regnamespace::text IN ('app', 'geo') AND c.relkind IN ('r', 'v')"
        ).fetchall()
        assert len(columns) > 200
        hidden: dict[str, set[str]] = {}
        for column in columns:
            if not column["seen"]:
                hidden.setdefault(column["relname"], set()).add(column["attname"])
        assert hidden == SECRETS
        suspicious = ("secret", "password", "token", "url", "uri", "key", "raw", "credential", "signature")
        for column in columns:
            if column["attname"] not in NO_SECRETS and any(word in column["attname"] for word in suspicious):
                assert not column["seen"], column
        for table in SECRETS:
            with pytest.raises(REFUSED):
                reader.execute(f"SELECT * FROM app.{table}".encode())
        with pytest.raises(REFUSED):
            reader.execute("SELECT * FROM audit.actions")


def test_sessions_are_bounded_whoever_opens_them(office: Office) -> None:
    asked = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "search_path")
    expected = {
        office.names.owner: ("0", "0", "0", "pg_catalog, pg_temp"),
        office.names.app: ("10min", "4min", "10min", "pg_catalog, public, pg_temp"),
        office.names.reader: ("1min", "5s", "1min", "pg_catalog, public, pg_temp"),
    }
    for role, values in expected.items():
        with office.connect(role) as connection:
            found = tuple(
                connection.execute("SELECT current_setting(%s) AS v", [name]).fetchall()[0]["v"]
                for name in asked
            )
        assert found == values, role


def test_they_are_bounded_behind_pgbouncer_too(office: Office, server_folder: Path) -> None:
    with pgbouncer(office.as_(office.names.app), server_folder) as url, psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT current_user, current_setting('statement_timeout'), current_setting('lock_timeout')"
        ).fetchone()
    assert found == (office.names.app, "10min", "4min")


def test_only_the_owner_and_its_members_migrate_and_the_others_are_told_who_does(office: Office) -> None:
    names = office.names
    for role in (names.app, names.reader):
        with (
            office.connect(role) as connection,
            pytest.raises(MigrationError, match=f"owner {names.owner} alone"),
        ):
            migrate(connection)
    member = f"member_{uuid.uuid4().hex[:8]}"
    with office.connect() as admin:
        admin.execute(f"CREATE ROLE {member} LOGIN PASSWORD '{PASSWORD}' IN ROLE \"{names.owner}\"")
        with office.connect(member) as connection, connection.transaction(force_rollback=True):
            # Made anew as by the first migration of all: with the same owner, and what each role may do.
            drop(connection)
            migrate(connection)
            [found] = connection.execute(
                "SELECT pg_get_userbyid(relowner) AS owner, has_table_privilege(%s, c.oid, 'INSERT') AS app,"
                " has_column_privilege(%s, c.oid, 'job_type', 'SELECT') AS reader,"
                " has_function_privilege(%s, 'app.lock_job(text)', 'EXECUTE') AS reader_acts,"
                " has_schema_privilege(%s, 'geo_staging', 'CREATE') AS app_loads"
                " FROM pg_class c WHERE c.oid = 'app.jobs'::regclass",
                [names.app, names.reader, names.reader, names.app],
            ).fetchall()
        admin.execute(f"DROP ROLE {member}")
    assert found == {
        "owner": names.owner,
        "app": True,
        "reader": True,
        "reader_acts": False,
        "app_loads": True,
    }


def test_the_schema_is_changed_on_the_owners_connection_and_looked_at_on_the_apps(office: Office) -> None:
    app, owner = office.database(office.names.app), office.database(office.names.owner)
    assert Schema(app).pending() == []
    with pytest.raises(MigrationError):
        Schema(app, patience=1).migrate()
    assert Schema(app, owner, patience=1).migrate() == {"dropped": [], "made": []}
    app.close()
    owner.close()


def test_made_again_they_stay_as_they_are(office: Office, worked: World) -> None:
    def everything(admin: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
        return admin.execute(
            "SELECT oid::regclass::text AS name, relacl::text AS acl, relowner FROM pg_class"
            " WHERE relnamespace::regnamespace::text IN ('app', 'geo', 'features', 'geo_staging')"
            " UNION ALL SELECT nspname, nspacl::text, nspowner FROM pg_namespace"
            " UNION ALL SELECT oid::regprocedure::text, proacl::text, proowner FROM pg_proc"
            " WHERE pronamespace = 'app'::regnamespace"
            " UNION ALL SELECT setrole::text, setconfig::text, setrole FROM pg_db_role_setting"
            " UNION ALL SELECT defaclobjtype::text, defaclacl::text, defaclrole FROM pg_default_acl"
            " ORDER BY 1, 2"
        ).fetchall()

    with office.connect() as admin:
        before = everything(admin)
        assert make(office.url, office.names) == []
        assert everything(admin) == before


def test_every_function_finds_what_it_names_whatever_the_search_path_is(office: Office) -> None:
    """They act as whoever calls them: none lends its owner's rights, so none can be made to misuse them."""
    with office.connect() as admin:
        lending = admin.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'app'::regnamespace AND prosecdef"
        ).fetchall()
        assert lending == []
        admin.execute("SET search_path = pg_temp")
        for query in queries("function_calls").values():
            with admin.transaction(force_rollback=True):
                admin.execute(query, {"job_id": "f" * 64})
