"""Removal of what ended long ago, on request."""

from __future__ import annotations

from typing import Annotated

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interfaces.access import Role
from interfaces.contracts import JsonObject
from interfaces.errors import InvalidRequest, PayloadTooLarge, field_errors
from interfaces.retention import Cleanup

from .dependencies import HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .requests import Query, Request
from .responses import answer
from .routing import Endpoint


class CleanupBody(BaseModel):
    """What to remove. Nothing is, unless `dry_run` is said to be false."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # A day at least: no handler of a run that ended so long ago still writes.
    older_than_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    dry_run: bool = True
    limit: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Runs."""


CLEANUP = Operation(
    Tag.DATABASE,
    {200: Answer("What was removed, or would be", Cleanup)},
    body=CleanupBody,
    problems=(PayloadTooLarge, *DATABASE),
    says='Without `"dry_run": false` nothing is removed. The answer comes after about 20 s at the latest.',
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    maintenance = Maintenance(api)
    return [
        Endpoint(
            "db_cleanup",
            "db/maintenance/cleanup",
            {"POST": maintenance.cleanup},
            Role.OPERATOR,
            operations={"POST": CLEANUP},
        )
    ]


class Maintenance:
    """What operators do to keep the database small."""

    def __init__(self, api: HttpDependencies) -> None:
        self._retention = api.retention
        self._audit = api.audit
        self._max_bytes = api.settings.max_parameters_bytes

    def cleanup(self, request: Request) -> func.HttpResponse:
        """Remove old runs, or count them."""
        request.query(Query)
        body = _parsed(request.json_object(max_bytes=self._max_bytes))
        if not body.dry_run:
            # Before anything is removed, in many transactions: what ends in between is not done unseen.
            self._audit.note("cleanup_asked", older_than_days=body.older_than_days, limit=body.limit)
        done = self._retention.cleanup(body.older_than_days, dry_run=body.dry_run, limit=body.limit)
        return answer(done.model_dump())


def _parsed(body: JsonObject) -> CleanupBody:
    try:
        return CleanupBody.model_validate(body)
    except ValidationError as error:
        errors = field_errors(error)
        raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors) from None
