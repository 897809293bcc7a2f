"""Installing pgstac into a real database, bringing an older one up to date, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from pypgstac.migrate import get_sql

from interfaces.catalog import CatalogRefused
from interfaces.settings import Settings
from local.stack.postgres import PostgresServer
from repositories.database import Database
from repositories.pgstac_administration import PgstacAdministration
from repositories.pgstac_schema import PgstacSchema, library_version

COLLECTION = {"id": "kept", "type": "Collection", "stac_version": "1.0.0", "links": [], "license": "other"}
ITEM = {
    "id": "one",
    "type": "Feature",
    "collection": "kept",
    "geometry": {"type": "Point", "coordinates": [1, 2]},
    "properties": {"datetime": "2026-01-02T03:04:05Z"},
    "assets": {},
    "links": [],
}


@pytest.fixture
def schema(empty_database_url: str) -> Iterator[PgstacSchema]:
    """pgstac's schema in a database without any extension."""
    yield from opened(empty_database_url)


def opened(url: str) -> Iterator[PgstacSchema]:
    database = Database(Settings(database_url=SecretStr(url)))
    yield PgstacSchema(database)
    database.close()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_without_postgis_it_says_which_statement_is_missing(schema: PgstacSchema) -> None:
    with pytest.raises(CatalogRefused, match="CREATE EXTENSION postgis"):
        schema.migrate()
    assert schema.state().installed is None


def test_postgis_in_a_schema_where_pgstac_does_not_look_is_refused(
    schema: PgstacSchema, empty_database_url: str
) -> None:
    execute(empty_database_url, "CREATE SCHEMA elsewhere", "CREATE EXTENSION postgis SCHEMA elsewhere")
    with pytest.raises(CatalogRefused, match="schema elsewhere"):
        schema.migrate()


def test_it_is_installed_once_and_found_up_to_date_from_then_on(
    schema: PgstacSchema, empty_database_url: str
) -> None:
    execute(empty_database_url, "CREATE EXTENSION postgis")
    first = schema.migrate()
    assert (first.before, first.after) == (None, library_version())
    assert len(first.applied) == 1
    state = schema.state()
    assert state.ready
    assert None not in state.extensions.values()
    assert set(state.roles.values()) == {True}
    again = schema.migrate()
    assert (again.before, again.after, again.applied) == (library_version(), library_version(), [])


def test_an_older_catalog_is_brought_up_to_date_and_keeps_its_items(
    schema: PgstacSchema, empty_database_url: str
) -> None:
    execute(empty_database_url, "CREATE EXTENSION postgis", get_sql("pgstac.0.9.0.sql"))
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("SET search_path = pgstac, public")
        connection.execute("SELECT create_collection(%s)", [psycopg.types.json.Jsonb(COLLECTION)])
        connection.execute("SELECT create_item(%s)", [psycopg.types.json.Jsonb(ITEM)])
    done = schema.migrate()
    assert (done.before, done.after) == ("0.9.0", library_version())
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("SET search_path = pgstac, public")
        found = connection.execute("""SELECT search('{"ids": ["one"]}')""").fetchone()
        assert found is not None
        assert [item["properties"] for item in found[0]["features"]] == [ITEM["properties"]]
        queued = connection.execute("SELECT count(*) FROM query_queue").fetchone()
        assert queued == (0,)


def test_what_is_left_in_pgstacs_queue_is_worked_off_also_where_nothing_is_migrated(
    schema: PgstacSchema, empty_database_url: str
) -> None:
    execute(empty_database_url, "CREATE EXTENSION postgis")
    schema.migrate()
    execute(empty_database_url, "INSERT INTO pgstac.query_queue (query) VALUES ('SELECT 1')")
    schema.migrate()
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM pgstac.query_queue").fetchone() == (0,)
        done = connection.execute("SELECT query, error FROM pgstac.query_queue_history").fetchall()
    assert done == [("SELECT 1", None)]


@pytest.mark.parametrize("version", ["99.0.0", "0.10.1"])
def test_a_catalog_newer_than_the_library_is_left_alone(
    version: str, schema: PgstacSchema, empty_database_url: str
) -> None:
    execute(empty_database_url, "CREATE EXTENSION postgis")
    schema.migrate()
    execute(empty_database_url, f"INSERT INTO pgstac.migrations (version) VALUES ('{version}')")
    with pytest.raises(CatalogRefused, match=f"{version} is newer than {library_version()}"):
        schema.migrate()
    assert schema.state().installed == version


