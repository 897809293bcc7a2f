"""HTTP triggers.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx
import pytest

from local.functions_host.app_settings import AppSettings
from local.functions_host.function_app import read_functions
from local.functions_host.host_json import HostOptions
from local.functions_host.instance import Instance
from local.functions_host.keys import HostKeys

KEYS = HostKeys(function="f-key", admin="a-key")


def ask(
    app: func.FunctionRegister,
    method: str,
    path: str,
    *,
    settings: Mapping[str, str] | None = None,
    keys: HostKeys | None = None,
    options: HostOptions | None = None,
    **request: Any,
) -> httpx.Response:
    """Answer one request by an instance of the app."""

    async def answer() -> httpx.Response:
        instance = Instance(
            read_functions(app),
            options or HostOptions(),
            AppSettings(settings or {}),
            app_root=Path(),
            keys=keys,
        )
        transport = httpx.ASGITransport(instance.application, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.request(method, path, **request)
        await instance.drain()
        await instance.close()
        return response

    return asyncio.run(answer())


Handler = Callable[[func.HttpRequest], Any]


def app_of(handler: Handler, **trigger: Any) -> func.FunctionApp:
    """An app with one function named `handler`'s name."""
    app = func.FunctionApp()

    def function(req: func.HttpRequest) -> Any:
        return handler(req)

    app.function_name("hello")(app.route(**trigger)(function))
    return app


def test_a_function_gets_the_request_and_its_response_is_sent() -> None:
    seen: list[func.HttpRequest] = []

    def hello(req: func.HttpRequest) -> func.HttpResponse:
        seen.append(req)
        return func.HttpResponse(
            '{"a": 1}', status_code=201, mimetype="application/json", headers={"X-One": "1"}
        )

    response = ask(
        app_of(hello, route="hello/{name}"),
        "POST",
        "/api/hello/j%C3%A1n?a=1&a=2",
        content=b'{"b": 2}',
        headers=[("X-Many", "x"), ("X-Many", "y")],
    )
    assert (response.status_code, response.json(), response.headers["x-one"]) == (201, {"a": 1}, "1")
    assert response.headers["content-type"] == "application/json"
    request = seen[0]
    assert (request.method, request.route_params, request.params) == ("POST", {"name": "ján"}, {"a": "1,2"})
    assert (request.get_body(), request.get_json()) == (b'{"b": 2}', {"b": 2})
    assert request.headers["x-many"] == "x,y"
    assert request.url == "http://test/api/hello/j%C3%A1n?a=1&a=2"


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_newline_in_a_path_is_part_of_its_segment(method: str) -> None:
    """In .NET's routing a segment is everything between two slashes."""
    app = app_of(
        lambda req: repr(dict(req.route_params)), route="items/{id}/status", methods=["GET", "PATCH"]
    )
    response = ask(app, method, "/api/items/a%0Ab%0D/status")
    assert (response.status_code, response.text) == (200, repr({"id": "a\nb\r"}))


def test_a_query_parameter_without_a_value_is_not_passed_on() -> None:
    """`PopulateHttp` of the host leaves it out for the Python worker."""
    response = ask(app_of(lambda req: str(dict(req.params))), "GET", "/api/hello?a=&b=1")
    assert response.text == "{'b': '1'}"


