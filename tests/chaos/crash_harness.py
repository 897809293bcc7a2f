"""Runs a job on the real host while its workers die, and checks what came of it."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from psycopg.rows import DictRow, dict_row

from local.stack.postgres import PostgresServer
from tests.chaos.crash_injection import ARMED, AWAY, FIRED
from tests.chaos.crash_removal import REMOVALS
from tests.chaos.crash_shape import ARCHIVE, RESULTS, Shape
from tests.chaos.crash_shapes import SHAPES
from tests.chaos.crash_steps import OPERATION, Step
from tests.fix_app import TERMINAL, App, serving
from tests.fix_stack import CHECKOUT

SHORT = {
    "LEASE_SECONDS": "1.5",
    "HEARTBEAT_SECONDS": "0.3",
    "REDELIVERY_SECONDS": "1",
    "REDELIVERY_MAX_SECONDS": "2",
    "CRASH_HOLD_SECONDS": "1.5",
    "BREAKER_PAUSE_SECONDS": "0.5",
}
"""So that what a dead worker held is let go of soon."""
SMALL = {
    "DISCOVER_PAGE_ITEMS": "10",
    "MAX_INLINE_RESULT_BYTES": "1000",
    "CRASH_RETENTION_PAGE": "4",
    "RETENTION_ARCHIVE_CONTAINER": ARCHIVE,
}
"""So that little work comes to what else only much work does."""
SECONDS = 60
"""So long may a job take in all, and whatever else must come true after it."""

REPORTS = CHECKOUT / ".local" / "chaos"

MISCOUNTED = """
SELECT p.run, p.stage, p.queued, p.processing, p.completed, p.failed, p.cancelled
FROM app.stage_progress p
LEFT JOIN app.tasks t USING (job_id, run, stage)
WHERE p.job_id = %s
GROUP BY p.run, p.stage, p.queued, p.processing, p.completed, p.failed, p.cancelled
HAVING (p.queued, p.processing, p.completed, p.failed, p.cancelled) IS DISTINCT FROM
    (0, 0, count(*) FILTER (WHERE t.status = 'completed'), count(*) FILTER (WHERE t.status = 'failed'),
     count(*) FILTER (WHERE t.status = 'cancelled'))
"""
"""Stages of an ended job whose counters differ from their rows."""

AUDIT = """
CREATE TABLE public.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text, job_id text, run integer, stage integer, task_index integer, old text, new text
);
CREATE FUNCTION public.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE n jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    INSERT INTO public.audit (kind, job_id, run, stage, task_index, old, new)
    VALUES (TG_TABLE_NAME, n ->> 'job_id', (n ->> 'run')::int, (n ->> 'stage')::int,
            (n ->> 'task_index')::int, OLD.status, CASE TG_OP WHEN 'UPDATE' THEN NEW.status::text END);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_jobs AFTER UPDATE ON app.jobs FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.result IS DISTINCT FROM NEW.result)
    EXECUTE FUNCTION public.note_change();
-- A result that is written over is a change, too.
CREATE TRIGGER audit_tasks AFTER UPDATE ON app.tasks FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR (OLD.result, OLD.result_location, OLD.error)
                                      IS DISTINCT FROM (NEW.result, NEW.result_location, NEW.error))
    EXECUTE FUNCTION public.note_change();
