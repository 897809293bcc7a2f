"""Which function a request belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from local.functions_host.errors import HostConfigurationError
from local.functions_host.function_app import HTTP_TRIGGER, Binding, FunctionDefinition
from local.functions_host.route_template import RouteTemplate


class AuthLevel(StrEnum):
    """`authLevel` of an HTTP trigger: which key a request must bring."""

    ANONYMOUS = "anonymous"
    FUNCTION = "function"
    ADMIN = "admin"


@dataclass(frozen=True)
class HttpRoute:
    """One HTTP function's route. `methods` is None when the function answers all of them."""

    function: FunctionDefinition
    template: RouteTemplate
    methods: frozenset[str] | None
    auth_level: AuthLevel

    def accepts(self, method: str) -> bool:
        """Tell whether the function answers this method; HEAD is admitted wherever GET is."""
        if self.methods is None or method in self.methods:
            return True
        return method == "HEAD" and "GET" in self.methods


@dataclass(frozen=True)
class RouteMatch:
    """The route of a request and its parameters."""

    route: HttpRoute
    parameters: dict[str, str]


@dataclass(frozen=True)
class HeadNotAllowed:
    """HEAD was asked of a route that answers neither GET nor HEAD."""

    allowed: frozenset[str]


class RouteTable:
    """All routes, tried in the order of the function names.

    The real host has no other precedence: `items/{id}` of function `a` wins over `items/recent` of function
    `b` (https://github.com/Azure/azure-functions-host/issues/9876). A path whose method no route answers is
    not found (404), because the methods are a constraint of the route; only HEAD is told 405.

    Raises:
        HostConfigurationError: two functions have the same route and a method in common.
    """

    def __init__(self, functions: Iterable[FunctionDefinition], prefix: str) -> None:
        http = (function for function in functions if function.trigger.type == HTTP_TRIGGER)
        self.routes = tuple(_route(function, prefix) for function in http)
        self._check_conflicts()

    def find(self, method: str, segments: list[str]) -> RouteMatch | HeadNotAllowed | None:
        """Return the route for a request path given as decoded segments."""
        refused: HeadNotAllowed | None = None
        for route in self.routes:
            parameters = route.template.match(segments)
            if parameters is None:
                continue
            if route.accepts(method):
                return RouteMatch(route, parameters)
            if method == "HEAD" and refused is None:
                refused = HeadNotAllowed(route.methods or frozenset())
        return refused

    def _check_conflicts(self) -> None:
        for index, first in enumerate(self.routes):
            for second in self.routes[index + 1 :]:
                same = first.template.text.lower() == second.template.text.lower()
                if same and _share_a_method(first.methods, second.methods):
                    raise HostConfigurationError(
                        f"function {second.function.name!r}: the route specified conflicts with the route "
                        f"defined by function {first.function.name!r}"
                    )


def _share_a_method(first: frozenset[str] | None, second: frozenset[str] | None) -> bool:
    return first is None or second is None or bool(first & second)


def _route(function: FunctionDefinition, prefix: str) -> HttpRoute:
    trigger = function.trigger
    # The default route is the function's name.
    route = (trigger.text("route") or function.name).strip("/")
    try:
        template = RouteTemplate(f"{prefix}/{route}" if prefix else route)
        level = AuthLevel((trigger.text("authLevel") or AuthLevel.FUNCTION).lower())
    except (HostConfigurationError, ValueError) as error:
        raise HostConfigurationError(f"function {function.name!r}: {error}") from error
    if template.text.split("/")[0].lower() in ("admin", "runtime"):
        raise HostConfigurationError(
            f"function {function.name!r}: the route specified conflicts with one or more built in routes"
        )
    return HttpRoute(function, template, _methods(trigger), level)


def _methods(trigger: Binding) -> frozenset[str] | None:
    methods = trigger.properties.get("methods")
    if not isinstance(methods, list):
        return None
    return frozenset(str(method).upper() for method in methods)
