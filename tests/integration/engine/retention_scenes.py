"""Old jobs, made by running them and setting their times back; and what is left of them."""

from __future__ import annotations

from typing import Any

from engine.retention import Retention
from interfaces.blobs import BlobRepository
from interfaces.plans import StageDefinition, Tasks, TasksFromItems
from interfaces.states import FailurePolicy
from repositories.retention import RetentionRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

LARGE = 2000
"""Results of so many characters are too large for a row here."""
TABLES = ("jobs", "past_runs", "stages", "stage_counters", "tasks", "stage_items", "job_events", "outbox")


def survey(world: World) -> None:
    """A workflow that discovers items, has results in blob storage, and fails a task now and then."""

    def find(p: dict[str, Any], context: Any) -> dict[str, Any]:
        context.discover({"i": i} for i in range(3))
        if p.get("fails") and context.attempt == 1:
            raise OSError("lost the connection")
        return {"found": 3}

    def measure(p: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"text": "x" * LARGE}

    def plan(stage: int, p: Any, previous: Any) -> Any:
        fails = p.label.startswith("fails")
        return Tasks([{"fails": fails} for _ in range(p.n)]) if stage == 1 else TasksFromItems()

    stages = [
        StageDefinition("find", "find", FailurePolicy.CONTINUE),
        StageDefinition("measure", "measure"),
    ]
    world.register(
        ScriptedJob("survey", stages, plan), task_type("find", find), task_type("measure", measure)
    )


def done(world: World, **parameters: Any) -> str:
    """A survey that ended now; answers its id."""
    job_id = world.submit("survey", **parameters).job_id
    assert world.run(job_id)["status"] == "completed"
    return job_id


def age(world: World, job_id: str, days: float) -> None:
    """As if all that happened to the job had happened so many days earlier."""
    for table, columns in (
        ("jobs", ("created_at", "queued_at", "started_at", "updated_at", "completed_at")),
        ("past_runs", ("queued_at", "started_at", "completed_at")),
        ("stages", ("created_at", "completed_at")),
        ("tasks", ("started_at", "completed_at", "due_at")),
        ("job_events", ("at",)),
        ("poison_messages", ("recorded_at",)),
    ):
        earlier = ", ".join(f"{column} = {column} - make_interval(secs => %s)" for column in columns)
        seconds = [days * 86_400.0] * len(columns)
        world.rows(f"UPDATE app.{table} SET {earlier} WHERE job_id = %s", *seconds, job_id, fetch=False)


def old(world: World, days: float = 100, **parameters: Any) -> str:
    """A survey that ended so many days ago; answers its id."""
    job_id = done(world, **parameters)
    age(world, job_id, days)
    return job_id


def left(world: World, job_id: str) -> dict[str, int]:
    """The rows of each table that speak of the job, and its blobs; those that are none are left out."""
    counts = {
        table: world.rows(f"SELECT count(*) AS n FROM app.{table} WHERE job_id = %s", job_id)[0]["n"]
        for table in TABLES
    }
    counts["blobs"] = sum(name.startswith(job_id) for _, name in world.blobs.blobs)
    return {table: n for table, n in counts.items() if n}


def retention(
    world: World, repository: RetentionRepository | None = None, blobs: BlobRepository | None = None
) -> Retention:
    """Retention on other ports than the app's."""
    return Retention(
        world.settings, repository or RetentionRepository(world.databases[0]), blobs or world.blobs
    )
