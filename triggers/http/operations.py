"""What operators look at: counts, diagnostics, invariants, poison messages; and changes of the schema."""

from __future__ import annotations

from typing import Annotated

import azure.functions as func
from pydantic import BaseModel, Field

from interfaces.access import Role
from interfaces.errors import FieldError, Forbidden, MigrationError, PayloadTooLarge

from .dependencies import Document, HttpDependencies
from .documentation import DATABASE, Answer, Operation, Tag
from .documents import operations as documents
from .requests import Limit, Query, Request, page_size
from .responses import answer
from .routing import Endpoint, Handler

SETTING = "ALLOW_DESTRUCTIVE_SCHEMA_OPERATIONS"
DEBUG_ROWS = 50
NEWEST_POISON = 20


class RecentQuery(Query):
    """How many of the newest to show."""

    limit: Limit | None = None


class ConfirmQuery(Query):
    """`confirm=yes` says that it is meant."""

    confirm: Annotated[str, Field(max_length=20)] = ""


def _look(says: str, model: type[BaseModel], query: type[Query] = Query) -> Operation:
    return Operation(Tag.DATABASE, {200: Answer(says, model)}, query=query, problems=DATABASE)


STATS = _look("Counts and sizes", documents.Stats)
ENUMS = _look("Both sides of each enum", documents.Enums)
FUNCTIONS = _look("What became of each", documents.SqlFunctions)
INVARIANTS = _look("What is found in them", documents.Invariants)
DEBUG = _look("A bounded part of everything", documents.Debug, RecentQuery)
POISON = _look("Counts, and the newest", documents.PoisonMessages, RecentQuery)
CHANGE = Operation(
    Tag.DATABASE,
    {200: Answer("What was done", documents.SchemaChange)},
    query=ConfirmQuery,
    problems=(Forbidden, MigrationError, PayloadTooLarge, *DATABASE),
    says=f"Asks for the admin key, `confirm=yes` and the setting `{SETTING}`. Happens whole or not at all.",
)


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    look, change = Operations(api), SchemaChanges(api)
    return [
        _get("db_stats", "db/stats", look.stats, STATS),
        _get("db_enums", "db/enums/diagnostic", look.enums, ENUMS),
        _get("db_functions", "db/functions/test", look.functions, FUNCTIONS, Role.OPERATOR),
        _get("db_invariants", "db/invariants", look.invariants, INVARIANTS),
        _get("db_debug", "db/debug/all", look.debug, DEBUG, Role.OPERATOR),
        _get("monitor_poison", "monitor/poison", look.poison, POISON),
        _change("migrate", change.migrate),
        _change("redeploy", change.redeploy),
        _change("nuke", change.nuke),
    ]


def _get(name: str, route: str, handler: Handler, operation: Operation, role: Role = Role.READER) -> Endpoint:
    return Endpoint(name, route, {"GET": handler}, role, operations={"GET": operation})


def _change(name: str, handler: Handler) -> Endpoint:
    route = f"db/schema/{name}"
    return Endpoint(f"db_schema_{name}", route, {"POST": handler}, Role.ADMIN, operations={"POST": CHANGE})


class Operations:
    """Documents about the whole app."""

    def __init__(self, api: HttpDependencies) -> None:
        self._api = api

    def stats(self, request: Request) -> func.HttpResponse:
        """Counts and sizes."""
        request.query(Query)
        return answer(self._api.diagnostics.stats())

    def enums(self, request: Request) -> func.HttpResponse:
        """Whether the schema's enums and Python's are the same."""
        request.query(Query)
        return answer(self._api.diagnostics.enums())

    def functions(self, request: Request) -> func.HttpResponse:
        """Whether every SQL function exists and works."""
        request.query(Query)
        return answer(self._api.diagnostics.functions())

    def invariants(self, request: Request) -> func.HttpResponse:
        """The views that must be empty."""
        request.query(Query)
        return answer(self._api.invariants.violations())

    def poison(self, request: Request) -> func.HttpResponse:
        """Recorded poison messages."""
        limit = request.query(RecentQuery).limit
        newest = page_size(limit, self._api.settings) if limit else NEWEST_POISON
        return answer(self._api.inspection.poison(newest))

    def debug(self, request: Request) -> func.HttpResponse:
        """Everything above in one document, a bounded part of each."""
        limit = request.query(RecentQuery).limit
        rows = page_size(limit, self._api.settings) if limit else DEBUG_ROWS
        document: Document = {
            "stats": self._api.diagnostics.stats(),
            "migrations": self._api.schema.state(),
            "invariants": self._api.invariants.counts(),
            **self._api.diagnostics.recent(rows),
            "poison": self._api.inspection.poison(rows),
        }
        return answer(document)


class SchemaChanges:
    """Changes of the schema, behind the admin key, a confirmation and a setting."""

    def __init__(self, api: HttpDependencies) -> None:
        self._schema = api.schema
        self._allowed = api.settings.allow_destructive_schema_operations
        self._max_bytes = api.settings.max_parameters_bytes

    def migrate(self, request: Request) -> func.HttpResponse:
        """Apply what is pending."""
        self._check(request)
        return answer({"operation": "migrate", **self._schema.migrate()})

    def redeploy(self, request: Request) -> func.HttpResponse:
        """Drop the schema with all jobs and make it anew."""
        self._check(request)
        return answer({"operation": "redeploy", **self._schema.redeploy()})

    def nuke(self, request: Request) -> func.HttpResponse:
        """Drop the schema with all jobs."""
        self._check(request)
        return answer({"operation": "nuke", **self._schema.nuke()})

    def _check(self, request: Request) -> None:
        confirm = request.query(ConfirmQuery).confirm
        request.no_body(max_bytes=self._max_bytes)
        missing = []
        if confirm != "yes":
            missing.append(FieldError(field="confirm", reason="must be yes"))
        if not self._allowed:
            missing.append(FieldError(field=SETTING, reason="the setting must be true"))
        if missing:
            detail = "; ".join(f"{item.field}: {item.reason}" for item in missing)
            raise Forbidden(f"schema operations are not allowed: {detail}", errors=missing)