CREATE TRIGGER audit_forgotten AFTER DELETE ON app.tasks FOR EACH ROW EXECUTE FUNCTION public.note_change();
"""


@dataclass(frozen=True)
class Crash:
    """Where a worker died, and when, in seconds since 1970."""

    place: str
    moment: str
    pid: int
    at: float


class CrashHost:
    """The app on the local host, with a trap in each of its workers."""

    def __init__(self, app: App, folder: Path, shapes: Mapping[str, Shape], *, fire_timers: bool) -> None:
        self.app = app
        self._shapes = shapes
        self._folder = folder
        self._fire_timers = fire_timers
        self._http = httpx.Client(base_url=app.url, timeout=10)
        self._sql: psycopg.Connection[DictRow] = psycopg.connect(
            app.database_url, autocommit=True, row_factory=dict_row
        )
        self._sql.execute(AUDIT)
        self._sql.execute(REMOVALS)
        self._fired_at = 0.0
        self.notes: dict[str, Any] = {}
        """What a shape remembers of a job, by its id."""

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()
        self._sql.close()

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        return self._sql.execute(query, parameters or None).fetchall()

    def execute(self, statement: str, *parameters: object) -> None:
        self._sql.execute(statement, parameters or None)

    def job(self, job_id: str) -> dict[str, Any]:
        [row] = self.rows("SELECT * FROM app.jobs WHERE job_id = %s", job_id)
        return row

    def post(
        self, path: str, expected: Sequence[int], body: object = None, seconds: float = SECONDS
    ) -> dict[str, Any]:
        """Ask until there is an answer, as a client does whose connection was cut."""
        end = time.monotonic() + seconds
        while True:
            with suppress(httpx.TransportError):
                answer = self._http.post(f"/api{path}", json=body)
                if answer.status_code != 503:
                    assert answer.status_code in expected, answer.text
                    return dict(answer.json())
            assert time.monotonic() < end, f"no answer to {path}\n{self.app.tail()}"
            time.sleep(0.05)

    def ask_once(self, method: str, path: str, body: object = None) -> None:
        """Ask, and never mind whether there is an answer."""
        with suppress(httpx.TransportError):
            self._http.request(method, f"/api{path}", json=body)

    def submit_shape(self, name: str, label: str) -> str:
        """Submit a job of this shape; answers its id."""
        job_type, parameters = self._shapes[name].submission(label)
        return str(self.post(f"/jobs/submit/{job_type}", (200, 202), parameters)["job_id"])

    def arm(self, steps: Sequence[Step]) -> None:
        """Let workers die at these steps, one after the other."""
        new = self._folder / f"new-{uuid.uuid4().hex[:8]}"
        new.write_text(json.dumps([step.as_dict() for step in steps]))
        new.rename(self._folder / ARMED)

    def armed(self) -> bool:
        """Whether somebody is still to die."""
        with suppress(FileNotFoundError):
            return bool(json.loads((self._folder / ARMED).read_text()))
        return False

    def storage_leaves(self) -> None:
        """Blob storage answers nobody any more."""
        (self._folder / AWAY).touch()

    def storage_returns(self) -> None:
        """Blob storage answers."""
        (self._folder / AWAY).unlink(missing_ok=True)

    def disarm(self) -> bool:
        """Let nobody die any more; false when nothing was armed."""
        try:
            (self._folder / ARMED).unlink()
        except FileNotFoundError:
            return False
        return True

    def crashes(self) -> list[Crash]:
        """Who died since the last trial began."""
        with suppress(FileNotFoundError):
            return [Crash(**json.loads(x)) for x in (self._folder / FIRED).read_text().splitlines()]
        return []

    def forget_crashes(self) -> None:
        """Begin a trial."""
        (self._folder / FIRED).unlink(missing_ok=True)

    def until(
        self,
        condition: Callable[[], object],
        what: str | Callable[[], str],
        seconds: float = SECONDS,
        firing: str = "",
    ) -> None:
        """Wait until the condition holds, and let a timer fire meanwhile, if one is named. Those that recover
        are fired after a crash, so as not to wait for them: a dead worker keeps their lock for a quarter of a
        minute."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                expected = what if isinstance(what, str) else what()
                raise AssertionError(f"not within {seconds} s: {expected}\n{self.app.tail(80)}")
            if time.monotonic() > self._fired_at + 0.4:
                recovering = self._fire_timers and self.crashes()
                for name in ("reconcile", "relay_outbox") if recovering else ():
                    self._fire(name)
                if firing:
                    self._fire(firing)
                self._fired_at = time.monotonic()
            time.sleep(0.03)

    def _fire(self, timer: str) -> None:
        with suppress(httpx.TransportError):
            self._http.post(f"/admin/functions/{timer}", json={})

    def until_running(self, job_id: str) -> None:
        """Wait until a task of the job runs."""
        running = "SELECT 1 FROM app.tasks WHERE job_id = %s AND status = 'processing' LIMIT 1"
        self.until(lambda: self.rows(running, job_id), f"job {job_id} runs")

    def until_ended(self, job_id: str, seconds: float = SECONDS) -> None:
        """Wait until the job has ended."""
        self.until(
            lambda: self.job(job_id)["status"] in TERMINAL,
            lambda: f"the job ends{self._story(job_id)}",
            seconds,
        )

    def trial(self, name: str, steps: Sequence[Step], label: str | None = None) -> tuple[str, list[Crash]]:
        """Run a job of this shape while workers die at these steps; answers its id, and who died."""
        shape, label = self._shapes[name], label or f"{name} {uuid.uuid4().hex[:8]}"
        self.forget_crashes()
        if shape.prepare:
            shape.prepare(self, label)
        self.arm(steps)
        job_id = self._known(shape, label) or self.submit_shape(name, label)
        if shape.act:
            shape.act(self, job_id)
        if not shape.removed:
            self.until_ended(job_id)
        # An operation of that number may not come; a named point must.
        patience = 0.5 if any(step.place == OPERATION for step in steps) else 15
        with suppress(AssertionError):
            self.until(lambda: len(self.crashes()) == len(steps), "everybody died", patience)
        self.disarm()
        self.check(name, label, job_id)
        return job_id, self.crashes()

    def _known(self, shape: Shape, label: str) -> str | None:
        """The id of a job that was submitted while it was prepared."""
        found = self.rows(
            "SELECT job_id FROM app.jobs WHERE job_type = %s AND parameters ->> %s = %s",
            shape.job_type,
            shape.label,
            label,
        )
        return str(found[0]["job_id"]) if found else None

    def check(self, name: str, label: str, job_id: str) -> None:
        """The job ended as its shape must, with the right results, each written once, and nothing is left."""
        shape, story = self._shapes[name], self._story(job_id)
        if shape.removed:
            self.until(lambda: shape.verify(self, job_id), f"{name}: {story}")
            self._check_invariants()
            return
        job = self.job(job_id)
        assert job["status"] == shape.status, story
        assert shape.error in (job["error"] or ""), story
        if shape.result is not None:
            assert job["result"] == shape.result(label), story
        tasks = self.rows(
            "SELECT stage, task_index, status, result FROM app.tasks WHERE job_id = %s AND run = %s",
            job_id,
            job["run"],
        )
        assert {task["status"] for task in tasks} <= {"completed", "failed", "cancelled"}, story
        if shape.results is not None:
            found = {(task["stage"], task["task_index"]): task["result"] for task in tasks}
            assert found == shape.results(label), story
            failed = {key for key, result in found.items() if result is None}
            assert {(t["stage"], t["task_index"]) for t in tasks if t["status"] == "failed"} == failed, story
        self.until(lambda: shape.verify(self, job_id), f"{name}: {story}")
        self._check_written_once(job_id, story)
        left = "SELECT * FROM app.outbox WHERE job_id = %s"
        self.until(lambda: not self.rows(left, job_id), f"an ended job's dispatches are gone: {story}", 120)
        assert self.rows(MISCOUNTED, job_id) == [], story
        self._check_invariants()

    def _check_invariants(self) -> None:
        violations = self.app.get("/db/invariants").json()
        assert violations["total_violations"] == 0, violations

    def _check_written_once(self, job_id: str, story: str) -> None:
        """A task ends once, and a job once a run, except where a person asked for a retry in between."""
        [retries] = self.rows(
            "SELECT count(*) AS n FROM app.job_events WHERE job_id = %s AND event = 'job_retried'", job_id
        )
        endings: Counter[tuple[Any, ...]] = Counter()
        reopened: Counter[tuple[Any, ...]] = Counter()
        for row in self.rows("SELECT * FROM public.audit WHERE job_id = %s ORDER BY audit_id", job_id):
            is_task = row["kind"] == "tasks"
            key = (row["kind"], row["run"], row["stage"] if is_task else None, row["task_index"])
            if row["new"] in TERMINAL:
                endings[key] += 1
            elif row["old"] in TERMINAL and (is_task or row["new"] == "processing"):
                reopened[key] += 1
        for key, count in endings.items():
            assert count in (reopened[key], 1 + reopened[key]), (key, count, story)
            assert reopened[key] <= retries["n"], (key, story)

    def _story(self, job_id: str) -> str:
        events = self.rows(
            "SELECT at::time(3)::text AS at, event, run, stage, tasks::text, worker, detail"
            " FROM app.job_events WHERE job_id = %s ORDER BY event_id",
            job_id,
        )
        lines = [
            " ".join(str(value) for value in event.values() if value not in (None, {})) for event in events
        ]
        died = [f"died at {crash.place} {crash.moment} ({crash.at % 86400:.3f})" for crash in self.crashes()]
        return "\n".join(["", *lines[-60:], *died])


