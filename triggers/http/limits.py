"""Limits of concurrency, read and changed while jobs run."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interfaces.access import Role
from interfaces.contracts import JsonObject
from interfaces.errors import InvalidRequest, NotFound, PayloadTooLarge, UnknownJobType, field_errors

from .dependencies import HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import operations as documents
from .requests import Query, Request
from .responses import answer
from .routing import Endpoint


class LimitBody(BaseModel):
    """What a limit is set to: 0 holds everything of the type back, null removes the limit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    at_most: Annotated[int, Field(ge=0, le=1_000_000)] | None


ALL = Operation(
    Tag.DATABASE,
    {200: Answer("Every limit, with what runs and waits", documents.ConcurrencyLimits)},
    problems=DATABASE,
)
PUT = replace(
    ALL,
    body=LimitBody,
    problems=(UnknownJobType, NotFound, PayloadTooLarge, *DATABASE),
    says="It holds for all workers at once: what runs goes on, what may run now is woken.",
    path={"kind": ("job", "task")},
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    limits = ConcurrencyLimits(api)
    return [
        Endpoint("db_limits", "db/limits", {"GET": limits.all}, Role.READER, operations={"GET": ALL}),
        Endpoint(
            "db_limits_of_type",
            "db/limits/{kind}/{name}",
            {"PUT": limits.put},
            Role.OPERATOR,
            dispatches=True,
            operations={"PUT": PUT},
        ),
    ]


class ConcurrencyLimits:
    """How many jobs of a type, or tasks of a type, may run at once."""

    def __init__(self, api: HttpDependencies) -> None:
        self._limits = api.limits
        self._max_bytes = api.settings.max_parameters_bytes

    def all(self, request: Request) -> func.HttpResponse:
        """Every limit, with what runs and waits now."""
        request.query(Query)
        return self._listed()

    def put(self, request: Request) -> func.HttpResponse:
        """Set or remove a limit; it is no error to remove what is not there."""
        request.query(Query)
        body = _parsed(request.json_object(max_bytes=self._max_bytes))
        self._limits.set(request.route("kind"), request.route("name"), body.at_most)
        return self._listed()

    def _listed(self) -> func.HttpResponse:
        return answer({"limits": [limit.model_dump(mode="json") for limit in self._limits.all()]})


def _parsed(body: JsonObject) -> LimitBody:
    try:
        return LimitBody.model_validate(body)
    except ValidationError as error:
        errors = field_errors(error)
        raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors) from None