def test_a_text_is_answered_as_plain_text() -> None:
    response = ask(app_of(lambda _: "hi"), "GET", "/api/hello")
    assert (response.status_code, response.text) == (200, "hi")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_no_return_value_is_204() -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-output"""
    response = ask(app_of(lambda _: None), "GET", "/api/hello")
    assert (response.status_code, response.content) == (204, b"")


def test_an_exception_is_500_and_says_nothing_about_the_inside() -> None:
    def hello(req: func.HttpRequest) -> str:
        raise ValueError("secret")

    response = ask(app_of(hello), "GET", "/api/hello")
    assert (response.status_code, response.content) == (500, b"")


@pytest.mark.parametrize("value", [{"a": 1}, 5, b"bytes"])
def test_a_return_value_that_the_worker_cannot_encode_is_500(value: object) -> None:
    assert ask(app_of(lambda _: value), "GET", "/api/hello").status_code == 500


def test_several_cookies_are_all_set() -> None:
    def hello(req: func.HttpRequest) -> func.HttpResponse:
        response = func.HttpResponse("x")
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    assert ask(app_of(hello), "GET", "/api/hello").headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_unknown_paths_and_methods_are_not_found() -> None:
    app = app_of(lambda _: "x", methods=["POST"])
    assert ask(app, "GET", "/api/hello").status_code == 404
    assert ask(app_of(lambda _: "x"), "GET", "/api/none").status_code == 404


def test_head_is_answered_by_get_without_a_body_and_refused_by_post() -> None:
    assert ask(app_of(lambda _: "x", methods=["GET"]), "HEAD", "/api/hello").status_code == 200
    refused = ask(app_of(lambda _: "x", methods=["POST"]), "HEAD", "/api/hello")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_plain_functions_run_on_the_pool_and_async_ones_on_the_event_loop() -> None:
    app = func.FunctionApp()

    @app.route()
    def plain(req: func.HttpRequest) -> str:
        return threading.current_thread().name

    @app.route()
    async def on_loop(req: func.HttpRequest) -> str:
        asyncio.get_running_loop()
        return threading.current_thread().name

    instance = Instance(read_functions(app), HostOptions(), AppSettings({}), app_root=Path(), keys=None)

    async def answers() -> list[str]:
        transport = httpx.ASGITransport(instance.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [(await client.get(f"/api/{name}")).text for name in ("plain", "on_loop")]

    plain_thread, loop_thread = asyncio.run(answers())
    assert plain_thread.startswith("function")
    assert loop_thread == "MainThread"


@pytest.mark.parametrize(("threads", "at_once"), [("1", 1), ("3", 3)])
def test_the_pool_has_as_many_threads_as_the_app_setting_says(threads: str, at_once: int) -> None:
    """PYTHON_THREADPOOL_THREAD_COUNT."""
    running, most, lock = 0, 0, threading.Lock()

    def hello(req: func.HttpRequest) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.05)
        with lock:
            running -= 1
        return ""

    async def six_requests() -> None:
        settings = AppSettings({"PYTHON_THREADPOOL_THREAD_COUNT": threads})
        instance = Instance(
            read_functions(app_of(hello)), HostOptions(), settings, app_root=Path(), keys=None
        )
        transport = httpx.ASGITransport(instance.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await asyncio.gather(*(client.get("/api/hello") for _ in range(6)))

    asyncio.run(six_requests())
    assert most == at_once


def test_a_body_above_the_limit_is_413_and_the_function_does_not_run() -> None:
    """The limit is 100 MB; FUNCTIONS_REQUEST_BODY_SIZE_LIMIT changes it."""
    app = app_of(lambda _: pytest.fail("ran"))
    limit = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000"}
    assert ask(app, "POST", "/api/hello", settings=limit, content=b"x" * 1001).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 400 for _ in range(3))

    async def stream() -> Any:
        for chunk in chunks():
            yield chunk

    app = app_of(lambda _: pytest.fail("ran"))
    assert ask(app, "POST", "/api/hello", settings=limit, content=stream()).status_code == 413


def test_a_body_at_the_limit_is_taken() -> None:
    limit = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000"}
    app = app_of(lambda req: str(len(req.get_body())))
    assert ask(app, "POST", "/api/hello", settings=limit, content=b"x" * 1000).text == "1000"


@pytest.mark.parametrize(
    ("level", "key", "status"),
    [
        (func.AuthLevel.ANONYMOUS, None, 200),
        (func.AuthLevel.FUNCTION, None, 401),
        (func.AuthLevel.FUNCTION, "f-key", 200),
        (func.AuthLevel.FUNCTION, "a-key", 200),
        (func.AuthLevel.ADMIN, "f-key", 401),
        (func.AuthLevel.ADMIN, "a-key", 200),
    ],
)
def test_with_auth_a_request_needs_the_key_of_the_auth_level(
    level: func.AuthLevel, key: str | None, status: int
) -> None:
    def request(**how: Any) -> httpx.Response:
        return ask(app_of(lambda _: "x", auth_level=level), "GET", "/api/hello", keys=KEYS, **how)

    assert request(headers={"x-functions-key": key} if key else {}).status_code == status
    assert request(params={"code": key} if key else {}).status_code == status


def test_without_auth_no_key_is_asked_for() -> None:
    """As with `func start`: https://learn.microsoft.com/azure/azure-functions/functions-run-local"""
    assert ask(app_of(lambda _: "x", auth_level=func.AuthLevel.ADMIN), "GET", "/api/hello").status_code == 200


