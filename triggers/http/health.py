"""Whether the app is alive, ready and healthy. No answer names a host or holds a secret."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from importlib import metadata
from threading import Lock
from time import monotonic, perf_counter

import azure.functions as func

from interfaces.access import Role
from interfaces.errors import NotFound, OrchestratorError

from .dependencies import Document, HttpDependencies
from .documentation import Answer, Operation, Tag
from .documents import health as documents
from .problems import known
from .requests import Query, Request
from .responses import answer
from .routing import Endpoint

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
READY_FOR_SECONDS = 2.0
"""`readyz` asks for no key: however often it is called, the database is asked once in this time."""
NOT_SET_UP = "not set up: run the job stac_setup"
PACKAGES = ("azure-functions", "azure-storage-blob", "azure-storage-queue", "psycopg", "pydantic", "rasterio")

HEALTH = Operation(
    Tag.HEALTH,
    {200: Answer("Everything is well", documents.Health), 503: Answer("Something is not", documents.Health)},
)
LIVEZ = Operation(Tag.HEALTH, {200: Answer("It is alive", documents.Alive)})
READYZ = Operation(
    Tag.HEALTH, {200: Answer("It is ready", documents.Ready), 503: Answer("It is not", documents.Ready)}
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    health = Health(api)
    return [
        Endpoint("health", "health", {"GET": health.health}, Role.READER, operations={"GET": HEALTH}),
        Endpoint(
            "livez",
            "livez",
            {"GET": health.livez},
            Role.ANYONE,
            operations={"GET": LIVEZ},
            traced=False,
            limited=False,
        ),
        Endpoint(
            "readyz",
            "readyz",
            {"GET": health.readyz},
            Role.ANYONE,
            operations={"GET": READYZ},
            traced=False,
            limited=False,
        ),
    ]


class Unhealthy(Exception):
    """A check found something wrong; `found` says what."""

    def __init__(self, error: str, found: Document) -> None:
        super().__init__(error)
        self.found = found


class Health:
    """Runs the checks side by side, each for a few seconds at most."""

    def __init__(self, api: HttpDependencies) -> None:
        self._api = api
        settings = api.settings
        self._queue_names = (settings.jobs_queue, settings.tasks_queue)
        self._checks: dict[str, Callable[[], Document]] = {
            "database": self._database,
            "migrations": self._migrations,
            "queues": self._queues,
            "blob": self._blob,
            "poison": self._poison,
            "catalog": self._catalog,
        }
        # Bounded: checks that hang use up these threads and make later ones time out, not pile up.
        self._threads = ThreadPoolExecutor(2 * len(self._checks), thread_name_prefix="health")
        self._lock = Lock()
        self._ready: tuple[float, int, Document] | None = None

    async def livez(self, request: Request) -> func.HttpResponse:
        """The process answers; nothing else is asked, and no thread is waited for."""
        request.query(Query)
        return answer({"status": "alive"})

    def readyz(self, request: Request) -> func.HttpResponse:
        """The database answers and has the schema that this release needs."""
        request.query(Query)
        with self._lock:
            if self._ready is None or monotonic() - self._ready[0] > READY_FOR_SECONDS:
                check = self._run({"migrations": self._migrations})["migrations"]
                ready = check["status"] == "ok"
                document: Document = {"status": "ready" if ready else "not ready"}
                if not ready:
                    document["reason"] = check["error"]
                self._ready = monotonic(), 200 if ready else 503, document
            _, status, document = self._ready
        return answer(document, status=status)

    def health(self, request: Request) -> func.HttpResponse:
        """Every check with its outcome and duration; 503 when one of them failed."""
        request.query(Query)
        checks = self._run(self._checks)
        healthy = all(check["status"] == "ok" for check in checks.values())
        document = {
            "status": "healthy" if healthy else "unhealthy",
            "checks": checks,
            # Of the process that answers: another may know better, or not know yet.
            "breakers": [breaker.model_dump(mode="json") for breaker in self._api.breakers.status()],
            "versions": _versions(),
        }
        return answer(document, status=200 if healthy else 503)

    def _run(self, checks: dict[str, Callable[[], Document]]) -> dict[str, Document]:
        running = {name: self._threads.submit(_timed, name, check) for name, check in checks.items()}
        wait(running.values(), timeout=CHECK_SECONDS)
        return {name: _outcome(future) for name, future in running.items()}

    def _database(self) -> Document:
        return {"version": self._api.diagnostics.server_version()}

    def _migrations(self) -> Document:
        state = self._api.schema.state()
        if state["pending"]:
            raise Unhealthy("migrations are missing: run migrate", state)
        return state

    def _queues(self) -> Document:
        return {"messages": {name: self._api.queues.length(name) for name in self._queue_names}}

    def _blob(self) -> Document:
        self._api.blobs.ping()
        return {}

    def _poison(self) -> Document:
        recorded = self._api.inspection.poison(newest=0)
        waiting = {f"{name}-poison": self._poison_length(f"{name}-poison") for name in self._queue_names}
        return {"recorded": recorded["total"], "by_queue": recorded["by_queue"], "waiting": waiting}

    def _catalog(self) -> Document:
        # Without a catalog everything but /api/stac works.
        version = self._api.catalog.installed()
        return {"pgstac": version} if version else {"pgstac": None, "note": NOT_SET_UP}

    def _poison_length(self, queue: str) -> int:
        try:
            return self._api.queues.length(queue)
        except NotFound:
            return 0  # the host makes a poison queue with its first message


def _timed(name: str, check: Callable[[], Document]) -> Document:
    started = perf_counter()
    try:
        found = {"status": "ok", **check()}
    except Unhealthy as error:
        found = {"status": "failed", "error": str(error), **error.found}
    except Exception as error:
        logger.warning("health check %s failed", name, exc_info=error)
        found = {"status": "failed", "error": _told(error)}
    return {**found, "duration_ms": round((perf_counter() - started) * 1000, 1)}


def _told(error: Exception) -> str:
    """The kind of error only: details of connections name hosts."""
    told: OrchestratorError = known(error)
    return told.title


def _outcome(future: Future[Document]) -> Document:
    if future.done():
        return future.result()
    future.cancel()
    return {
        "status": "failed",
        "error": f"no answer within {CHECK_SECONDS:g} s",
        "duration_ms": CHECK_SECONDS * 1000,
    }


@cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
