"""The features API below /api/features: it is only read.

What it answers is tipg's business (`repositories.features_api`).
"""

from __future__ import annotations

import azure.functions as func

from interfaces.access import Role

from .dependencies import HttpDependencies
from .mounting import Mount
from .requests import Request
from .routing import AsyncHandler, Endpoint

ALLOWED = "GET, HEAD, OPTIONS"


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """The endpoints of this module."""
    features = FeaturesEndpoint(api)
    reads = Role.ANYONE if api.settings.features_anonymous_reads else Role.READER
    methods: dict[str, AsyncHandler] = {"GET": features.look, "OPTIONS": features.options}
    return [Endpoint("features", "features/{*path}", methods, reads, documented_at="features/api")]


class FeaturesEndpoint:
    """Hands requests on to the features API. Nothing here blocks."""

    def __init__(self, api: HttpDependencies) -> None:
        self._mount = Mount(api.features_api, "features", api.settings.features_public_url)

    async def look(self, request: Request) -> func.HttpResponse:
        """GET and HEAD, of everything."""
        return await self._mount.answered(request, method="GET")

    async def options(self, request: Request) -> func.HttpResponse:
        """What a browser asks before it asks, or the methods there are."""
        return await self._mount.options(request, ALLOWED)
