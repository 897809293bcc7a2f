"""The hot statements about what follows a job: who is told of it, what comes after it, and the clock."""

from __future__ import annotations

from datetime import timedelta

from tests.integration.engine.plan_cases import Case

_CALLBACKS = (
    # Most were delivered, many wait for later; a few are due, and a few were given up long ago.
    "INSERT INTO app.callbacks (event_id, event_type, job_id, run, data, occurred_at, url, due_at,"
    " delivered_at) SELECT 'e', 'job.completed', encode(sha256(('told' || i)::bytea), 'hex'), 1, '{}', now(),"
    " 'https://a.example/', CASE WHEN i %% 5 = 1 THEN now() + interval '1 h' ELSE now() END,"
    " CASE WHEN i %% 5 <> 1 THEN now() END FROM generate_series(1, %(n)s / 2) AS i",
    "INSERT INTO app.callbacks (event_id, event_type, job_id, run, data, occurred_at, url, dead_at)"
    " SELECT 'e', 'job.completed', repeat('a', 64), 1, '{}', now(), 'https://a.example/',"
    " CASE WHEN i <= 5 THEN now() - interval '91 days' END FROM generate_series(1, 15) AS i",
)
_FOLLOWERS = (
    # One is due; many followed, and many wait for runs that have not ended.
    "INSERT INTO app.followers (job_id, run, digest, request, depth, state, next_job_id)"
    " SELECT encode(sha256(('led' || i)::bytea), 'hex'), 1, 'd', '{}', 1,"
    " CASE WHEN i %% 2 = 0 THEN 'waiting' ELSE 'submitted' END, CASE WHEN i %% 2 = 1 THEN 'x' END"
    " FROM generate_series(1, %(n)s / 2) AS i",
    "INSERT INTO app.followers (job_id, run, digest, request, depth, due_at)"
    " VALUES (repeat('b', 64), 1, 'd', '{}', 1, now())",
)
_SCHEDULES = (
    "INSERT INTO app.schedules (name, cron, time_zone, job_type, parameters, next_at, enabled)"
    " SELECT 's' || i, '0 0 * * *', 'UTC', 'x', '{}',"
    " CASE WHEN i %% 2 = 0 OR i <= 5 THEN now() ELSE now() + interval '1 h' END, i <= 5 OR i %% 2 = 1"
    " FROM generate_series(1, %(n)s / 2) AS i",
    "INSERT INTO app.schedule_ticks (name, tick_at, fired_at, error)"
    " SELECT 's1', now() - i * interval '1 min', now() - CASE WHEN i <= 5 THEN interval '91 days'"
    " ELSE i * interval '1 s' END, 'x' FROM generate_series(1, %(n)s / 2) AS i",
)
_TAKING = {"busy": [], "per_host": 4, "limit": 200, "hold": timedelta(minutes=2), "max_attempts": 20}
_LISTED = {"state": None, "before": None, "job_id": None, "limit": 100}

FOLLOW_UPS = (
    Case("callbacks", "take_callbacks", 4, "", _TAKING, _CALLBACKS, ("callbacks_pending",)),
    Case("callbacks", "subscribe_run", 1, "", {"url": "https://a.example/", "events": ["failed"]}),
    Case(
        "callbacks", "callbacks", 5, "given up", _LISTED | {"state": "dead"}, _CALLBACKS, ("callbacks_dead",)
    ),
    Case(
        "callbacks",
        "callbacks",
        15,
        "of a job",
        _LISTED | {"job_id": "a" * 64},
        _CALLBACKS,
        ("callbacks_of_run",),
    ),
    Case("follow_ups", "due_followers", 1, "", {}, _FOLLOWERS, ("followers_due",)),
    Case("follow_ups", "due_schedules", 5, "", {}, _SCHEDULES, ("schedules_due",)),
    Case("retention", "sweep_ticks", 1, "", {}, _SCHEDULES, ("schedule_ticks_fired",)),
    Case("retention", "sweep_callbacks", 1, "", {}, _CALLBACKS, ("callbacks_settled",)),
)
