"""stac_setup, from a database without pgstac to a catalog that works, and again."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import psycopg
import pytest

from interfaces.errors import InvalidParameters
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


@pytest.fixture
def role() -> str:
    """A name that no role has yet: roles are the whole server's."""
    return f"reader_{uuid.uuid4().hex[:8]}"


def test_settings_and_grants_are_made_once(make_world: MakeWorld, role: str) -> None:
    world = make_world(stac_grantable_roles=f"another, {role}")
    world.rows(f"CREATE ROLE {role}", fetch=False)
    try:
        given = {"settings": {"context": "auto", "additional_properties": False}, "readers": [role]}
        job = world.run(world.submit("stac_setup", **given).job_id)
        assert job["status"] == "completed", job["error"]
        assert sorted(job["result"]["changed"]) == ["additional_properties", "context"]
        assert job["result"]["granted"] == [f"pgstac_read to {role}"]
        assert job["result"]["settings"]["context"] == "auto"
        again = world.run(world.engine.rerun(job["job_id"], correlation_id="test").job_id)
        assert (again["result"]["changed"], again["result"]["granted"]) == ([], [])
    finally:
        world.rows(f"DROP OWNED BY {role}; DROP ROLE {role}", fetch=False)


def test_a_role_that_does_not_exist_fails_the_job_by_name(make_world: MakeWorld) -> None:
    world = make_world(stac_grantable_roles="nobody_of_this_name")
    job = world.run(world.submit("stac_setup", writers=["nobody_of_this_name"]).job_id)
    assert job["status"] == "failed"
    assert "no role 'nobody_of_this_name'" in job["error"]


def test_by_default_nobody_is_given_the_catalog_and_nothing_is_queued(world: World) -> None:
    for given in ({"readers": ["postgres"]}, {"writers": ["postgres"]}):
        [field] = given
        for ask in (world.engine.dry_run, lambda job_type, asked: world.submit(job_type, **asked)):
            with pytest.raises(InvalidParameters) as caught:
                ask("stac_setup", given)
            assert [error.field for error in caught.value.errors] == [f"{field}.0"]
            assert "postgres is not one of the database roles" in caught.value.detail
    assert not world.rows("SELECT 1 FROM app.jobs")


@pytest.mark.parametrize(("planned", "place"), [(False, "parameters.writers.0"), (True, "writers.0")])
def test_a_role_that_was_taken_from_the_list_meanwhile_is_given_nothing(
    make_world: MakeWorld, role: str, planned: bool, place: str
) -> None:
    """Neither by a job that waits to be planned, nor by a task that waits to be run."""
    listed, unlisted = make_world(stac_grantable_roles=role), make_world()
    listed.rows(f"CREATE ROLE {role}", fetch=False)
    try:
        job_id = listed.submit("stac_setup", writers=[role]).job_id
        while planned and not listed.tasks(job_id, 2):
            for queue in (listed.settings.jobs_queue, listed.settings.tasks_queue):
                if not listed.tasks(job_id, 2) and (message := listed.queues.receive(queue)):
                    listed.deliver(message, queue)
        unlisted.queues.__dict__.update(listed.queues.__dict__)
        job = unlisted.run(job_id)
        assert job["status"] == "failed"
        assert f"{place}: {role} is not one of the database roles that stac_grantable_roles" in job["error"]
        # Once it is listed again, the job can be retried.
        listed.engine.retry(job_id, correlation_id="again")
        assert listed.run(job_id)["result"]["granted"] == [f"pgstac_ingest to {role}"]
    finally:
        listed.rows(f"DROP OWNED BY {role}; DROP ROLE {role}", fetch=False)


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
