"""Calls the functions of a blueprint as the Functions host does: by route, in the order of their names."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import azure.functions as func

from local.functions_host.invocation_context import InvocationContext

PREFIX = "/api"


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    mimetype: str

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def text(self) -> str:
        return self.body.decode()

    def lines(self) -> list[Any]:
        """The body as NDJSON."""
        return [json.loads(line) for line in self.text().splitlines()]


class Output(func.Out[str]):
    """What the function hands to an output binding."""

    value: str | None = None

    def set(self, val: str) -> None:
        self.value = val

    def get(self) -> str:
        assert self.value is not None
        return self.value


@dataclass(frozen=True)
class Route:
    """One function."""

    name: str
    template: str
    methods: frozenset[str]
    auth_level: str
    handler: Any
    outputs: tuple[str, ...]

    def match(self, path: str) -> dict[str, str] | None:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(f"{PREFIX}/{self.template}"))
        pattern = re.sub(r"/\\{\\\*(\w+)\\}$", r"(?:/(?P<\1>.*))?", pattern)
        found = re.fullmatch(pattern, path, re.IGNORECASE)
        return {name: unquote(text or "") for name, text in found.groupdict().items()} if found else None


class Client:
    """The blueprint's functions behind their routes; `outputs` are those of the last call."""

    outputs: Mapping[str, Output]

    def __init__(self, blueprint: func.Blueprint) -> None:
        app = func.FunctionApp()
        app.register_functions(blueprint)
        self.routes = sorted((_route(function) for function in app.get_functions()), key=lambda r: r.name)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", url, headers=headers)

    def post(self, url: str, body: object = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """POST bytes as they are, anything else as JSON."""
        return self.request("POST", url, body, headers)

    def request(
        self, method: str, url: str, body: object = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        return asyncio.run(self.call(method, url, body, headers))

    async def call(
        self, method: str, url: str, body: object = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Run the function that the route belongs to; what it raises is the test's failure."""
        parts = urlsplit(url)
        for route in self.routes:
            parameters = route.match(parts.path)
            if parameters is not None and method in route.methods:
                break
        else:
            return Answer(404, {}, b"", "")
        query = {name: ",".join(values) for name, values in parse_qs(parts.query).items()}
        request = func.HttpRequest(
            method=method,
            url=f"http://127.0.0.1{url}",
            headers=dict(headers or {}),
            params=query,
            route_params=parameters,
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        )
        self.outputs = {name: Output() for name in route.outputs}
        context = InvocationContext("test", route.name, "")
        response = await route.handler(req=request, context=context, **self.outputs)
        assert isinstance(response, func.HttpResponse)
        return Answer(
            response.status_code, dict(response.headers), response.get_body(), str(response.mimetype)
        )


def _route(function: Any) -> Route:
    trigger = function.get_trigger().get_dict_repr()
    return Route(
        name=function.get_function_name(),
        template=trigger["route"],
        methods=frozenset(str(method) for method in trigger["methods"]),
        auth_level=str(trigger["authLevel"]),
        handler=function.get_user_function(),
        outputs=tuple(b.name for b in function.get_bindings() if b.type == "queue"),
    )
