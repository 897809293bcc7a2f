"""HTTP triggers: an ASGI application that calls functions.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping

from azure.functions import HttpResponse
from azure.functions.http import HttpRequest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from local.functions_host.function_app import HTTP_TRIGGER, FunctionDefinition
from local.functions_host.http_routes import AuthLevel, HeadNotAllowed, HttpRoute, RouteMatch, RouteTable
from local.functions_host.invocation import Invoker
from local.functions_host.keys import HostKeys
from local.functions_host.route_template import split_path

# https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits
MAX_BODY_BYTES = 104_857_600

logger = logging.getLogger("Host.Http")

ManualTrigger = Callable[[FunctionDefinition, str], Awaitable[None]]


class BodyTooLarge(Exception):
    """The request's body exceeds the limit."""


class HttpServer:
    """Answers requests by the app's HTTP functions.

    Without `keys` no request is asked for one, as with `func start`. Besides the functions there are the
    start page `/`, `GET /admin/host/status` and `POST /admin/functions/{name}`, which runs a function that
    has another trigger (https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http).
    """

    def __init__(
        self,
        functions: tuple[FunctionDefinition, ...],
        routes: RouteTable,
        invoker: Invoker,
        *,
        keys: HostKeys | None,
        trigger_manually: ManualTrigger,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._others = {f.name.lower(): f for f in functions if f.trigger.type != HTTP_TRIGGER}
        self._routes = routes
        self._invoker = invoker
        self._keys = keys
        self._trigger_manually = trigger_manually
        self._max_body_bytes = max_body_bytes

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/", self._start_page, methods=["GET"]),
                Route("/admin/host/status", self._status, methods=["GET"]),
                Route("/admin/functions/{name}", self._run_manually, methods=["POST"]),
                _Everything(self._answer),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        match = self._routes.find(request.method, split_path(request.scope["raw_path"]))
        if match is None:
            return Response(status_code=404)
        if isinstance(match, HeadNotAllowed):
            return Response(status_code=405, headers={"Allow": ", ".join(sorted(match.allowed))})
        if not self._allowed(request, match.route.auth_level):
            return Response(status_code=401)
        try:
            body = await _read_body(request, self._max_body_bytes)
        except BodyTooLarge:
            return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        return await self._call(request, match, body)

    async def _call(self, request: Request, match: RouteMatch, body: bytes) -> Response:
        def trigger_value() -> HttpRequest:
            return _function_request(request, match.parameters, body)

        reason = "This function was programmatically called via the host APIs."
        result = await self._invoker.invoke(match.route.function, trigger_value, reason)
        if not result.succeeded:
            # The trace is in the log; the caller learns nothing about the inside.
            return Response(status_code=500)
        return _response(result.http_value)

    def _allowed(self, request: Request, level: AuthLevel) -> bool:
        return self._keys is None or self._keys.allow(level, request.headers, request.query_params)

    async def _start_page(self, request: Request) -> Response:
        index = self._routes.find("GET", [])
        if index is not None:
            return await self._answer(request)
        return PlainTextResponse("Your Azure Function App is up and running.\n")

    async def _status(self, request: Request) -> Response:
        if not self._allowed(request, AuthLevel.ADMIN):
            return Response(status_code=401)
        return JSONResponse({"state": "Running", "version": "4", "functions": len(self._routes.routes)})

    async def _run_manually(self, request: Request) -> Response:
        if not self._allowed(request, AuthLevel.ADMIN):
            return Response(status_code=401)
        function = self._others.get(request.path_params["name"].lower())
        if function is None:
            return Response(status_code=404)
        try:
            document = json.loads(await _read_body(request, self._max_body_bytes) or b"{}")
            text = document.get("input") or ""
        except (ValueError, AttributeError, BodyTooLarge):
            return Response(status_code=400)
        await self._trigger_manually(function, text if isinstance(text, str) else json.dumps(text))
        return Response(status_code=202)


class _Everything(BaseRoute):
    """Every method and every path: which ones a function answers is decided by the route table.

    Starlette limits a plain function to GET and HEAD, and no path of its own matches a newline.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell that this is the route of any HTTP request."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)


def describe_routes(routes: tuple[HttpRoute, ...], base_url: str) -> list[str]:
    """Return a line for each HTTP function, as `func start` prints them."""
    return [
        f"{route.function.name}: [{','.join(sorted(route.methods)) if route.methods else 'all'}] "
        f"{base_url}/{route.template.text}"
        for route in routes
    ]


async def _read_body(request: Request, limit: int) -> bytes:
    """Return the body; when it is too large, read it to its end first so that the client sees the answer."""
    declared = request.headers.get("content-length", "")
    too_large = declared.isdecimal() and int(declared) > limit
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > 2 * limit:
            raise BodyTooLarge
        too_large = too_large or size > limit
        if too_large:
            chunks.clear()
        else:
            chunks.append(chunk)
    if too_large:
        raise BodyTooLarge
    return b"".join(chunks)


def _function_request(request: Request, route_parameters: Mapping[str, str], body: bytes) -> HttpRequest:
    """Return the request as the Python worker gets it.

    Header names are lower case and repeated ones joined; repeated query parameters are joined by a comma and
    those without a value are left out.
    """
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    query = {name: ",".join(request.query_params.getlist(name)) for name in request.query_params}
    return HttpRequest(
        method=request.method,
        url=_escaped_url(request),
        headers=headers,
        params={name: value for name, value in query.items() if value},
        route_params=dict(route_parameters),
        body_type="bytes",
        body=body,
    )


def _escaped_url(request: Request) -> str:
    """Return the URL with its path as it was sent; Starlette's own has it decoded."""
    path = request.scope["raw_path"].partition(b"?")[0].decode("ascii", "replace")
    query = request.scope["query_string"].decode("ascii", "replace")
    return f"{request.url.scheme}://{request.url.netloc}{path}{'?' + query if query else ''}"


def _response(value: object) -> Response:
    """Return the answer for what a function's HTTP output got: text, an HttpResponse, or nothing (204)."""
    if value is None:
        return Response(status_code=204)
    if not isinstance(value, HttpResponse):
        return PlainTextResponse(str(value))
    response = Response(value.get_body(), status_code=value.status_code)
    for name, text in value.headers.items():
        if name.lower() not in ("content-length", "transfer-encoding"):
            response.headers.append(name, text)
    if "content-type" not in response.headers:
        charset = f"; charset={value.charset}" if value.mimetype.startswith("text/") else ""
        response.headers["content-type"] = f"{value.mimetype}{charset}"
    return response
