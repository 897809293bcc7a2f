"""How the roles come to be: before there is a schema, afterwards, and by whom."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from repositories import roles
from repositories.migrations import migrate
from repositories.roles import RoleNames, RolesRefused

from .role_offices import PASSWORD, REFUSED, Office, let_in, make, named, remove


@pytest.fixture
def governed(empty_database_url: str) -> Iterator[Office]:
    """An empty database of an administrator who is no superuser, as in Azure."""
    names = named()
    chief = f"chief_{uuid.uuid4().hex[:8]}"
    database = empty_database_url.rpartition("/")[2]
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {chief} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        admin.execute(f"ALTER DATABASE {database} OWNER TO {chief}")
        yield Office(make_conninfo(empty_database_url, user=chief, password=PASSWORD), names)
        admin.execute(f"ALTER DATABASE {database} OWNER TO postgres")
        remove(admin, names.owner, names.app, names.reader, chief)


def test_an_administrator_who_is_no_superuser_makes_them_before_there_is_a_schema(governed: Office) -> None:
    names = governed.names
    with governed.connect() as chief:
        make(governed.url, names)
        let_in(chief, names.owner, names.app, names.reader)
    with governed.connect(names.owner) as owner:
        migrate(owner)
    with governed.connect(names.app) as app:
        app.execute("SELECT * FROM app.submit_job(repeat('a', 64), 'x', '{}', 1, '', false)")
        with pytest.raises(REFUSED):
            app.execute("ALTER TABLE app.jobs ADD COLUMN more int")
    with governed.connect(names.reader) as reader:
        assert reader.execute("SELECT job_type FROM app.jobs").fetchall() == [{"job_type": "x"}]
        with pytest.raises(REFUSED):
            reader.execute("SELECT secret FROM app.subscriptions")


def test_a_database_that_one_role_had_to_itself_is_shared_out(governed: Office) -> None:
    """The app's login made everything itself, as before there were roles; it stays the app."""
    names = governed.names
    with governed.connect() as chief:
        chief.execute(f"CREATE ROLE \"{names.app}\" LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        chief.execute(f'GRANT CREATE ON DATABASE {chief.info.dbname} TO "{names.app}"')
        with governed.connect(names.app) as alone:
            migrate(alone)
            alone.execute("CREATE SCHEMA features; CREATE TABLE features.t ()")
            alone.execute(
                "INSERT INTO geo.layers (target_schema, target_table, title, srid, geometry_column,"
                " geometry_type, key, columns, row_count, job_id, run)"
                " VALUES ('features', 't', 't', 4326, 'geom', 'Point', '[]', '[]', 0, 'j', 1)"
            )
        assert make(governed.url, names) == [names.owner, names.reader]
        let_in(chief, names.reader)
    with governed.connect(names.app) as app:
        app.execute("SELECT * FROM app.submit_job(repeat('a', 64), 'x', '{}', 1, '', false)")
        app.execute("ALTER TABLE features.t ADD COLUMN n int")
        for statement in (
            "ALTER TABLE app.jobs ADD COLUMN more int",
            "CREATE SCHEMA more",
            "CREATE ROLE more",
        ):
            with pytest.raises(REFUSED):
                app.execute(statement.encode())
    with governed.connect(names.reader) as reader:
        reader.execute("SELECT * FROM features.t")


def test_an_administrator_who_may_not_is_told_what_the_database_says(governed: Office) -> None:
    with governed.connect() as chief:
        make(governed.url, governed.names)
        let_in(chief, governed.names.app)
    with pytest.raises(RolesRefused, match="permission denied to create role"):
        make(governed.as_(governed.names.app), named())
    with pytest.raises(RolesRefused, match="must be three roles"):
        RoleNames("same", "same", "reader")


def test_a_role_that_could_do_everything_is_refused(governed: Office) -> None:
    names = governed.names
    make(governed.url, names)
    with pytest.raises(RolesRefused, match="postgres is a superuser, whom nothing is refused"):
        make(governed.url, replace(names, reader="postgres"))
    with governed.connect() as chief:
        chief.execute(f'GRANT "{names.owner}" TO "{names.app}"')
    with pytest.raises(RolesRefused, match=f"{names.app} is a member of {names.owner}, as whom"):
        make(governed.url, names)


def test_the_command_says_what_it_made(
    governed: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", governed.url)
    names = governed.names
    words = ["--owner", names.owner, "--app", names.app, "--reader", names.reader, "--layers", *names.layers]
    roles.main(words)
    made = [f"made {role}, which cannot log in yet" for role in (names.owner, names.app, names.reader)]
    duties = f"{names.owner} owns, {names.app} works, {names.reader} reads"
    assert capsys.readouterr().out.splitlines() == [*made, duties]
    roles.main(words)
    assert capsys.readouterr().out.splitlines() == [duties]
    monkeypatch.setenv("DATABASE_URL", "")
    with pytest.raises(SystemExit, match="DATABASE_URL is not set"):
        roles.main(words)
