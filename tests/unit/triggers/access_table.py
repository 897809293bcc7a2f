"""Which role each method of each endpoint needs, written out once more: a slip in a declaration is seen."""

from __future__ import annotations

NEEDS = {
    # Nothing of these tells of jobs.
    ("GET", "livez"): "anyone",
    ("GET", "readyz"): "anyone",
    ("GET", "openapi.json"): "anyone",
    ("GET", "docs"): "anyone",
    ("GET", "docs/{file}"): "anyone",
    ("GET", "dashboard/{*path}"): "anyone",
    ("GET", "health"): "reader",
    ("GET", "metrics"): "reader",
    ("GET", "jobs/types"): "reader",
    ("GET", "jobs/status/{job_id}"): "reader",
    ("GET", "jobs/{job_id}/cost"): "reader",
    ("GET", "jobs/{job_id}/coverage"): "reader",
    ("GET", "jobs/{job_id}/explain"): "reader",
    ("GET", "jobs/{job_id}/failures"): "reader",
    ("GET", "jobs/{job_id}/logs"): "reader",
    ("GET", "jobs/{job_id}/results"): "reader",
    ("GET", "jobs/{job_id}/tasks/{stage}/{task_index}"): "reader",
    ("GET", "jobs/{job_id}/timeline"): "reader",
    ("GET", "cogs/thumbnail"): "reader",
    ("GET", "db/jobs"): "reader",
    ("GET", "db/jobs/{job_id}"): "reader",
    ("GET", "db/tasks"): "reader",
    ("GET", "db/tasks/{job_id}"): "reader",
    ("GET", "db/events/{job_id}"): "reader",
    ("GET", "db/stats"): "reader",
    ("GET", "db/enums/diagnostic"): "reader",
    ("GET", "db/invariants"): "reader",
    ("GET", "db/limits"): "reader",
    ("GET", "monitor/activity"): "reader",
    ("GET", "monitor/history"): "reader",
    ("GET", "monitor/poison"): "reader",
    ("GET", "monitor/queues"): "reader",
    ("GET", "schedules"): "operator",
    ("GET", "schedules/{name}"): "operator",
    ("POST", "jobs/submit"): "submitter",
    ("POST", "jobs/submit/{job_type}"): "submitter",
    ("POST", "jobs/{job_id}/cancel"): "submitter",
    ("POST", "jobs/{job_id}/retry"): "submitter",
    ("POST", "jobs/{job_id}/rerun"): "submitter",
    ("GET", "db/audit"): "operator",
    ("GET", "db/debug/all"): "operator",
    ("GET", "db/functions/test"): "operator",
    ("PUT", "db/limits/{kind}/{name}"): "operator",
    ("POST", "db/maintenance/cleanup"): "operator",
    ("POST", "monitor/poison/{poison_id}/replay"): "operator",
    ("POST", "schedules"): "operator",
    ("DELETE", "schedules/{name}"): "operator",
    ("POST", "schedules/{name}/enable"): "operator",
    ("POST", "schedules/{name}/disable"): "operator",
    ("GET", "subscriptions"): "operator",
    ("POST", "subscriptions"): "operator",
    ("DELETE", "subscriptions/{subscription_id}"): "operator",
    ("GET", "callbacks"): "operator",
    ("POST", "callbacks/resend"): "operator",
    ("POST", "callbacks/{callback_id}/resend"): "operator",
    ("POST", "db/schema/migrate"): "admin",
    ("POST", "db/schema/redeploy"): "admin",
    ("POST", "db/schema/nuke"): "admin",
}
MOUNTED = {
    ("GET", "features/{*path}"): "reader",
    ("OPTIONS", "features/{*path}"): "reader",
    ("GET", "stac/{*path}"): "reader",
    ("OPTIONS", "stac/{*path}"): "reader",
    ("POST", "stac/search"): "reader",
    ("POST", "stac/{*path}"): "operator",
    ("PUT", "stac/{*path}"): "operator",
    ("PATCH", "stac/{*path}"): "operator",
    ("DELETE", "stac/{*path}"): "operator",
}
"""The APIs of libraries. With `…_ANONYMOUS_READS` what needs a reader here needs nobody."""
ROLES = ("none", "reader", "submitter", "operator", "admin")
"""Of callers, weakest first; `none`: an identity without any of ours."""


def let_in(needed: str, role: str) -> bool:
    """Whether a caller with this role may."""
    return needed == "anyone" or ROLES.index(role) >= ROLES.index(needed)
