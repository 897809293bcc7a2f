"""The release before this one, as far as the database sees it: its schema, its statements, its messages.

`release-N.tar.xz` is the folder `sql` of that release (docs/upgrading.md says how it is made).
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from repositories import migrations

ARCHIVE = Path(__file__).with_name("release-1.tar.xz")
Connection = psycopg.Connection[dict[str, Any]]


def unpack(folder: Path) -> Path:
    """Its folder `sql`."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "sql"


@contextmanager
def files_of(folder: Path) -> Iterator[None]:
    """Migrations are those of this folder meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "ROOT", folder)
        yield


def build(connection: Connection, folder: Path) -> None:
    """The schema as that release made it."""
    with files_of(folder):
        migrations.migrate(connection)
    # It counted no releases.
    connection.execute("DELETE FROM app.schema_migrations WHERE name LIKE 'release/%'")


def statements(folder: Path, file: str) -> dict[str, str]:
    """Its named queries of one file."""
    text = (folder / "queries" / f"{file}.sql").read_text()
    _, *parts = re.split(r"^-- name: *(\w+) *$", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


class OldWorker:
    """A worker of that release: its statements, in the order in which it sent them, for jobs of greetings."""

    def __init__(self, url: str, folder: Path) -> None:
        self.connection = psycopg.connect(url, autocommit=True, prepare_threshold=None, row_factory=dict_row)
        self._sql = statements(folder, "engine")

    def submit(self, job_id: str, n: int) -> None:
        parameters = {
            "n": n,
            "message": "Hello",
            "name": "world",
            "fail_fraction": 0.0,
            "sleep_seconds": 0.0,
            "canary": 0,
            "on_failure": "fail_job",
        }
        self.run(
            "submit_job",
            job_id=job_id,
            job_type="hello_world",
            parameters=json.dumps(parameters),
            total_stages=2,
            correlation_id="before",
            rerun=False,
        )

    def claim_plan(self, job_id: str) -> int:
        """Take up the planning of the first stage; its fence."""
        [plan] = self.run(
            "claim_plan",
            job_id=job_id,
            run=1,
            stage=1,
            worker="old",
            lease=timedelta(seconds=30),
            max_attempts=5,
        )
        return int(plan["plan_fence"])

    def fan_out(self, job_id: str, fence: int, n: int) -> None:
        """Insert the greetings, two a message."""
        place = {"job_id": job_id, "run": 1, "stage": 1}
        with self.connection.transaction():
            [begun] = self.run("begin_fan_out", **place, fence=fence, patience=timedelta(seconds=30))
            assert begun["begun"]
            with self.connection.cursor() as cursor, cursor.copy(self._sql["copy_tasks"].encode()) as copy:
                for index in range(n):
                    copy.write_row((job_id, 1, 1, index, json.dumps({"number": index + 1, "fail": False})))
            [sealed] = self.run(
                "seal_stage",
                **place,
                fence=fence,
                worker="old",
                stage_key="greet",
                task_type="hello_greeting",
                task_count=n,
                batch_size=2,
                parameters=json.dumps({"message": "Hello", "name": "world", "sleep_seconds": 0.0}),
                on_failure="fail_job",
                max_failed_fraction=None,
                max_attempts=3,
                canary=0,
            )
            assert sealed["sealed"]

    def send(self, job_id: str) -> list[tuple[str, str]]:
        """Send what is pending of a job: kind of queue and body, as that release wrote them."""
        rows = self.run("take_dispatches", job_id=job_id, limit=64, hold=timedelta(seconds=20))
        bodies = []
        for row in rows:
            fields = ["job_id", "run", "stage", "correlation_id"]
            fields += [] if row["first"] is None else ["first", "last"]
            body = json.dumps({field: row[field] for field in fields}, separators=(",", ":"))
            bodies.append((row["queue"], body))
        ids = [row["dispatch_id"] for row in rows]
        lasting = timedelta(seconds=0.5)
        self.run("mark_sent", dispatch_ids=ids, redelivery=lasting, longest=lasting)
        return bodies

    def claim(
        self, job_id: str, first: int, last: int, *, worker: str = "old", lease: float = 30
    ) -> list[dict[str, Any]]:
        return self.run(
            "claim_tasks",
            job_id=job_id,
            run=1,
            stage=1,
            first=first,
            last=last,
            worker=worker,
            lease=timedelta(seconds=lease),
        )

    def finish(self, job_id: str, tasks: list[dict[str, Any]], outcome: str) -> list[dict[str, Any]]:
        """Report tasks: `completed`, `retry` or `failed`; which were accepted."""
        done = outcome == "completed"
        greetings = [{"number": task["task_index"] + 1, "greeting": "Hello, world!"} for task in tasks]
        return self.run(
            "finish_tasks",
            job_id=job_id,
            run=1,
            stage=1,
            worker="old",
            indexes=[task["task_index"] for task in tasks],
            fences=[task["fence"] for task in tasks],
            outcomes=[outcome] * len(tasks),
            results=[json.dumps(greeting) if done else None for greeting in greetings],
            locations=[None] * len(tasks),
            errors=[None if done else "went wrong"] * len(tasks),
            delays=[0.0] * len(tasks),
            usages=[None] * len(tasks),
            usage=json.dumps({"attempts": len(tasks), "seconds": 0.1}),
        )

    def run(self, query: str, **given: Any) -> list[dict[str, Any]]:
        """A statement of its engine."""
        return self.connection.execute(self._sql[query].encode(), given).fetchall()
