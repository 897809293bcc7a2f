"""A whole engine in the test's own process, on a real PostgreSQL, with queues that the test delivers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

import registration
from engine import Arrival, Engine
from interfaces.blobs import BlobRepository
from interfaces.jobs import Submitted
from interfaces.settings import Settings
from interfaces.workflows import JobController, TaskDefinition
from registration import TaskCatalog
from repositories.breakers import Breakers
from repositories.database import Database
from repositories.feature_tables import PostgresFeatureTables
from repositories.guarded_blobs import GuardedBlobRepository
from repositories.guarded_catalog import GuardedCatalog
from repositories.layer_exports import PostgresLayerReader
from repositories.pgstac import PgstacCatalog
from repositories.pgstac_administration import PgstacAdministration
from repositories.pgstac_items import PgstacItems
from repositories.publications import PostgresPublicationRepository
from tests.doubles.callback_receiver import MemoryReceiver
from tests.doubles.memory_blobs import MemoryBlobs
from tests.doubles.memory_queues import MemoryQueues, Stored

TERMINAL = {"completed", "completed_with_errors", "failed", "cancelled"}


class World:
    """One app: its database, its queues, and any number of engines, as if they were instances.

    `storage` takes the place of the blobs in memory. Leases are longer than a busy machine keeps any test
    from renewing them; whoever tests their end asks for short ones, or ends them in the table.
    """

    def __init__(self, url: str, *, storage: BlobRepository | None = None, **overrides: Any) -> None:
        self.url = url
        options: dict[str, Any] = {
            "database_url": SecretStr(url),
            "lease_seconds": 10,
            "heartbeat_seconds": 0.3,
            "redelivery_seconds": 0.5,
            "redelivery_max_seconds": 1,
            "breaker_pause_seconds": 1,
        }
        self.settings = Settings(**(options | overrides))
        self.queues = MemoryQueues()
        for queue in (self.settings.jobs_queue, self.settings.tasks_queue):
            self.queues.ensure(queue)
        self.blobs = MemoryBlobs()
        self.receiver = MemoryReceiver()
        self.breakers = Breakers(self.settings)
        self.guarded = GuardedBlobRepository(storage or self.blobs, self.breakers)
        self.databases: list[Database] = []
        self.job_types = registration.job_catalog()
        database = self._database()
        catalog = GuardedCatalog(PgstacCatalog(database), self.breakers)
        self.tables = PostgresFeatureTables(database)
        ports = registration.Ports(
            blobs=self.guarded,
            publications=PostgresPublicationRepository(database),
            catalog=catalog,
            administration=PgstacAdministration(database),
            items=PgstacItems(database, catalog.breaker),
            tables=self.tables,
            layers=PostgresLayerReader(database),
        )
        self.task_types: TaskCatalog = registration.task_catalog(self.settings, ports)
        self.engine = self._engine(database)
        self._admin = psycopg.connect(url, autocommit=True, prepare_threshold=None, row_factory=dict_row)

    def new_engine(self) -> Engine:
        """Another instance of the same app."""
        return self._engine(self._database())

    def _database(self) -> Database:
        self.databases.append(Database(self.settings))
        return self.databases[-1]

    def _engine(self, database: Database) -> Engine:
        return Engine(
            self.settings,
            database,
            self.queues,
            self.guarded,
            self.job_types,
            self.task_types,
            callback_sender=self.receiver,
        )

    def register(
        self, job: JobController[Any] | None = None, *definitions: TaskDefinition[Any], replace: bool = False
    ) -> None:
        """Add workflows; with `replace` as if a new release was deployed."""
        if replace:
            kept = [
                d
                for d in self.task_types._definitions.values()
                if d.task_type not in {x.task_type for x in definitions}
            ]
            self.task_types._definitions = {d.task_type: d for d in [*kept, *definitions]}
        else:
            for definition in definitions:
                self.task_types.register(definition)
        if job is not None:
            self.job_types.register(job)

    def submit(self, job_type: str, **parameters: Any) -> Submitted:
        return self.engine.submit(job_type, parameters, correlation_id="test")

    def deliver(self, message: Stored, queue: str, engine: Engine | None = None) -> None:
        """Hand a message to an engine, as the host does."""
        target = engine or self.engine
        process = {
            self.settings.jobs_queue: target.process_job_message,
            self.settings.tasks_queue: target.process_task_message,
        }.get(queue, target.process_poison_message)
        process(
            Arrival(
                queue=queue,
                message_id=message.message_id,
                dequeue_count=message.dequeue_count,
                body=message.body.encode(),
            )
        )

    def send(self, queue: str, body: str) -> None:
        """Put a message on a queue, as anybody might."""
        self.queues.queues.setdefault(queue, []).append(Stored(body, time.monotonic()))

    def pump(self, *, repeat: int = 1, shuffle: random.Random | None = None, limit: int = 100_000) -> int:
        """Deliver every visible message, and those that follow, until none is left; answers how many."""
        queues = [self.settings.jobs_queue, self.settings.tasks_queue]
        queues += [f"{name}-poison" for name in queues]
        delivered = 0
        # The timer of the relay.
        self.engine.relay()
        while delivered < limit:
            order = shuffle.sample(queues, len(queues)) if shuffle else queues
            for queue in order:
                message = self.queues.receive(queue, shuffle)
                if message is not None:
                    for _ in range(repeat):
                        self.deliver(message, queue)
                    delivered += 1
                    break
            else:
                return delivered
        raise AssertionError(f"still busy after {limit} messages")

    def run(self, job_id: str, seconds: float = 30) -> dict[str, Any]:
        """Deliver and reconcile until the job has ended; answers its row."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()
            job = self.job(job_id)
            if job["status"] in TERMINAL:
                return job
            self.engine.reconcile()
            time.sleep(0.05)
        raise AssertionError(f"not ended in {seconds} s: {self.job(job_id)}\n{self.events(job_id)}")

    def rows(self, query: str, *parameters: object, fetch: bool = True) -> list[dict[str, Any]]:
        done = self._admin.execute(query, parameters or None)
        return done.fetchall() if fetch else []

    def job(self, job_id: str) -> dict[str, Any]:
        return self.rows("SELECT * FROM app.jobs WHERE job_id = %s", job_id)[0]

    def tasks(self, job_id: str, stage: int | None = None) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT * FROM app.tasks WHERE job_id = %s AND (%s::int IS NULL OR stage = %s)"
            " ORDER BY run, stage, task_index",
            job_id,
            stage,
            stage,
        )

    def events(self, job_id: str) -> list[str]:
        return [
            row["event"]
            for row in self.rows(
                "SELECT event FROM app.job_events WHERE job_id = %s ORDER BY event_id", job_id
            )
        ]

    def violations(self) -> dict[str, list[dict[str, Any]]]:
        """The invariants that do not hold, with their rows."""
        views = self.rows(
            "SELECT viewname FROM pg_views WHERE schemaname = 'app' AND viewname LIKE 'invariant%%'"
        )
        assert len(views) == 12
        found = {v["viewname"]: self.rows(f"SELECT * FROM app.{v['viewname']}") for v in views}
        return {name: rows for name, rows in found.items() if rows}

    def progress(self, job_id: str) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM app.stage_progress WHERE job_id = %s ORDER BY run, stage", job_id)

    def close(self) -> None:
        self._admin.close()
        for database in self.databases:
            database.close()


@pytest.fixture
def make_world(database_url: str) -> Iterator[Callable[..., World]]:
    """Makes worlds on this test's database."""
    worlds: list[World] = []

    def make(**overrides: Any) -> World:
        worlds.append(World(database_url, **overrides))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app."""
    return make_world()
