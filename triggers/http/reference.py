"""The OpenAPI document, and a page that shows it and tries it out: Swagger UI, which comes with the app.

Neither asks for a key: they say how the API is called, and hold nothing of what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import azure.functions as func

from interfaces.access import Role
from interfaces.contracts import JsonObject
from interfaces.errors import NotFound

from .dependencies import HttpDependencies
from .documentation import Answer, Operation, Tag
from .forwarding import public_address
from .openapi import document
from .requests import Query, Request
from .responses import ROUTE_PREFIX, answer
from .routing import Endpoint

FOLDER = Path(__file__).parent / "swagger_ui"
MEDIA = MappingProxyType(
    {
        "swagger-ui-bundle.js": "text/javascript",
        "swagger-ui.css": "text/css",
        "start.js": "text/javascript",
        "page.css": "text/css",
    }
)
"""The files that the page loads, all from here."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""https://www.w3.org/TR/CSP3/. `data:` are the icons within Swagger UI's style sheet."""
FRESH = "public, max-age=3600"

OPENAPI = Operation(
    Tag.DOCUMENTATION, {200: Answer("OpenAPI 3.1", also={"application/json": "The document"})}
)
PAGE = Operation(Tag.DOCUMENTATION, {200: Answer("Swagger UI", also={"text/html": "The page"})})
FILE = Operation(
    Tag.DOCUMENTATION,
    {200: Answer("The file", also=dict.fromkeys(dict.fromkeys(MEDIA.values()), "A script or a style sheet"))},
    problems=(NotFound,),
    path={"file": tuple(MEDIA)},
)


def endpoints(api: HttpDependencies, others: Sequence[Endpoint]) -> list[Endpoint]:
    """The endpoints of this module, which describe themselves and `others`."""
    reference = Reference(api)
    anyone = Role.ANYONE
    own = [
        Endpoint("docs", "docs", {"GET": reference.page}, anyone, operations={"GET": PAGE}),
        Endpoint("docs_file", "docs/{file}", {"GET": reference.file}, anyone, operations={"GET": FILE}),
        Endpoint("openapi", "openapi.json", {"GET": reference.openapi}, anyone, operations={"GET": OPENAPI}),
    ]
    reference.described = (*others, *own)
    return own


class Reference:
    """Describes the API."""

    described: Sequence[Endpoint] = ()

    def __init__(self, api: HttpDependencies) -> None:
        self._jobs = api.jobs
        self._tokens = api.identities is not None

    @cached_property
    def _document(self) -> JsonObject:
        return document(self.described, self._jobs.job_types(), tokens=self._tokens)

    def openapi(self, request: Request) -> func.HttpResponse:
        """This document."""
        request.query(Query)
        # Where a proxy put the API below a path, that is where requests go.
        prefix = public_address(request.url, request.headers).prefix
        return answer({**self._document, "servers": [{"url": f"{prefix}{ROUTE_PREFIX}"}]})

    def page(self, request: Request) -> func.HttpResponse:
        """A page that shows this document, and sends requests."""
        request.query(Query)
        text = (FOLDER / "page.html").read_text(encoding="utf-8")
        # The host takes the path with and without a slash at its end; what the page loads lies below it.
        folder = "" if request.path.endswith("/") else f"{request.path.rpartition('/')[2]}/"
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        return func.HttpResponse(text.replace("{folder}", folder), headers=headers, mimetype="text/html")

    def file(self, request: Request) -> func.HttpResponse:
        """What that page loads."""
        request.query(Query)
        name = request.route("file")
        if name not in MEDIA:
            raise NotFound(f"the page has no file {name[:100]!r}")
        return func.HttpResponse(
            (FOLDER / name).read_bytes(), headers={"Cache-Control": FRESH}, mimetype=MEDIA[name]
        )
