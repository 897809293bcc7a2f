"""What operators look at: counts, diagnostics, invariants, poison messages; and changes of the schema."""

from __future__ import annotations

from typing import Annotated

import azure.functions as func
from pydantic import Field

from interfaces.errors import FieldError, Forbidden

from .dependencies import Document, HttpDependencies
from .requests import Limit, Query, Request, page_size
from .responses import answer
from .routing import Endpoint

SETTING = "ALLOW_DESTRUCTIVE_SCHEMA_OPERATIONS"
DEBUG_ROWS = 50
NEWEST_POISON = 20


class RecentQuery(Query):
    """How many of the newest to show."""

    limit: Limit | None = None


class ConfirmQuery(Query):
    """`confirm=yes` says that it is meant."""

    confirm: Annotated[str, Field(max_length=20)] = ""


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    look, change = Operations(api), SchemaChanges(api)
    admin = func.AuthLevel.ADMIN
    return [
        Endpoint("db_stats", "db/stats", {"GET": look.stats}),
        Endpoint("db_enums", "db/enums/diagnostic", {"GET": look.enums}),
        Endpoint("db_functions", "db/functions/test", {"GET": look.functions}),
        Endpoint("db_invariants", "db/invariants", {"GET": look.invariants}),
        Endpoint("db_debug", "db/debug/all", {"GET": look.debug}),
        Endpoint("monitor_poison", "monitor/poison", {"GET": look.poison}),
        Endpoint("db_schema_migrate", "db/schema/migrate", {"POST": change.migrate}, admin),
        Endpoint("db_schema_redeploy", "db/schema/redeploy", {"POST": change.redeploy}, admin),
        Endpoint("db_schema_nuke", "db/schema/nuke", {"POST": change.nuke}, admin),
    ]


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
