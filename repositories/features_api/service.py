"""The process's features API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interfaces.settings import Settings
from repositories.asgi import ApplicationThread
from repositories.database import Database, TokenProvider

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class FeaturesApi(ApplicationThread):
    """tipg, loaded by the first request. It only reads."""

    def __init__(self, settings: Settings, token: TokenProvider | None = None) -> None:
        database = Database(settings, token, connections=settings.features_connections)

        def build() -> ASGIApp:
            from .application import build

            return build(settings, database)

        super().__init__("features", build, database.close)
