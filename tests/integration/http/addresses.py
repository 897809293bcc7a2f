"""Every address of the API, by method."""

from __future__ import annotations

HELLO = "/api/jobs/submit/hello_world"
SUBMIT = "/api/jobs/submit"
NO_JOB = "0" * 64
LIMIT = "/api/db/limits/job/hello_world"
PAGE = "/api/dashboard"
THUMBNAIL = "/api/cogs/thumbnail?container=silver&name=a.tif"
ALSO = {
    "/api/subscriptions": {"POST"},
    "/api/schedules": {"POST"},
    "/api/schedules/nightly": {"DELETE"},
}
"""Addresses with another method besides that of the table below."""
METHODS = {
    "PUT": [LIMIT],
    "DELETE": ["/api/subscriptions/2ad4ab57-0c4a-4c48-a1a6-9a7b6c5d4e3f"],
    "POST": [
        HELLO,
        SUBMIT,
        *(f"/api/jobs/{NO_JOB}/{action}" for action in ("cancel", "retry", "rerun")),
        *(f"/api/db/schema/{operation}" for operation in ("migrate", "redeploy", "nuke")),
        "/api/db/maintenance/cleanup",
        "/api/monitor/poison/1/replay",
        "/api/callbacks/1/resend",
        "/api/callbacks/resend",
        *(f"/api/schedules/nightly/{verb}" for verb in ("enable", "disable")),
    ],
    "GET": [
        *(f"/api/{one}" for one in ("callbacks", "schedules", "schedules/nightly", "subscriptions")),
        *(f"/api/jobs/{NO_JOB}/{of}" for of in ("explain", "cost", "timeline", "failures", "coverage")),
        f"/api/jobs/{NO_JOB}/logs",
        f"/api/jobs/{NO_JOB}/tasks/1/0",
        THUMBNAIL,
        "/api/monitor/activity",
        "/api/monitor/history",
        "/api/monitor/queues",
        PAGE,
        "/api/db/audit",
        "/api/db/limits",
        f"/api/jobs/status/{NO_JOB}",
        "/api/jobs/types",
        f"/api/jobs/{NO_JOB}/results",
        "/api/db/jobs",
        f"/api/db/jobs/{NO_JOB}",
        "/api/db/tasks",
        f"/api/db/tasks/{NO_JOB}",
        f"/api/db/events/{NO_JOB}",
        "/api/db/stats",
        "/api/db/enums/diagnostic",
        "/api/db/functions/test",
        "/api/db/invariants",
        "/api/db/debug/all",
        "/api/health",
        "/api/metrics",
        "/api/livez",
        "/api/readyz",
        "/api/monitor/poison",
        "/api/openapi.json",
        "/api/docs",
        "/api/docs/start.js",
    ],
}
