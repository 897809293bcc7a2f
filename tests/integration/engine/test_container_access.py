"""Containers are checked when jobs are submitted, by whatever way, and again when their work is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from interfaces.errors import InvalidParameters, InvalidRequest
from interfaces.follow_ups import NewSchedule, Then
from interfaces.marks import marked_fields
from tests.fix_engine import World

MakeWorld = Callable[..., World]
SOURCES = [
    "list_container",
    "summarize_container",
    "validate_raster",
    "raster_to_cog",
    "reproject_raster",
    "mosaic_to_cog",
    "stac_register",
    "validate_vector",
    "vector_to_postgis",
]
TARGETS = ["raster_to_cog", "reproject_raster", "mosaic_to_cog", "stac_export", "export_vector"]
OTHERS: dict[str, dict[str, Any]] = {
    "list_container": {},
    "summarize_container": {},
    "stac_register": {"prefix": "", "collection_id": "c"},
    "reproject_raster": {"prefix": "", "target_crs": "EPSG:3857"},
    "mosaic_to_cog": {"prefix": "", "target_name": "m.tif"},
    "stac_export": {"collections": ["c"], "format": "static"},
    "export_vector": {"source_table": "t", "format": "geopackage"},
}


def parameters(world: World, job_type: str, source: str, target: str) -> dict[str, Any]:
    """What this type takes, with these containers."""
    fields = world.job_types.get(job_type).parameters_model.model_fields
    given = {"container": source, "target_container": target}
    return {name: value for name, value in given.items() if name in fields} | OTHERS.get(
        job_type, {"prefix": ""}
    )


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    made = make_world(source_containers="bronze", target_containers="silver")
    for container in ("bronze", "silver", "gold", "job-results"):
        made.blobs.write(container, "a.txt", b"a")
    return made


@pytest.mark.parametrize("name", ["gold", "job-results", "job-scratch", "azure-webjobs-secrets"])
def test_every_job_type_refuses_containers_that_it_must_not_use(world: World, name: str) -> None:
    seen: set[tuple[str, str]] = set()
    for job_type in sorted({*SOURCES, *TARGETS}):
        world.engine.dry_run(job_type, parameters(world, job_type, "bronze", "silver"))
        for field, asked in (("container", (name, "silver")), ("target_container", ("bronze", name))):
            given = parameters(world, job_type, *asked)
            if given.get(field) != name:
                continue
            for ask in (world.engine.dry_run, lambda t, p: world.submit(t, **p)):
                with pytest.raises(InvalidParameters) as caught:
                    ask(job_type, given)
                assert [error.field for error in caught.value.errors] == [field]
            seen.add((job_type, field))
    assert seen == {(t, "container") for t in SOURCES} | {(t, "target_container") for t in TARGETS}
    assert not world.rows("SELECT 1 FROM app.jobs")


def test_what_follows_a_job_and_what_the_clock_submits_are_refused_alike(world: World) -> None:
    then = Then.model_validate({"job_type": "list_container", "parameters": {"container": "gold"}})
    with pytest.raises(InvalidRequest, match=r"then\.parameters\.container: gold is not"):
        world.engine.submit("hello_world", {}, correlation_id="test", then=then)
    for parameters in ({"container": "gold"}, {"container": {"$join": ["gold"]}}):
        new = {"name": "nightly", "cron": "0 5 * * *", "job_type": "list_container", "parameters": parameters}
        with pytest.raises(InvalidRequest, match=r"parameters\.container: gold is not"):
            world.engine.schedules.create(NewSchedule.model_validate(new))


def test_a_name_that_is_filled_in_later_is_checked_then(world: World) -> None:
    then = Then.model_validate(
        {"job_type": "list_container", "parameters": {"container": {"$from": "/result/container"}}}
    )
    first = world.engine.submit("list_container", {"container": "bronze"}, correlation_id="t", then=then)
    world.run(first.job_id)
    # As if a job could be made to answer with a container of somebody's choice.
    world.rows('UPDATE app.jobs SET result = \'{"container": "job-results"}\'', fetch=False)
    world.engine.follow_up()
    [follower] = world.rows("SELECT state, error FROM app.followers")
    assert follower["state"] == "failed"
    assert "container: job-results is this app's own container" in follower["error"]
    assert len(world.rows("SELECT 1 FROM app.jobs")) == 1


def tightened(world: World, make_world: MakeWorld) -> World:
    """The same app after its settings have changed."""
    other = make_world(source_containers="gold", target_containers="gold")
    other.blobs.__dict__.update(world.blobs.__dict__)
    other.queues.__dict__.update(world.queues.__dict__)
    return other


def test_a_job_that_waits_when_its_container_is_closed_is_not_planned(
    world: World, make_world: MakeWorld
) -> None:
    job = world.submit("list_container", container="bronze")
    ended = tightened(world, make_world).run(job.job_id)
    assert ended["status"] == "failed"
    assert "parameters.container: bronze is not one of the containers that source_containers allows" in str(
        ended["error"]
    )


def test_tasks_of_old_jobs_do_not_run_in_containers_that_were_closed(
    world: World, make_world: MakeWorld
) -> None:
    job = world.submit("list_container", container="bronze")
    world.deliver(world.queues.receive(world.settings.jobs_queue), world.settings.jobs_queue)  # type: ignore[arg-type]
    assert world.job(job.job_id)["status"] == "processing"
    closed = tightened(world, make_world)
    assert closed.run(job.job_id)["status"] == "failed"
    errors = {str(task["error"]) for task in closed.tasks(job.job_id)}
    assert errors == {"container: bronze is not one of the containers that source_containers allows"}
    assert closed.tasks(job.job_id)[0]["attempt"] == 1
    # Nor when they are asked for again.
    closed.engine.retry(job.job_id, correlation_id="again")
    assert closed.run(job.job_id)["status"] == "failed"
    with pytest.raises(InvalidParameters):
        closed.engine.rerun(job.job_id, correlation_id="again")
    # Where it is open again, they do.
    world.engine.retry(job.job_id, correlation_id="again")
    assert world.run(job.job_id)["status"] == "completed"


def test_every_container_and_role_in_parameters_of_jobs_and_tasks_is_marked(world: World) -> None:
    """A new workflow that forgets the mark would be open to all containers, or to all roles."""
    models: list[type[BaseModel]] = [controller.parameters_model for controller in world.job_types.all()]
    models += [definition.parameters_model for definition in world.task_types._definitions.values()]
    unmarked = [
        f"{model.__name__}.{field}"
        for model in models
        for field in set(model.model_fields) - {field for field, _ in marked_fields(model)}
        if field.endswith("container") or field in ("readers", "writers")
    ]
    assert not unmarked