class HostWith(Protocol):
    """Hosts by their environment, their workers and a number; each is started once."""

    def __call__(self, environment: Mapping[str, str], *, workers: int = 1, number: int = 0) -> CrashHost:
        """The host, which runs until the module's tests are over."""
        ...


CrashHosts = Callable[[str, Mapping[str, Shape]], HostWith]
"""By a template of the database, and the shapes of the jobs."""


@contextmanager
def crash_host(
    postgres_server: PostgresServer,
    template: str,
    storage: str,
    folder: Path,
    *,
    workers: int = 1,
    environment: Mapping[str, str] = SHORT,
    shapes: Mapping[str, Shape] = SHAPES,
) -> Iterator[CrashHost]:
    """The app with one worker and short leases, until the block ends; another worker follows each that dies.

    With the default settings, an `environment` without leases, it is the shipped host, and the timers run as
    they are scheduled.
    """
    trap = folder / "trap"
    trap.mkdir(exist_ok=True)
    with BlobServiceClient.from_connection_string(storage) as blobs, suppress(ResourceExistsError):
        blobs.create_container(RESULTS)
    fast = "LEASE_SECONDS" in environment
    with serving(
        postgres_server,
        template,
        storage,
        folder,
        *("--app", "tests.chaos.crash_app:app", "--workers", str(workers)),
        module="tests.chaos.crash_host" if fast else "local.host",
        environment={**SMALL, **environment, "CRASH_FOLDER": str(trap)},
    ) as app:
        host = CrashHost(app, trap, shapes, fire_timers=fast)
        try:
            yield host
        finally:
            host.close()


def report(section: str, name: str, figures: object) -> None:
    """Keep figures below .local/chaos, beside those of other runs' sections and other processes' tests."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / "crashes.json"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(path.read_text()) if path.exists() else {}
        known.setdefault(section, {})[name] = figures
        new = path.with_suffix(f".{os.getpid()}.tmp")
        new.write_text(json.dumps(known, indent=1))
        new.replace(path)
