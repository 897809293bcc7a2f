"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import azure.functions as func
from rfc9457 import Problem, error_class_to_type

from interfaces.errors import (
    DependencyUnavailable,
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    NotAuthenticated,
    OrchestratorError,
    ServiceUnavailable,
    TooManyRequests,
)

from .responses import to_json

PROBLEM_JSON = "application/problem+json"
MISSING_SCHEMA = {"42P01", "42703", "42704", "42883", "3F000"}
"""SQLSTATEs of undefined tables, columns, types, functions and schemas: PostgreSQL's manual, appendix A."""
SIGN_IN_HEADER = "X-Sign-In"
"""Of a 401: where a person signs in, for the operations page."""
RETRY_AFTER_SECONDS = 5
MAX_ERRORS = 50
"""A body can have a hundred thousand wrong fields with endless names; nobody reads an answer as long."""
MAX_DETAIL_CHARACTERS = 2000
MAX_FIELD_CHARACTERS = 200


class SchemaMissing(ServiceUnavailable):
    """The database answers, but lacks what the migrations make."""

    title = "Schema missing"

    def __init__(self) -> None:
        super().__init__("the database lacks the schema or a part of it: run migrate")


class InternalError(OrchestratorError):
    """Something nobody foresaw. Its cause is in the log under the correlation id, and only there."""

    def __init__(self) -> None:
        super().__init__("an unexpected error occurred; the log has it under this correlation id")


def bad_field(field: str, reason: str) -> InvalidRequest:
    """An error about one field of the request."""
    return InvalidRequest(f"{field}: {reason}", errors=[FieldError(field=field, reason=reason)])


def known(error: Exception) -> OrchestratorError:
    """The error itself when it is one of ours, else what may be told of it."""
    if isinstance(error, OrchestratorError):
        return error
    # Read from the attribute: triggers do not know the database driver.
    if getattr(error, "sqlstate", None) in MISSING_SCHEMA:
        return SchemaMissing()
    return InternalError()


def problem(error: OrchestratorError, *, instance: str, correlation_id: str) -> func.HttpResponse:
    """The response for an error. `instance` is the path that was asked for, without its query."""
    document = Problem(
        error.title,
        type_=error_class_to_type(error),
        detail=_short(error.detail, MAX_DETAIL_CHARACTERS),
        status=error.status,
        instance=instance,
        correlation_id=correlation_id,
        errors=[_shown(item) for item in error.errors[:MAX_ERRORS]],
    ).marshal(uri="urn:problem:{type}")
    return func.HttpResponse(
        to_json(document), status_code=error.status, mimetype=PROBLEM_JSON, headers=_headers(error)
    )


def _shown(item: FieldError) -> dict[str, str]:
    return {
        "field": _short(item.field, MAX_FIELD_CHARACTERS),
        "reason": _short(item.reason, MAX_DETAIL_CHARACTERS),
    }


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"


def _headers(error: OrchestratorError) -> Mapping[str, str]:
    if isinstance(error, MethodNotAllowed):
        return {"Allow": error.allowed}
    if isinstance(error, NotAuthenticated):
        sign_in = {SIGN_IN_HEADER: error.sign_in} if error.sign_in else {}
        return {"WWW-Authenticate": error.challenge, **sign_in}
    if isinstance(error, DependencyUnavailable | TooManyRequests):
        return {"Retry-After": str(ceil(error.retry_after))}
    if error.status == ServiceUnavailable.status:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}
