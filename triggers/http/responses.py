"""Answers as JSON, and links between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote, urlencode
from uuid import UUID

import azure.functions as func

ROUTE_PREFIX = "/api"
"""`extensions.http.routePrefix` of host.json. Links are paths: hosts behind proxies know no better."""


def answer(
    document: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """A JSON response."""
    return func.HttpResponse(
        to_json(document), status_code=status, mimetype="application/json", headers=dict(headers or {})
    )


def to_json(document: object) -> str:
    """JSON text. Times are UTC in ISO 8601 with their offset."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, default=plain, separators=(",", ":"))


def plain(value: object) -> object:
    """What JSON has no word for, in the words it has."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"cannot be shown as JSON: {type(value).__name__}")


def path(*segments: str, **query: str | None) -> str:
    """The path of another endpoint; queries that are None are left out."""
    text = "/".join([ROUTE_PREFIX, *(quote(segment, safe="") for segment in segments)])
    given = {name: value for name, value in query.items() if value is not None}
    return f"{text}?{urlencode(given)}" if given else text


def job_links(job_id: str) -> dict[str, str]:
    """Where everything about a job is found."""
    return {
        "status": path("jobs", "status", job_id),
        "explain": path("jobs", job_id, "explain"),
        "cost": path("jobs", job_id, "cost"),
        "results": path("jobs", job_id, "results"),
        "cancel": path("jobs", job_id, "cancel"),
        "retry": path("jobs", job_id, "retry"),
        "rerun": path("jobs", job_id, "rerun"),
        "job": path("db", "jobs", job_id),
        "tasks": path("db", "tasks", job_id),
        "events": path("db", "events", job_id),
    }
