"""The STAC API below /api/stac: which key a request needs, how large it may be, what its links begin with.

What it answers is stac-fastapi-pgstac's business (`repositories.catalog_api`).
"""

from __future__ import annotations

from urllib.parse import unquote_plus, unquote_to_bytes, urlsplit

import azure.functions as func

from interfaces.catalog_ids import why_unfit
from interfaces.catalog_requests import CatalogAnswer, CatalogRequest

from .dependencies import HttpDependencies
from .forwarding import HEADERS, public_address
from .json_body import BODY, json_value
from .problems import bad_field
from .requests import KEY_PARAMETERS, Request
from .responses import ROUTE_PREFIX
from .routing import AsyncHandler, Endpoint

ROOT = f"{ROUTE_PREFIX}/stac"
KEY_HEADERS = {"x-functions-key", "x-functions-clientid"}
CHANGES = (func.HttpMethod.POST, func.HttpMethod.PUT, func.HttpMethod.PATCH, func.HttpMethod.DELETE)
LOOKS = (func.HttpMethod.GET, func.HttpMethod.HEAD, func.HttpMethod.OPTIONS)
ALLOWED = ", ".join(sorted(method.value for method in (*CHANGES, *LOOKS)))


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module. Their names are in the order in which the host must try them."""
    catalog = CatalogEndpoint(api)
    function, anonymous = func.AuthLevel.FUNCTION, func.AuthLevel.ANONYMOUS
    reads = anonymous if api.settings.catalog_anonymous_reads else function
    look: dict[str, AsyncHandler] = {"GET": catalog.look, "OPTIONS": catalog.options}
    changes: dict[str, AsyncHandler] = {method.value: catalog.change for method in CHANGES}
    return [
        Endpoint("stac_look", "stac/{*path}", look, reads, taken=LOOKS),
        Endpoint(
            "stac_search", "stac/search", {"POST": catalog.search}, reads, taken=(func.HttpMethod.POST,)
        ),
        Endpoint("stac_write", "stac/{*path}", changes, function, taken=CHANGES),
    ]


class CatalogEndpoint:
    """Hands requests on to the STAC API. Nothing here blocks."""

    def __init__(self, api: HttpDependencies) -> None:
        self._api = api.catalog_api
        self._settings = api.settings

    async def look(self, request: Request) -> func.HttpResponse:
        """GET and HEAD, of everything."""
        return await self._answered(request, b"", method="GET")

    async def search(self, request: Request) -> func.HttpResponse:
        """POST to /search reads."""
        body = request.body() if request.body().strip() else b"{}"
        _checked(body, self._settings.max_parameters_bytes, {dict: "a JSON object"})
        return await self._answered(request, body)

    async def change(self, request: Request) -> func.HttpResponse:
        """Create, replace, patch or delete items and collections."""
        if request.method == "DELETE":
            return await self._answered(request, b"")
        kinds: dict[type, str] = {dict: "a JSON object"}
        if request.method == "PATCH":
            kinds = {dict: "a JSON object", list: "an array of operations (RFC 6902)"}
        body = request.body() if request.body().strip() else b"{}"
        value = _checked(body, self._settings.catalog_max_body_bytes, kinds)
        if request.method in ("POST", "PUT"):
            _check_ids(value)
        return await self._answered(request, body)

    async def options(self, request: Request) -> func.HttpResponse:
        """What a browser asks before it asks, or the methods there are."""
        if {"origin", "access-control-request-method"} <= request.headers.keys():
            return await self._answered(request, b"")
        return func.HttpResponse(status_code=204, headers={"Allow": ALLOWED})

    async def _answered(
        self, request: Request, body: bytes, *, method: str | None = None
    ) -> func.HttpResponse:
        scheme, host, root = self._address(request)
        answer = await self._api.answer(
            CatalogRequest(
                method=method or request.method,
                scheme=scheme,
                host=host,
                root=root,
                path=_path(request),
                query=_query(request),
                headers=_headers(request),
                body=body,
            )
        )
        return _response(answer)

    def _address(self, request: Request) -> tuple[str, str, str]:
        if self._settings.catalog_public_url:
            told = urlsplit(self._settings.catalog_public_url)
            return told.scheme, told.netloc, told.path.rstrip("/")
        address = public_address(request.url, request.headers)
        return address.scheme, address.host, address.prefix + ROOT


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


def _path(request: Request) -> str:
    """Below the root, whose length alone is sure: the host minds neither case nor a slash at the end."""
    try:
        return unquote_to_bytes(request.path[len(ROOT) :]).decode().rstrip("/") or "/"
    except UnicodeDecodeError:
        raise bad_field("path", "is not UTF-8") from None


def _query(request: Request) -> str:
    """As it was sent, without keys, however their names are written: the answer repeats it in links."""
    pairs = urlsplit(request.url).query.split("&")
    return "&".join(pair for pair in pairs if _name(pair) not in KEY_PARAMETERS)


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0]).strip().lower()


def _headers(request: Request) -> tuple[tuple[str, str], ...]:
    """Without keys and without what proxies said. The body is JSON whatever its type is called."""
    dropped = {*HEADERS, *KEY_HEADERS, "content-length", "host"}
    kept = {name: value for name, value in request.headers.items() if name not in dropped}
    if "json" not in kept.get("content-type", ""):
        kept["content-type"] = "application/json"
    return tuple(kept.items())


def _response(answer: CatalogAnswer) -> func.HttpResponse:
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        if name != "content-length":
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return func.HttpResponse(
        answer.body, status_code=answer.status, headers=headers, mimetype=headers.get("content-type")
    )
