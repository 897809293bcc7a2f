"""Endpoints and how the Functions host gets to them.

The host makes the methods a part of the route and answers 404 for one that no function lists. To answer
405 as HTTP has it, each URL is one function that takes every method and picks the handler itself.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import azure.functions as func

from engine import waking
from engine.observing import about, attributes
from engine.redaction import trace
from interfaces.access import Caller, Role, calling
from interfaces.errors import MethodNotAllowed
from interfaces.settings import Settings
from interfaces.tracing import NO_TRACING, SpanKind, Tracing, Value
from triggers.outputs import wake, with_outputs
from triggers.threads import Threads

from .access import Gate, KeyGate
from .documentation import Operation
from .problems import known, problem
from .rate_limits import RateLimits
from .requests import Request
from .responses import ROUTE_PREFIX

logger = logging.getLogger(__name__)

Handler = Callable[[Request], func.HttpResponse]
AsyncHandler = Callable[[Request], Awaitable[func.HttpResponse]]
Answer = Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]

CORRELATION_HEADER = "x-correlation-id"
BY_KEYS = KeyGate()


@dataclass(frozen=True)
class Endpoint:
    """A URL below the route prefix, and who answers which method there.

    The host tries routes in the order of the functions' names and knows no other precedence
    (https://github.com/Azure/azure-functions-host/issues/9876), so names decide between routes that both
    match a path.
    """

    name: str
    route: str
    methods: Mapping[str, Handler | AsyncHandler]
    role: Role | Mapping[str, Role]
    """What a caller must be, or what for each method (docs/access.md)."""
    dispatches: bool = False
    """Whether a handler sends messages, whose listeners are to be woken."""
    traced: bool = True
    """Whether a request is a span; not where machines ask every few seconds."""
    limited: bool = True
    """Whether requests are counted for their callers; not where the platform asks how the app is."""
    taken: Sequence[func.HttpMethod] = tuple(func.HttpMethod)
    """The methods that get here at all. Fewer where another function has the same route and another key."""
    operations: Mapping[str, Operation] = field(default_factory=dict)
    """What the OpenAPI document says of each method."""
    documented_at: str = ""
    """Where an application that answers everything below the route describes itself, in place of that."""

    def needs(self, method: str) -> Role:
        """The role that a request needs. Whoever may use any method may learn which there are."""
        if isinstance(self.role, Role):
            return self.role
        return self.role.get("GET" if method == "HEAD" else method, min(self.role.values()))

    @property
    def strongest(self) -> Role:
        """The role that the most demanding method needs."""
        return self.role if isinstance(self.role, Role) else max(self.role.values())

    @property
    def allowed(self) -> str:
        """The methods answered here, as the Allow header lists them."""
        return ", ".join(sorted({*self.methods, "OPTIONS", *(["HEAD"] if "GET" in self.methods else [])}))


def register(
    blueprint: func.Blueprint,
    endpoint: Endpoint,
    settings: Settings,
    threads: Threads,
    tracing: Tracing = NO_TRACING,
    gate: Gate = BY_KEYS,
    limits: RateLimits | None = None,
) -> None:
    """Add the endpoint as a function that takes every method.

    A handler that is a coroutine runs on the event loop and must not block it, others on `threads`.
    """
    counted = limits if endpoint.limited else None
    answer = _answering(endpoint, threads, gate, tracing if endpoint.traced else NO_TRACING, counted)
    entry = _waking(answer) if endpoint.dispatches else answer
    entry.__name__ = endpoint.name
    routed = blueprint.route(
        route=endpoint.route, methods=list(endpoint.taken), auth_level=gate.level(endpoint.strongest)
    )
    function = blueprint.function_name(endpoint.name)(routed(entry))
    if endpoint.dispatches:
        with_outputs(blueprint, settings, function)


def _waking(answer: Answer) -> Callable[..., Awaitable[func.HttpResponse]]:
    async def entry(
        req: func.HttpRequest, jobs: func.Out[str], tasks: func.Out[str], context: func.Context
    ) -> func.HttpResponse:
        with waking() as wakes:
            response = await answer(req, context)
        wake(wakes, jobs, tasks)
        return response

    return entry


def _answering(
    endpoint: Endpoint, threads: Threads, gate: Gate, tracing: Tracing, limits: RateLimits | None = None
) -> Answer:
    # Where the host asks for no key, anybody may say that they have one.
    by_key = gate.level(endpoint.strongest) is not func.AuthLevel.ANONYMOUS

    async def answer(request: Request, context: func.Context) -> func.HttpResponse:
        try:
            if limits is not None:
                # Before the caller is asked who they are, which takes more.
                limits.admit(request, by_key=by_key)
            principal = await gate.admit(endpoint.needs(request.method), request, context)
            handler = _chosen(endpoint, request)
            with calling(Caller(principal, request.correlation_id)):
                if inspect.iscoroutinefunction(handler):
                    return cast(func.HttpResponse, await handler(request))
                return cast(func.HttpResponse, await threads.run(context, handler, request))
        except Exception as error:  # noqa: BLE001 - the caller gets a problem, never a trace
            return _failed(request, error)

    async def entry(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        request, started = Request(req), perf_counter()
        route = f"{ROUTE_PREFIX}/{endpoint.route}"
        known: dict[str, Value] = {"http.request.method": request.method, "http.route": route}
        correlated = attributes({"correlation_id": request.correlation_id})
        with (
            about(correlation_id=request.correlation_id),
            tracing.span(
                f"{request.method} {route}", request.traceparent, known | correlated, kind=SpanKind.SERVER
            ) as span,
        ):
            response = await answer(request, context)
            span.set({"http.response.status_code": response.status_code})
            if response.status_code >= 500:
                span.failed(f"answered {response.status_code}")
            return _finished(endpoint, request, response, started)

    return entry


def _chosen(endpoint: Endpoint, request: Request) -> Handler | AsyncHandler:
    if request.method == "OPTIONS" and "OPTIONS" not in endpoint.methods:
        return lambda _: func.HttpResponse(status_code=204, headers={"Allow": endpoint.allowed})
    handler = endpoint.methods.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        raise MethodNotAllowed(request.method, endpoint.allowed)
    return handler


def _failed(request: Request, error: Exception) -> func.HttpResponse:
    told = known(error)
    if told.status >= 500:
        logger.error("%s %s [%s]\n%s", request.method, request.path, request.correlation_id, trace(error))
    return problem(told, instance=request.path, correlation_id=request.correlation_id)


def _finished(
    endpoint: Endpoint, request: Request, response: func.HttpResponse, started: float
) -> func.HttpResponse:
    response.headers[CORRELATION_HEADER] = request.correlation_id
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    logger.info(
        "%s %s -> %d in %.0f ms [%s]",
        request.method,
        endpoint.route,
        response.status_code,
        (perf_counter() - started) * 1000,
        request.correlation_id,
    )
    return response
