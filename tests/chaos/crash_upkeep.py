"""What befalls jobs from outside: storage that is away, limits, lost rows and queues, poison."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from tests.chaos.crash_shape import RESULTS, Shape, greetings, hello, numbered, squares, total
from tests.chaos.crash_workflows import KEPT

if TYPE_CHECKING:
    from tests.chaos.crash_harness import CrashHost

PUT_OFF = 8
"""Tasks that wait for storage: more than a process takes up at once."""
OUTAGE_SECONDS = 3
"""So long storage is away at most, once tasks have been put off."""
DEFERRED = "SELECT 1 FROM app.job_events WHERE job_id = %s AND event = 'tasks_deferred' LIMIT 1"
RESULTS_AND_DEATHS = """
SELECT task_index, attempt, result_location AS l,
       jsonb_array_length(jsonb_path_query_array(
           coalesce(attempts, '[]'), '$[*] ? (@.outcome == "lease_lost")')) AS lost
FROM app.tasks WHERE job_id = %s
"""
PARKED = "SELECT 1 FROM app.outbox WHERE job_id = %s AND parked IS NOT NULL"
GIVEN_UP = "SELECT action FROM app.poison_messages WHERE job_id = %s ORDER BY poison_id"
BROKEN = "a claim that always fails"
BREAK_CLAIMS = f"""
CREATE OR REPLACE FUNCTION public.break_claims() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM app.jobs
               WHERE job_id = NEW.job_id AND parameters ->> 'name' LIKE 'given up for good%') THEN
        RAISE '{BROKEN}';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER break_claims BEFORE UPDATE ON app.tasks FOR EACH ROW
    WHEN (NEW.status = 'processing' AND NEW.stage = 1 AND NEW.task_index = 0)
    EXECUTE FUNCTION public.break_claims();
