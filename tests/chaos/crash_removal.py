"""Jobs that ended long ago, and what must be left of them, and of what attempts left behind."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from azure.storage.blob import ContainerClient

from engine import result_blobs
from tests.chaos.crash_shape import ARCHIVE, RESULTS, Shape
from tests.chaos.crash_workflows import FEW, KEPT

if TYPE_CHECKING:
    from tests.chaos.crash_harness import CrashHost

REMOVALS = """
CREATE TABLE public.removals (kind text, job_id text, run integer);
CREATE FUNCTION public.note_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.removals VALUES (TG_ARGV[0], OLD.job_id, OLD.run);
    RETURN NULL;
END $$;
CREATE TRIGGER note_gone AFTER DELETE ON app.jobs FOR EACH ROW EXECUTE FUNCTION public.note_removal('gone');
CREATE TRIGGER note_out_of_sight AFTER UPDATE ON app.past_runs FOR EACH ROW
    WHEN (OLD.removed_at IS DISTINCT FROM NEW.removed_at)
    EXECUTE FUNCTION public.note_removal('out of sight');
CREATE TRIGGER note_forgotten AFTER DELETE ON app.past_runs FOR EACH ROW
    EXECUTE FUNCTION public.note_removal('forgotten');
"""
"""Notes each removal of a job, of a run out of sight, and of the last of it."""

OF_A_JOB = (
    "jobs",
    "past_runs",
    "stages",
    "stage_counters",
    "tasks",
    "stage_items",
    "job_events",
    "outbox",
    "poison_messages",
)
TIMES = {
    "jobs": ("created_at", "queued_at", "started_at", "updated_at", "completed_at"),
    "past_runs": ("queued_at", "started_at", "completed_at"),
    "stages": ("created_at", "completed_at"),
    "tasks": ("started_at", "completed_at", "due_at"),
    "job_events": ("at",),
}
LEFTOVERS = (
    "INSERT INTO app.poison_messages"
    " (queue, message_id, reason, raw, bytes, dequeue_count, correlation_id, recorded_at)"
    " VALUES ('jobs', %s, 'old', '', 0, 1, '', now() - interval '100 days')",
    "INSERT INTO app.outbox (queue, job_id, run, stage, sent_at, redeliver_at, created_at)"
    " VALUES ('jobs', reverse(%s), 1, 1, now(), now() + interval '1 day', now() - interval '100 days')",
)
LEFT_OVER = """
SELECT (SELECT count(*) FROM app.poison_messages WHERE message_id = %s)
     + (SELECT count(*) FROM app.outbox WHERE job_id = reverse(%s)) AS n
"""
ABANDONED = """
SELECT count(*) AS n FROM app.stage_items i WHERE i.job_id = %s AND NOT EXISTS (
    SELECT 1 FROM app.tasks t WHERE (t.job_id, t.run, t.stage, t.task_index, t.fence)
                                  = (i.job_id, i.run, i.stage, i.task_index, i.fence))
