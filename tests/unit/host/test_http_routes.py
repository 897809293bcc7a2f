"""Which function a request belongs to."""

from __future__ import annotations

import azure.functions as func
import pytest

from local.functions_host.errors import HostConfigurationError
from local.functions_host.function_app import read_functions
from local.functions_host.http_routes import AuthLevel, HeadNotAllowed, RouteMatch, RouteTable


def table(*routes: tuple[str, str | None, list[str] | None], prefix: str = "api") -> RouteTable:
    """A table of functions given as name, route and methods."""
    app = func.FunctionApp()
    for name, route, methods in routes:

        def handler(req: func.HttpRequest) -> str:
            return ""

        app.function_name(name)(app.route(route=route, methods=methods)(handler))
    return RouteTable(read_functions(app), prefix)


def found(routes: RouteTable, method: str, path: str) -> str | None:
    match = routes.find(method, [part for part in path.split("/") if part])
    return match.route.function.name if isinstance(match, RouteMatch) else None


def test_the_default_route_is_the_function_name() -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#http-trigger"""
    assert found(table(("hello", None, None)), "GET", "/api/hello") == "hello"


def test_the_route_prefix_is_in_front_of_every_route() -> None:
    routes = [("hello", "/{*rest}", None)]
    assert found(table(*routes, prefix=""), "GET", "/a/b") == "hello"
    assert found(table(*routes, prefix="v1/x"), "GET", "/v1/x/a") == "hello"
    assert found(table(*routes, prefix="v1/x"), "GET", "/a") is None


def test_a_function_without_methods_answers_all_of_them() -> None:
    routes = table(("hello", None, None))
    assert all(found(routes, method, "/api/hello") for method in ("GET", "PUT", "OPTIONS", "HEAD"))


def test_a_method_that_no_function_of_the_route_answers_is_not_found() -> None:
    """The methods are a route constraint in the host (`WebScriptHostHttpRoutesManager`)."""
    routes = table(("get", "jobs", ["GET"]), ("post", "jobs", ["POST"]))
    assert found(routes, "GET", "/api/jobs") == "get"
    assert found(routes, "POST", "/api/jobs") == "post"
    assert routes.find("DELETE", ["api", "jobs"]) is None
    assert routes.find("OPTIONS", ["api", "jobs"]) is None


def test_head_is_admitted_where_get_is_and_else_told_what_is_allowed() -> None:
    """`BuildConstraintMethods` and `ShouldRegisterHeadNotAllowedRoute` of the host."""
    routes = table(("get", "a", ["GET"]), ("post", "b", ["POST", "PUT"]))
    assert found(routes, "HEAD", "/api/a") == "get"
    assert routes.find("HEAD", ["api", "b"]) == HeadNotAllowed(frozenset({"POST", "PUT"}))


def test_of_several_routes_that_match_the_first_by_function_name_wins() -> None:
    """https://github.com/Azure/azure-functions-host/issues/9876"""
    assert (
        found(table(("b", "items/recent", None), ("a", "items/{id}", None)), "GET", "/api/items/recent")
        == "a"
    )
    assert (
        found(table(("a", "items/recent", None), ("b", "items/{id}", None)), "GET", "/api/items/recent")
        == "a"
    )


def test_two_functions_with_the_same_route_and_method_conflict() -> None:
    with pytest.raises(HostConfigurationError, match=r"'b'.*conflicts .* defined by function 'a'"):
        table(("a", "jobs", ["GET"]), ("b", "Jobs", ["GET", "POST"]))


def test_the_routes_of_the_host_itself_cannot_be_taken() -> None:
    with pytest.raises(HostConfigurationError, match="built in routes"):
        table(("a", "admin/x", None), prefix="")


def test_the_default_auth_level_is_function() -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#http-auth"""
    assert table(("a", None, None)).routes[0].auth_level is AuthLevel.FUNCTION
