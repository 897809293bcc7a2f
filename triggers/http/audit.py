"""Who did what (docs/access.md)."""

from __future__ import annotations

from typing import Annotated

import azure.functions as func
from pydantic import Field

from interfaces.access import Role

from .dependencies import HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import audit as documents
from .listings import listed
from .requests import Hours, Limit, Query, Request, Text, page_size, position_of
from .routing import Endpoint

LISTING = "actions"


class ActionsQuery(Query):
    """Filters. `who`: the beginning of a name, or an object id."""

    who: Annotated[Text | None, Field(description="The beginning of a name, or an object id")] = None
    action: Text | None = None
    job_id: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    hours: Hours | None = None
    limit: Limit | None = None
    cursor: str | None = None


ACTIONS = Operation(
    Tag.DATABASE,
    {200: Answer("A page of what was done", documents.Actions, headers=("Link",))},
    query=ActionsQuery,
    problems=DATABASE,
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoint of this module."""
    audit = AuditEndpoint(api)
    return [
        Endpoint("db_audit", "db/audit", {"GET": audit.actions}, Role.OPERATOR, operations={"GET": ACTIONS})
    ]


class AuditEndpoint:
    """Lists what callers did."""

    def __init__(self, api: HttpDependencies) -> None:
        self._audit = api.audit
        self._settings = api.settings

    def actions(self, request: Request) -> func.HttpResponse:
        """What callers did, the newest first."""
        query = request.query(ActionsQuery)
        page = self._audit.actions(
            who=query.who or None,
            action=query.action or None,
            job_id=query.job_id,
            hours=query.hours,
            after=position_of(LISTING, query.cursor),
            limit=page_size(query.limit, self._settings),
        )
        return listed(request, LISTING, page, "db", "audit")
