"""Hands requests on to a web application that answers everything below a path.

Its links begin with the address that the client asked; keys and what proxies say do not reach it.
"""

from __future__ import annotations

from urllib.parse import unquote_plus, unquote_to_bytes, urlsplit

import azure.functions as func

from interfaces.web_requests import WebAnswer, WebRequest

from .dependencies import WebApi
from .forwarding import HEADERS, public_address
from .problems import bad_field
from .requests import KEY_PARAMETERS, Request
from .responses import ROUTE_PREFIX

KEY_HEADERS = {"x-functions-key", "x-functions-clientid", "authorization", "cookie"}
PLATFORM_PREFIX = "x-ms-"
"""Of headers in which the platform says who calls, and hands on their tokens."""


class Mount:
    """An application below the route prefix. Nothing here blocks.

    `public_url` is where clients find it, whatever was asked; empty: where they asked.
    """

    def __init__(self, api: WebApi, path: str, public_url: str) -> None:
        self._api = api
        self._root = f"{ROUTE_PREFIX}/{path}"
        self._public_url = public_url

    async def answered(
        self, request: Request, body: bytes = b"", *, method: str | None = None
    ) -> func.HttpResponse:
        """The application's answer; raises what it raises."""
        scheme, host, root = self._address(request)
        answer = await self._api.answer(
            WebRequest(
                method=method or request.method,
                scheme=scheme,
                host=host,
                root=root,
                path=self._path(request),
                query=_query(request),
                headers=_headers(request),
                body=body,
            )
        )
        return _response(answer)

    async def options(self, request: Request, allowed: str) -> func.HttpResponse:
        """What a browser asks before it asks, or the methods there are."""
        if {"origin", "access-control-request-method"} <= request.headers.keys():
            return await self.answered(request)
        return func.HttpResponse(status_code=204, headers={"Allow": allowed})

    def _address(self, request: Request) -> tuple[str, str, str]:
        if self._public_url:
            told = urlsplit(self._public_url)
            return told.scheme, told.netloc, told.path.rstrip("/")
        address = public_address(request.url, request.headers)
        return address.scheme, address.host, address.prefix + self._root

    def _path(self, request: Request) -> str:
        """Below the root, whose length alone is sure: the host minds neither case nor a slash at the end."""
        try:
            return unquote_to_bytes(request.path[len(self._root) :]).decode().rstrip("/") or "/"
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
    given = {n: value for n, value in request.headers.items() if not n.startswith(PLATFORM_PREFIX)}
    kept = {name: value for name, value in given.items() if name not in dropped}
    if "json" not in kept.get("content-type", ""):
        kept["content-type"] = "application/json"
    return tuple(kept.items())


def _response(answer: WebAnswer) -> func.HttpResponse:
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        if name != "content-length":
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return func.HttpResponse(
        answer.body, status_code=answer.status, headers=headers, mimetype=headers.get("content-type")
    )