def test_a_version_that_no_release_had_is_refused(schema: PgstacSchema, empty_database_url: str) -> None:
    execute(empty_database_url, "CREATE EXTENSION postgis")
    schema.migrate()
    execute(empty_database_url, "INSERT INTO pgstac.migrations (version) VALUES ('unreleased')")
    with pytest.raises(CatalogRefused, match="unreleased, which is no release"):
        schema.migrate()


def test_two_that_install_at_once_install_it_once(schema: PgstacSchema, empty_database_url: str) -> None:
    execute(empty_database_url, "CREATE EXTENSION postgis")
    with ThreadPoolExecutor(2) as threads:
        done = [future.result() for future in [threads.submit(schema.migrate) for _ in range(2)]]
    assert sorted(len(one.applied) for one in done) == [0, 1]


def test_an_installation_leaves_the_connection_as_it_was(empty_database_url: str) -> None:
    execute(empty_database_url, "CREATE EXTENSION postgis")
    database = Database(Settings(database_url=SecretStr(empty_database_url), database_pool_size=1))
    asked = "SELECT current_user AS name, current_setting('search_path') AS path"
    try:
        with database.connection() as connection:
            before, process = connection.execute(asked).fetchone(), connection.info.backend_pid
        PgstacSchema(database).migrate()
        with database.connection() as connection:
            assert connection.info.backend_pid == process
            assert connection.execute(asked).fetchone() == before
    finally:
        database.close()


class TestWithoutSuperuser:
    """The app's user in Azure: it may make roles and schemas, or it is told what it lacks."""

    @pytest.fixture
    def url(self, postgres_server: PostgresServer, empty_database_url: str) -> Iterator[str]:
        """The database, as a user who may only connect."""
        name = f"app_{uuid.uuid4().hex[:8]}"
        execute(empty_database_url, "CREATE EXTENSION postgis", f"CREATE ROLE {name} LOGIN PASSWORD 'app'")
        parts = urlsplit(empty_database_url)
        yield urlunsplit(parts._replace(netloc=f"{name}:app@{parts.netloc.rpartition('@')[2]}"))
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))

    def grant(self, empty_database_url: str, url: str, *, roles: bool, schemas: bool) -> None:
        user = urlsplit(url).username
        database = urlsplit(url).path[1:]
        if roles:
            execute(empty_database_url, f"ALTER ROLE {user} CREATEROLE")
        if schemas:
            execute(empty_database_url, f"GRANT CREATE ON DATABASE {database} TO {user}")

    def test_createrole_and_create_on_the_database_are_enough(
        self, url: str, empty_database_url: str
    ) -> None:
        self.grant(empty_database_url, url, roles=True, schemas=True)
        for schema in opened(url):
            assert schema.migrate().after == library_version()
            assert schema.migrate().applied == []

    @pytest.mark.parametrize(
        ("roles", "schemas", "reason"),
        [(False, True, "CREATEROLE"), (True, False, "GRANT CREATE ON DATABASE")],
    )
    def test_what_it_lacks_is_named_before_anything_is_done(
        self, roles: bool, schemas: bool, reason: str, url: str, empty_database_url: str
    ) -> None:
        self.grant(empty_database_url, url, roles=roles, schemas=schemas)
        for schema in opened(url):
            with pytest.raises(CatalogRefused, match=reason):
                schema.migrate()


def test_trials_of_set_ups_at_once_all_succeed(catalog_database_url: str) -> None:
    database = Database(Settings(database_url=SecretStr(catalog_database_url)))

    def verified(_: int) -> int:
        return PgstacAdministration(database).verify()["collections"]

    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(verified, range(12))) == [0] * 12
    finally:
        database.close()


def test_a_set_up_that_others_get_in_the_way_of_is_tried_again(catalog_database_url: str) -> None:
    with psycopg.connect(catalog_database_url, autocommit=True) as connection:
        connection.execute("SET search_path = pgstac, public")
        connection.execute("CREATE SEQUENCE failures; GRANT ALL ON SEQUENCE failures TO PUBLIC")
        connection.execute(
            "CREATE FUNCTION vanished() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF nextval('pgstac.failures') <= 2 THEN RAISE undefined_table; END IF; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER vanished BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION vanished()"
        )
    database = Database(Settings(database_url=SecretStr(catalog_database_url)))
    try:
        assert PgstacAdministration(database).verify()["collections"] == 0
    finally:
        database.close()