"""


def ended_twice(host: CrashHost, label: str) -> None:
    """A job with two runs that have ended."""
    job_id = host.submit_shape("removed", label)
    host.until_ended(job_id)
    host.post(f"/jobs/{job_id}/rerun", (202,))
    host.until_ended(job_id)


def remove(host: CrashHost, job_id: str) -> None:
    """Retention removes the job, as if old, and what belongs to no run, in as many passes as it takes."""
    host.notes[job_id] = {
        run: {
            "job": 1,
            "stage": 2,
            "task": 1 + FEW,
            "result": FEW,
            "event": _count(host, "job_events", job_id, run),
        }
        for run in (1, 2)
    }
    for leftover in LEFTOVERS:
        host.execute(leftover, job_id)
    age(host, job_id, days=100)
    host.until(lambda: is_gone(host, job_id), f"job {job_id} is removed", firing="retention")


def is_gone(host: CrashHost, job_id: str) -> bool:
    """Whether nothing is left of the job, nor of what belongs to no run."""
    rows = sum(_count(host, table, job_id) for table in OF_A_JOB)
    return not (rows or host.rows(LEFT_OVER, job_id, job_id)[0]["n"] or results(host, job_id))


def removed_once(host: CrashHost, job_id: str) -> bool:
    """Nothing is left, each step of the removal was taken once, and each run has its whole file."""
    assert is_gone(host, job_id)
    noted = Counter(
        (row["kind"], row["run"])
        for row in host.rows("SELECT * FROM public.removals WHERE job_id = %s", job_id)
    )
    taken = {(kind, run): 1 for kind in ("out of sight", "forgotten") for run in (1, 2)}
    assert noted == {**taken, ("gone", 2): 1}, noted
    assert archived(host, job_id) == host.notes[job_id]
    return True


def archived(host: CrashHost, job_id: str) -> dict[int, dict[str, int]]:
    """How many lines of each kind there are in the file of each run, of which there must be only one."""
    found: dict[int, dict[str, int]] = {}
    with ContainerClient.from_connection_string(host.app.storage, ARCHIVE) as container:
        for name in container.list_blob_names():
            if job_id not in name:
                continue
            run = int(name.split(f"{job_id}-")[1].split("-")[0])
            assert run not in found
            lines = gzip.decompress(container.download_blob(name).readall()).splitlines()
            records: list[dict[str, Any]] = [json.loads(line) for line in lines]
            found[run] = dict(Counter(record["kind"] for record in records))
            texts = sorted(record["result"]["text"] for record in records if record["kind"] == "result")
            assert texts == [str(i) * KEPT for i in range(FEW)]
    return found


def tidy(host: CrashHost, job_id: str) -> None:
    """Retention looks into the stages of a job of yesterday, in which a dead attempt left a result, too."""
    host.until_ended(job_id)
    with ContainerClient.from_connection_string(host.app.storage, RESULTS) as container:
        # No fence is so low, and none comes back.
        container.upload_blob(result_blobs.name(job_id, 1, 1, 0, 0), b"{}", overwrite=True)
    age(host, job_id, days=1)
    host.until(lambda: is_tidy(host, job_id), f"job {job_id} is tidied", firing="retention")


def is_tidy(host: CrashHost, job_id: str) -> bool:
    """Whether nothing is left of abandoned attempts, and all stages are noted as looked into."""
    uncleaned = "SELECT 1 FROM app.stages WHERE job_id = %s AND cleaned_at IS DISTINCT FROM completed_at"
    return not (
        host.rows(ABANDONED, job_id)[0]["n"] or host.rows(uncleaned, job_id) or len(results(host, job_id)) > 1
    )


def kept(host: CrashHost, job_id: str) -> bool:
    """The result and the items of the attempt that completed are there."""
    [row] = host.rows(
        "SELECT fence FROM app.tasks WHERE job_id = %s AND stage = 1 AND result_location IS NOT NULL", job_id
    )
    assert results(host, job_id) == [result_blobs.name(job_id, 1, 1, 0, row["fence"])]
    assert _count(host, "stage_items", job_id) == FEW
    return True


def results(host: CrashHost, job_id: str) -> list[str]:
    """The names of the job's results in blob storage."""
    with ContainerClient.from_connection_string(host.app.storage, RESULTS) as container:
        return list(container.list_blob_names(name_starts_with=f"{job_id}/"))


def age(host: CrashHost, job_id: str, days: int) -> None:
    """As if all that happened to the job had happened so many days earlier."""
    for table, columns in TIMES.items():
        earlier = ", ".join(f"{column} = {column} - make_interval(days => {days})" for column in columns)
        host.execute(f"UPDATE app.{table} SET {earlier} WHERE job_id = %s", job_id)


def _count(host: CrashHost, table: str, job_id: str, run: int | None = None) -> int:
    of_run = "" if run is None else f" AND run = {run}"
    [row] = host.rows(f"SELECT count(*) AS n FROM app.{table} WHERE job_id = %s{of_run}", job_id)
    return int(row["n"])


REMOVAL = {
    "removed": Shape(
        "crash_survey",
        {"n": 1},
        prepare=ended_twice,
        act=remove,
        removed=True,
        verify=removed_once,
    ),
    "untidy": Shape("crash_untidy", {"n": 1}, result=lambda label: {"sum": 55}, act=tidy, verify=kept),
}
