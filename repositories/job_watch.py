"""Tells who waits for a job that it has ended: at once where PostgreSQL can notify, else by looking."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from time import monotonic

import psycopg

from interfaces.errors import ServiceUnavailable
from interfaces.settings import Settings

from .database import Database
from .sql_files import queries

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Between two looks where nobody notifies; one query for all who wait."""
CHECK_SECONDS = 5.0
"""Between two looks beside the notifications, in case a connection died silently."""
RETRY_SECONDS = 30.0


class JobWatch:
    """One thread a process, and one connection of its own, while anybody waits.

    LISTEN needs a session, so it needs a connection past PgBouncer (`DATABASE_DIRECT_URL`).
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._listens = bool(settings.database_direct_url.get_secret_value())
        self._sql = queries("watch")
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Future[None]]] = {}
        self._thread: threading.Thread | None = None
        self._listen_again_at = 0.0

    async def ended(self, job_id: str, seconds: float) -> None:
        """Return when the job has ended, or when the time is over. Holds no thread meanwhile."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.setdefault(job_id, set()).add(future)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="job-watch", daemon=True)
                self._thread.start()
        try:
            # It may have ended before anybody watched it.
            await asyncio.to_thread(self._look, [job_id])
            await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            return
        finally:
            self._forget(job_id, future)

    def _run(self) -> None:
        while self._anybody():
            try:
                if self._listens and monotonic() >= self._listen_again_at:
                    self._listen()
                else:
                    self._look(list(self._waiting))
                    threading.Event().wait(LOOK_SECONDS)
            except ServiceUnavailable:
                threading.Event().wait(1)
            except psycopg.Error as error:
                logger.warning("cannot listen for ended jobs, looking instead: %s", type(error).__name__)
                self._listen_again_at = monotonic() + RETRY_SECONDS

    def _listen(self) -> None:
        with self._database.session() as connection:
            connection.execute(self._sql["listen"])
            while self._waiting:
                self._look(list(self._waiting))
                until = monotonic() + CHECK_SECONDS
                while self._waiting and (left := until - monotonic()) > 0:
                    for notice in connection.notifies(timeout=min(left, 0.5), stop_after=1):
                        self._tell(notice.payload)

    def _anybody(self) -> bool:
        """Whether anybody waits; when not, the thread is over from here on."""
        with self._lock:
            if not self._waiting:
                self._thread = None
            return bool(self._waiting)

    def _look(self, job_ids: list[str]) -> None:
        with self._database.connection() as connection:
            for row in connection.execute(self._sql["ended"], {"job_ids": job_ids}).fetchall():
                self._tell(row["job_id"])

    def _tell(self, job_id: str) -> None:
        with self._lock:
            futures = list(self._waiting.get(job_id, ()))
        for future in futures:
            # Who waited may have been told, or have gone, this instant.
            with suppress(InvalidStateError):
                future.set_result(None)

    def _forget(self, job_id: str, future: Future[None]) -> None:
        with self._lock:
            futures = self._waiting[job_id]
            futures.discard(future)
            if not futures:
                del self._waiting[job_id]
