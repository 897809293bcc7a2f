"""The functions of a blueprint as a WSGI application, for what speaks to one."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.unit.triggers.http_client import Client

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def wsgi(client: Client) -> WSGIApplication:
    """An application that answers as the client's functions do."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        # The path as it was sent: PATH_INFO is unescaped.
        url = f"{environ['REQUEST_URI'].partition('?')[0]}?{environ['QUERY_STRING']}".rstrip("?")
        answer = client.request(environ["REQUEST_METHOD"], url, environ["wsgi.input"].read(), headers)
        told = {**answer.headers, **({"Content-Type": answer.mimetype} if answer.mimetype else {})}
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(told.items()))
        return [answer.body]

    return application
