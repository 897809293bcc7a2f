"""The STAC API as its clients have it, without a host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import azure.functions as func

from interfaces.settings import Settings
from tests.unit.triggers.http_client import Answer, Client
from triggers.http import catalog
from triggers.http.dependencies import WebApi
from triggers.http.routing import register
from triggers.threads import Threads

ROOT = "/api/stac"


class Catalog:
    """Calls below /api/stac."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.client = client
        self.settings = settings

    def get(self, path: str = "", **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: object) -> Answer:
        return self.call("POST", path, body)

    def call(
        self, method: str, path: str, body: object = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        return self.client.request(method, f"{ROOT}{path}", body, headers)

    def found(self, **search: Any) -> list[str]:
        """The ids of the items that a search by POST finds, on its first page."""
        answer = self.post("/search", search)
        assert answer.status == 200, answer.text()
        return [feature["id"] for feature in answer.json()["features"]]


def catalog_of(settings: Settings, api: WebApi) -> Catalog:
    """The STAC endpoints over an API."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    needed: Any = SimpleNamespace(settings=settings, catalog_api=api, audit=Mock())
    for endpoint in catalog.endpoints(needed):
        register(blueprint, endpoint, settings, Threads("http", 2))
    return Catalog(Client(blueprint), settings)


def link(document: Any, rel: str) -> str:
    """Where a link of a document leads."""
    return str(next(link["href"] for link in document["links"] if link["rel"] == rel))