"""
LIMIT = "SELECT at_most FROM app.concurrency_limits WHERE limited_type = %s"


def storage_leaves(host: CrashHost, label: str) -> None:
    """Blob storage is away."""
    host.storage_leaves()


def storage_returns(host: CrashHost, job_id: str) -> None:
    """Blob storage is back when tasks were put off and everybody died who was to die meanwhile."""
    try:
        host.until(lambda: host.rows(DEFERRED, job_id), "tasks are put off")
        with suppress(AssertionError):
            host.until(lambda: not host.armed(), "everybody died", OUTAGE_SECONDS)
    finally:
        host.storage_returns()


def few_while_storage_leaves(host: CrashHost, label: str) -> None:
    """Blob storage is away from tasks of which two may run at a time."""
    host.rows("SELECT app.set_limit('task:crash_keep_few', 2)")
    host.storage_leaves()


def cancel_while_storage_is_away(host: CrashHost, job_id: str) -> None:
    """The job is cancelled when its tasks have been put off; then blob storage is back."""
    try:
        host.until(lambda: host.rows(DEFERRED, job_id), "tasks are put off")
        host.post(f"/jobs/{job_id}/cancel", expected=(200, 202))
        host.until_ended(job_id)
    finally:
        host.storage_returns()


def stored(host: CrashHost, job_id: str) -> bool:
    """Every result is in storage, and no outage cost an attempt: only who dies takes one along."""
    rows = host.rows(RESULTS_AND_DEATHS, job_id)
    with ContainerClient.from_connection_string(host.app.storage, RESULTS) as container:
        for row in rows:
            assert row["attempt"] <= 1 + row["lost"], row
            name = row["l"]["url"].rpartition(f"/{RESULTS}/")[2]
            text = json.loads(container.download_blob(name).readall())["text"]
            assert text == str(row["task_index"]) * KEPT
    return True


def hold_back(kind: str) -> Callable[[CrashHost, str], None]:
    """No such task may run."""

    def prepare(host: CrashHost, label: str) -> None:
        host.rows("SELECT app.set_limit(%s, 0)", f"task:crash_{kind}")

    return prepare


def raise_limit(host: CrashHost, job_id: str) -> None:
    """Let two such tasks run at a time; whoever got no answer looks whether it was done."""
    host.until(lambda: host.rows(PARKED, job_id), "tasks are parked")
    while host.rows(LIMIT, "task:crash_held")[0]["at_most"] != 2:
        host.ask_once("PUT", "/db/limits/task/crash_held", {"at_most": 2})


def forget_dispatches(host: CrashHost, job_id: str) -> None:
    """Nothing speaks for the tasks any more."""
    host.until(lambda: host.rows(PARKED, job_id), "tasks are parked")
    host.execute("DELETE FROM app.concurrency_limits WHERE limited_type = 'task:crash_forgotten'")
    host.execute("DELETE FROM app.outbox WHERE job_id = %s", job_id)
    finished = "SELECT 1 FROM app.jobs WHERE job_id = %s AND completed_at IS NOT NULL"
    host.until(lambda: host.rows(finished, job_id), "the job ends", firing="reconcile")


def miscount(host: CrashHost, job_id: str) -> None:
    """The counters of the stage do not add up."""
    host.until_running(job_id)
    host.execute("UPDATE app.stage_counters SET queued = queued + 5 WHERE job_id = %s AND slot = 0", job_id)
    drifted = (
        "SELECT 1 FROM app.stage_counters WHERE job_id = %s HAVING sum(queued + processing + completed) > 2"
    )
    host.until(lambda: not host.rows(drifted, job_id), "counters add up", firing="reconcile")


def delete_queue(host: CrashHost, label: str) -> None:
    """The queue of tasks is gone."""
    with (
        QueueClient.from_connection_string(
            host.app.storage, host.app.tasks_queue, api_version="2025-11-05"
        ) as queue,
        suppress(ResourceNotFoundError),
    ):
        queue.delete_queue()


def delete_container(host: CrashHost, label: str) -> None:
    """The container of large results is gone."""
    with ContainerClient.from_connection_string(host.app.storage, RESULTS) as container:
        container.delete_container()


def break_claims(host: CrashHost, label: str) -> None:
    """Whoever claims the first task fails with an error, and nothing counts it as an attempt."""
    host.execute(BREAK_CLAIMS)


def failed_at_last(host: CrashHost, job_id: str) -> bool:
    """Its work was woken until four messages had raised.

    What woke it is one of several that race: the given-up message, its repeat, the reconciler. That it
    failed then may not be recorded: here the host gives up on a message that comes a second time.
    """
    actions = Counter(row["action"] for row in host.rows(GIVEN_UP, job_id))
    return actions["raised"] >= 4


def send_malformed_plan(host: CrashHost, job_id: str) -> None:
    """A message about the job, and none of its tasks, that nobody can read."""
    host.until_running(job_id)
    host.app.put(
        host.app.jobs_queue, json.dumps({"job_id": job_id, "run": 1, "stage": 1, "correlation_id": 7})
    )


def look_at_invariants(host: CrashHost, job_id: str) -> None:
    """An operator looks, and again where there was no answer."""
    host.ask_once("GET", "/db/invariants")


MANY, MANY_RESULT = hello(12)

UPKEEP = {
    "put off": Shape(
        "crash_keep",
        {"n": PUT_OFF},
        result=lambda label: {"sum": 0},
        prepare=storage_leaves,
        act=storage_returns,
        verify=stored,
    ),
    "put off, limited": Shape(
        "crash_keep_few",
        {"n": PUT_OFF},
        result=lambda label: {"sum": 0},
        prepare=few_while_storage_leaves,
        act=storage_returns,
        verify=stored,
    ),
    "put off, cancelled": Shape(
        "crash_keep",
        {"n": PUT_OFF},
        "cancelled",
        prepare=storage_leaves,
        act=cancel_while_storage_is_away,
    ),
    "held": numbered("held", 4, prepare=hold_back("held"), act=raise_limit),
    "forgotten": numbered("forgotten", 3, prepare=hold_back("forgotten"), act=forget_dispatches),
    "miscounted": Shape("hello_world", greetings(2, 4.0), label="name", act=miscount),
    "no queue": Shape(
        "crash_two",
        {"n": 3},
        results=lambda label: squares(3) | squares(3, stage=2),
        result=total(3),
        prepare=delete_queue,
    ),
    "no container": Shape(
        "crash_keep", {"n": 2}, result=lambda label: {"sum": 0}, prepare=delete_container, verify=stored
    ),
    "given up for good": Shape(
        "hello_world",
        greetings(2, 0.2),
        "failed",
        error=BROKEN,
        label="name",
        prepare=break_claims,
        verify=failed_at_last,
    ),
    "malformed plan": Shape(
        "hello_world",
        greetings(2, 4.0),
        "failed",
        error="cannot be processed",
        label="name",
        act=send_malformed_plan,
    ),
    "mixed": numbered("mixed", 4),
    "looked at": Shape(
        "hello_world",
        greetings(12, 0.05),
        results=MANY,
        result=MANY_RESULT,
        label="name",
        act=look_at_invariants,
    ),
}
