"""The STAC API below /api/stac: which role a request needs, how large it may be, what its links begin with.

What it answers is stac-fastapi-pgstac's business (`repositories.catalog_api`).
"""

from __future__ import annotations

import asyncio

import azure.functions as func

from interfaces.access import Role
from interfaces.catalog_ids import why_unfit

from .dependencies import HttpDependencies
from .json_body import BODY, json_value
from .mounting import Mount
from .problems import bad_field
from .requests import Request
from .routing import AsyncHandler, Endpoint

CHANGES = (func.HttpMethod.POST, func.HttpMethod.PUT, func.HttpMethod.PATCH, func.HttpMethod.DELETE)
LOOKS = (func.HttpMethod.GET, func.HttpMethod.HEAD, func.HttpMethod.OPTIONS)
DOCUMENT = "stac/api"
ALLOWED = ", ".join(sorted(method.value for method in (*CHANGES, *LOOKS)))


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module. Their names are in the order in which the host must try them."""
    catalog = CatalogEndpoint(api)
    reads = Role.ANYONE if api.settings.catalog_anonymous_reads else Role.READER
    look: dict[str, AsyncHandler] = {"GET": catalog.look, "OPTIONS": catalog.options}
    changes: dict[str, AsyncHandler] = {method.value: catalog.change for method in CHANGES}
    return [
        Endpoint("stac_look", "stac/{*path}", look, reads, taken=LOOKS, documented_at=DOCUMENT),
        Endpoint(
            "stac_search",
            "stac/search",
            {"POST": catalog.search},
            reads,
            taken=(func.HttpMethod.POST,),
            documented_at=DOCUMENT,
        ),
        Endpoint("stac_write", "stac/{*path}", changes, Role.OPERATOR, taken=CHANGES, documented_at=DOCUMENT),
    ]


class CatalogEndpoint:
    """Hands requests on to the STAC API. Nothing here blocks."""

    def __init__(self, api: HttpDependencies) -> None:
        self._mount = Mount(api.catalog_api, "stac", api.settings.catalog_public_url)
        self._settings = api.settings
        self._audit = api.audit

    async def look(self, request: Request) -> func.HttpResponse:
        """GET and HEAD, of everything."""
        return await self._mount.answered(request, method="GET")

    async def search(self, request: Request) -> func.HttpResponse:
        """POST to /search reads."""
        body = request.body() if request.body().strip() else b"{}"
        _checked(body, self._settings.max_parameters_bytes, {dict: "a JSON object"})
        return await self._mount.answered(request, body)

    async def change(self, request: Request) -> func.HttpResponse:
        """Create, replace, patch or delete items and collections."""
        if request.method == "DELETE":
            await self._noted(request)
            return await self._mount.answered(request)
        kinds: dict[type, str] = {dict: "a JSON object"}
        if request.method == "PATCH":
            kinds = {dict: "a JSON object", list: "an array of operations (RFC 6902)"}
        body = request.body() if request.body().strip() else b"{}"
        value = _checked(body, self._settings.catalog_max_body_bytes, kinds)
        if request.method in ("POST", "PUT"):
            _check_ids(value)
        await self._noted(request)
        return await self._mount.answered(request, body)

    async def _noted(self, request: Request) -> None:
        """Write down who is about to change what: the application's transaction is none of ours."""
        what = {"method": request.method, "path": request.optional("path")[:500]}
        await asyncio.to_thread(self._audit.note, "catalog_change_asked", **what)

    async def options(self, request: Request) -> func.HttpResponse:
        """What a browser asks before it asks, or the methods there are."""
        return await self._mount.options(request, ALLOWED)


def _checked(body: bytes, max_bytes: int, kinds: dict[type, str]) -> object:
    """Refuse what could not be kept, as everywhere (`json_body`), before the application reads it."""
    value = json_value(body, max_bytes=max_bytes)
    if type(value) not in kinds:
        raise bad_field(BODY, f"must be {' or '.join(kinds.values())}")
    return value


def _check_ids(body: object) -> None:
    """Refuse objects that no URL leads to: one, those of a FeatureCollection, or of bulk_items."""
    if not isinstance(body, dict):
        return
    features, items = body.get("features"), body.get("items")
    found: list[tuple[str, object]] = [("id", body)] if "id" in body else []
    found += [
        (f"features.{n}.id", one) for n, one in enumerate(features if isinstance(features, list) else [])
    ]
    found += [(f"items.{name}.id", one) for name, one in (items if isinstance(items, dict) else {}).items()]
    for field, one in found:
        reason = (
            why_unfit(one.get("id")) if isinstance(one, dict) and isinstance(one.get("id"), str) else None
        )
        if reason is not None:
            raise bad_field(field, reason)
