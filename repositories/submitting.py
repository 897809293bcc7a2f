"""A submission within the transaction that it belongs to: a person's, a tick's, or a follower's."""

from __future__ import annotations

from interfaces.jobs import NewJob, Submitted

from .audit import caller
from .connection import Connection
from .json_text import to_json
from .sql_files import queries


def submit(connection: Connection, job: NewJob) -> Submitted:
    """Insert the job or start its next run, and add who is told of it and what follows.

    With any of these, the caller makes it one transaction: the job's row is locked from the first statement
    on, and nobody ends the run before it is known who waits for it.
    """
    named = {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "parameters": to_json(job.parameters),
        "total_stages": job.total_stages,
        "correlation_id": job.correlation_id,
        "rerun": job.rerun,
        "traceparent": job.traceparent,
        "caller": caller(),
    }
    row = connection.execute(queries("engine")["submit_job"], named).fetchone()
    assert row is not None
    if job.new_run_only and not row["created"]:
        return Submitted(job_id=job.job_id, job_type=job.job_type, **row)
    run = {"job_id": job.job_id, "run": row["run"], "caller": named["caller"]}
    if job.callback is not None:
        subscriber = {"url": job.callback.url, "events": job.callback.events}
        connection.execute(queries("callbacks")["subscribe_run"], run | subscriber)
    if job.then is not None:
        link = {
            "digest": job.then.digest,
            "request": to_json(job.then.request),
            "depth": job.then.depth,
        }
        connection.execute(queries("follow_ups")["add_follower"], run | link)
    return Submitted(job_id=job.job_id, job_type=job.job_type, **row)
