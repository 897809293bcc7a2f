"""stac_setup, from a database without pgstac to a catalog that works, and again."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import psycopg

from repositories.pgstac_schema import library_version
from tests.fix_engine import World

MakeWorld = Callable[..., World]


def test_a_database_without_pgstac_gets_a_catalog_that_works(world: World) -> None:
    job = world.run(world.submit("stac_setup").job_id)
    assert job["status"] == "completed", job["error"]
    result = job["result"]
    assert (result["version_before"], result["version_after"]) == (None, library_version())
    assert result["collections"] == 0
    assert world.violations() == {}
    # The trial left nothing.
    assert world.rows("SELECT * FROM pgstac.collections") == []
    assert world.rows("SELECT * FROM pgstac.items") == []


def test_set_up_again_it_changes_nothing(world: World) -> None:
    first = world.run(world.submit("stac_setup").job_id)
    world.rows(
        "INSERT INTO pgstac.collections (content) VALUES"
        """ ('{"type": "Collection", "id": "kept", "links": [], "description": ""}')""",
        fetch=False,
    )
    again = world.run(world.engine.rerun(first["job_id"], correlation_id="test").job_id)
    assert again["status"] == "completed", again["error"]
    assert again["result"]["version_before"] == again["result"]["version_after"] == library_version()
    assert (again["result"]["migrations"], again["result"]["changed"]) == ([], [])
    assert again["result"]["collections"] == 1


def test_settings_and_grants_are_made_once(world: World) -> None:
    name = f"reader_{uuid.uuid4().hex[:8]}"
    world.rows(f"CREATE ROLE {name}", fetch=False)
    try:
        given = {"settings": {"context": "auto", "additional_properties": False}, "readers": [name]}
        job = world.run(world.submit("stac_setup", **given).job_id)
        assert job["status"] == "completed", job["error"]
        assert sorted(job["result"]["changed"]) == ["additional_properties", "context"]
        assert job["result"]["granted"] == [f"pgstac_read to {name}"]
        assert job["result"]["settings"]["context"] == "auto"
        again = world.run(world.engine.rerun(job["job_id"], correlation_id="test").job_id)
        assert (again["result"]["changed"], again["result"]["granted"]) == ([], [])
    finally:
        world.rows(f"DROP OWNED BY {name}; DROP ROLE {name}", fetch=False)


def test_a_role_that_does_not_exist_fails_the_job_by_name(world: World) -> None:
    job = world.run(world.submit("stac_setup", writers=["nobody_of_this_name"]).job_id)
    assert job["status"] == "failed"
    assert "no role 'nobody_of_this_name'" in job["error"]


def test_without_postgis_the_job_fails_with_the_statement_that_is_missing(
    make_world: MakeWorld, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP EXTENSION postgis CASCADE")
    world = make_world()
    job = world.run(world.submit("stac_setup").job_id)
    assert job["status"] == "failed"
    assert "CREATE EXTENSION postgis" in job["error"]


def test_a_catalog_newer_than_the_release_fails_the_job_and_stays(world: World) -> None:
    first = world.run(world.submit("stac_setup").job_id)
    world.rows("INSERT INTO pgstac.migrations (version) VALUES ('99.0.0')", fetch=False)
    job = world.run(world.engine.rerun(first["job_id"], correlation_id="test").job_id)
    assert job["status"] == "failed"
    assert "99.0.0 is newer" in job["error"]
    assert world.tasks(job["job_id"])[-1]["attempt"] == 1
