"""Jobs of many shapes, and what each must come to, however often its workers die."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from azure.storage.blob import BlobClient

from tests.chaos.crash_removal import REMOVAL
from tests.chaos.crash_shape import RESULTS, Results, Shape, greetings, hello, numbered, squares, total
from tests.chaos.crash_upkeep import UPKEEP
from tests.chaos.crash_workflows import ITEMS, LARGE

if TYPE_CHECKING:
    from tests.chaos.crash_harness import CrashHost


def cancel(host: CrashHost, job_id: str) -> None:
    """Cancel the job once it runs."""
    host.until_running(job_id)
    host.post(f"/jobs/{job_id}/cancel", expected=(200, 202))


def retry(host: CrashHost, job_id: str) -> None:
    """Retry the job; whoever got no answer asks again, and may hear that it runs already."""
    host.post(f"/jobs/{job_id}/retry", expected=(202, 409))


def rerun(host: CrashHost, job_id: str) -> None:
    """Run the job again; whoever got no answer asks again, and may hear that it runs already."""
    host.post(f"/jobs/{job_id}/rerun", expected=(202, 409))


def ended(host: CrashHost, label: str) -> None:
    """A job that has ended before."""
    host.until_ended(host.submit_shape("retried", label))


def ended_well(host: CrashHost, label: str) -> None:
    """A job that has completed before."""
    host.until_ended(host.submit_shape("rerun", label))


def limit(host: CrashHost, label: str) -> None:
    """One such job and two such tasks at a time."""
    host.rows("SELECT app.set_limit('job:crash_limited', 1), app.set_limit('task:crash_limited', 2)")


def wait_for_another(host: CrashHost, job_id: str) -> None:
    """Submit another one, which may begin only when the first has ended, and must then."""
    host.until_ended(host.submit_shape("limited", f"behind {job_id}"))


def send_malformed(host: CrashHost, job_id: str) -> None:
    """A message about the first task that nobody can read."""
    host.until_running(job_id)
    body = {"job_id": job_id, "run": 1, "stage": 1, "first": 0, "last": 0, "correlation_id": 7}
    host.app.put(host.app.tasks_queue, json.dumps(body))


def give_up(host: CrashHost, job_id: str) -> None:
    """A message about the first task that the host gave up on."""
    host.until_running(job_id)
    body = {"job_id": job_id, "run": 1, "stage": 1, "first": 0, "last": 0, "correlation_id": "given up"}
    host.app.put(f"{host.app.tasks_queue}-poison", json.dumps(body))


def recorded_once(action: str) -> Callable[[CrashHost, str], bool]:
    """The message about the job has exactly one row."""

    def verify(host: CrashHost, job_id: str) -> bool:
        rows = host.rows("SELECT action FROM app.poison_messages WHERE job_id = %s", job_id)
        assert len(rows) <= 1, rows
        return [row["action"] for row in rows] == [action]

    return verify


def blob_is_whole(host: CrashHost, job_id: str) -> bool:
    """The row names a blob that holds what the row says."""
    [row] = host.rows("SELECT result, result_location AS l FROM app.tasks WHERE job_id = %s", job_id)
    assert row["result"] is None
    name = row["l"]["url"].rpartition(f"/{RESULTS}/")[2]
    with BlobClient.from_connection_string(host.app.storage, RESULTS, name) as blob:
        data = blob.download_blob().readall()
    assert json.loads(data) == {"text": "0" * LARGE}
    assert (len(data), hashlib.sha256(data).hexdigest()) == (row["l"]["bytes"], row["l"]["sha256"])
    return True


def _discovered(label: str) -> Results:
    found: Results = {(1, i): {"found": ITEMS} for i in range(2)}
    return found | squares(2 * ITEMS, stage=2)


BRIEF, BRIEF_RESULT = hello(30)
MANY, MANY_RESULT = hello(12)
LENIENT, LENIENT_RESULT = hello(10, failing=0.2)

SHAPES = {
    # Run where it was planned (docs/adr/0003).
    "brief": Shape("hello_world", {"n": 30}, results=BRIEF, result=BRIEF_RESULT, label="name"),
    "many": Shape("hello_world", greetings(12, 0.05), results=MANY, result=MANY_RESULT, label="name"),
    "one": Shape(
        "crash_two", {"n": 1}, results=lambda label: squares(1) | squares(1, stage=2), result=total(1)
    ),
    "empty": Shape("crash_two", {"n": 0}, results=lambda label: {}, result=total(0)),
    "retries": numbered("retries", 8),
    "slow": numbered("slow", 2),
    "hung": numbered("hung", 2),
    "unsure": numbered("unsure", 2),
    "slow plan": numbered("slow_plan", 2),
    "discover": Shape("crash_discover", {"n": 2}, results=_discovered, result=total(2 * ITEMS)),
    "large": Shape("crash_large", {"n": 1}, result=lambda label: {"sum": 0}, verify=blob_is_whole),
    "early": Shape(
        "crash_early", {"n": 1}, results=lambda label: squares(1), result=lambda label: {"early": True}
    ),
    "refused": Shape(
        "crash_refused",
        {"n": 1},
        "failed",
        results=lambda label: squares(1),
        error="nothing to go on with",
    ),
    "failing": Shape(
        "hello_world",
        greetings(24, 0.05, fail_fraction=0.25),
        "failed",
        # Which of them fails first, or dies while the stage fails, is the moment's choice.
        error=" of 24 tasks failed; task ",
        label="name",
    ),
    "lenient": Shape(
        "hello_world",
        greetings(10, 0.06, fail_fraction=0.2, on_failure="continue"),
        "completed_with_errors",
        results=LENIENT,
        result=LENIENT_RESULT,
        label="name",
    ),
    "cancelled": Shape("hello_world", greetings(24, 0.3), "cancelled", label="name", act=cancel),
    "retried": Shape(
        "hello_world",
        greetings(10, 0.0, fail_fraction=0.2, on_failure="continue"),
        "completed_with_errors",
        results=LENIENT,
        result=LENIENT_RESULT,
        label="name",
        prepare=ended,
        act=retry,
    ),
    "rerun": Shape(
        "crash_two",
        {"n": 2},
        results=lambda label: squares(2) | squares(2, stage=2),
        result=total(2),
        prepare=ended_well,
        act=rerun,
    ),
    "canary": Shape(
        "hello_world",
        greetings(12, 0.05, canary=2),
        results=MANY,
        result=MANY_RESULT,
        label="name",
    ),
    "limited": numbered("limited", 6, prepare=limit, act=wait_for_another),
    # Long enough that the message comes back before the tasks end.
    "malformed": Shape(
        "hello_world",
        greetings(2, 4.0),
        "failed",
        error="cannot be processed",
        label="name",
        act=send_malformed,
        verify=recorded_once("failed"),
    ),
    "given up": numbered("slow", 1, act=give_up, verify=recorded_once("dispatched_again")),
    **REMOVAL,
    **UPKEEP,
}