def test_an_asgi_app_is_served_by_its_catch_all_function() -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-reference-python#web-frameworks"""
    scopes: list[Mapping[str, Any]] = []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            return
        scopes.append(scope)
        body = (await receive())["body"]
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": b"got " + body})

    app = func.AsgiFunctionApp(app=asgi, http_auth_level=func.AuthLevel.ANONYMOUS)
    response = ask(app, "PUT", "/a/b?x=1", content=b"it", options=HostOptions(route_prefix=""))
    # The library's destructor runs an event loop: not during another test.
    del app
    gc.collect()
    assert (response.status_code, response.text) == (202, "got it")
    assert (scopes[0]["path"], scopes[0]["query_string"]) == ("/a/b", b"x=1")


def test_a_disabled_function_is_not_found() -> None:
    settings = {"AzureWebJobs.hello.Disabled": "true"}
    assert ask(app_of(lambda _: "x"), "GET", "/api/hello", settings=settings).status_code == 404


def test_the_start_page_and_the_status_of_the_host_are_served() -> None:
    assert ask(app_of(lambda _: "x"), "GET", "/").status_code == 200
    assert ask(app_of(lambda _: "x"), "GET", "/admin/host/status").json()["state"] == "Running"
    assert ask(app_of(lambda _: "x"), "GET", "/admin/host/status", keys=KEYS).status_code == 401


def test_a_function_that_exceeds_the_time_limit_fails_and_the_process_is_to_end() -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-host-json#functiontimeout"""
    app = func.FunctionApp()

    @app.route()
    async def slow(req: func.HttpRequest) -> str:
        await asyncio.sleep(5)
        return ""

    @app.route()
    async def bystander(req: func.HttpRequest) -> str:
        await asyncio.sleep(5)
        return ""

    async def answers() -> tuple[list[int], bool]:
        options = HostOptions(function_timeout=timedelta(seconds=0.1))
        instance = Instance(read_functions(app), options, AppSettings({}), app_root=Path(), keys=None)
        transport = httpx.ASGITransport(instance.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            responses = await asyncio.gather(client.get("/api/slow"), client.get("/api/bystander"))
        return [response.status_code for response in responses], instance.invoker.exiting.is_set()

    assert asyncio.run(answers()) == ([500, 500], True)


def test_context_names_the_function_and_the_invocation() -> None:
    app = func.FunctionApp()

    @app.route()
    def hello(req: func.HttpRequest, context: func.Context) -> str:
        local = context.thread_local_storage
        assert local.invocation_id == context.invocation_id  # type: ignore[attr-defined]
        return f"{context.function_name} {context.invocation_id} {context.trace_context.trace_parent}"

    name, invocation_id, trace_parent = ask(app, "GET", "/api/hello").text.split()
    assert (name, len(invocation_id), trace_parent[:3]) == ("hello", 36, "00-")


@pytest.mark.parametrize(("body", "status"), [(b'{"input": ""}', 202), (b"", 202), (b"nonsense", 400)])
def test_a_function_without_http_trigger_is_run_by_the_admin_endpoint(body: bytes, status: int) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http"""
    app, ran = func.FunctionApp(), threading.Event()

    @app.queue_trigger(arg_name="msg", queue_name="some-queue", connection="S")
    def on_message(msg: func.QueueMessage) -> None:
        ran.set()

    settings = {"S": "UseDevelopmentStorage=true"}
    response = ask(app, "POST", "/admin/functions/on_message", settings=settings, content=body)
    assert response.status_code == status
    assert ran.wait(1) == (status == 202)
