"""tipg's routes, without pages for people, and with links that lead to names and keys of any letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import Depends, Request
from fastapi.routing import APIRoute
from tipg import model
from tipg.collections import Collection
from tipg.factory import COMMON_CONFORMS, Endpoints, OGCFeaturesFactory, OGCTilesFactory
from tipg.resources.enums import MediaType
from tipg.resources.response import GeoJSONResponse, ORJSONResponse

from .parameters import check, document_format

FILTERS = [
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters",
    *(
        f"http://www.opengis.net/spec/cql2/1.0/conf/{name}"
        for name in ("cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators")
    ),
    *(
        f"http://www.opengis.net/spec/cql2/1.0/conf/{name}"
        for name in ("case-insensitive-comparison", "basic-spatial-functions", "spatial-functions")
    ),
    "http://www.opengis.net/spec/cql2/1.0/conf/temporal-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/arithmetic",
]
"""What is kept and tipg does not say (https://docs.ogc.org/is/19-079r2/19-079r2.html, OGC 21-065r2)."""


class QuotedLinks:
    """Of a factory: parts of a path that are names or keys are quoted."""

    def url_for(self, request: Request, name: str, **path_params: Any) -> str:
        """The address of a route. Braces stay, for templates."""
        texts = {
            part: orjson.dumps(one).decode() if isinstance(one, orjson.Fragment) else str(one)
            for part, one in path_params.items()
        }
        quoted = {part: _quoted(text) for part, text in texts.items()}
        return str(super().url_for(request, name, **quoted))  # type: ignore[misc]


@dataclass
class Features(QuotedLinks, OGCFeaturesFactory):
    """Collections and their features."""

    def _additional_collection_tiles_links(
        self, request: Request, collection: Collection
    ) -> list[model.Link]:
        """As the library's, which quotes nothing here."""
        quoted = collection.model_copy(update={"id": _quoted(collection.id)})
        found: list[Any] = super()._additional_collection_tiles_links(request, quoted)
        return found

    def _item_route(self) -> None:
        """As the library's, for keys with slashes too."""
        super()._item_route()  # type: ignore[no-untyped-call]
        route = self.router.routes.pop()
        assert isinstance(route, APIRoute)
        self.router.add_api_route(
            "/collections/{collectionId}/items/{itemId:path}",
            route.endpoint,
            name="item",
            response_class=GeoJSONResponse,
            responses=route.responses,
            tags=route.tags,
        )


@dataclass
class Tiles(QuotedLinks, OGCTilesFactory):
    """Vector tiles."""


@dataclass
class LayerEndpoints(QuotedLinks, Endpoints):
    """All routes. `dependencies` are those of tipg's own factories."""

    def register_routes(self) -> None:
        """Those of features and tiles."""
        common: dict[str, Any] = {
            "collection_dependency": self.collection_dependency,
            "with_common": False,
        }
        self.ogc_features = Features(collections_dependency=self.collections_dependency, **common)
        self.router.include_router(self.ogc_features.router)
        self.ogc_tiles = Tiles(supported_tms=self.supported_tms, with_viewer=False, **common)
        self.router.include_router(self.ogc_tiles.router)

    @property
    def conforms_to(self) -> list[str]:
        """What is kept of the standards."""
        every = [*COMMON_CONFORMS, *super().conforms_to, *FILTERS]
        return [name for name in every if not name.endswith("/html")]

    def _landing_route(self) -> None:
        def landing(request: Request) -> ORJSONResponse:
            """What there is below."""
            check(request)
            links = [
                _link("self", "this document", self.url_for(request, "landing")),
                _link(
                    "service-desc",
                    "the API (OpenAPI)",
                    str(request.url_for("openapi")),
                    MediaType.openapi30_json,
                ),
                _link("conformance", "what is kept of the standards", self.url_for(request, "conformance")),
                *self.links(request),
            ]
            return _answer(model.Landing(title=self.title, links=links))

        common: dict[str, Any] = {"tags": ["OGC Common"], "dependencies": [Depends(document_format)]}
        self.router.add_api_route("/", landing, name="landing", **common)

    def _conformance_route(self) -> None:
        def conformance(request: Request) -> ORJSONResponse:
            """The standards' classes that are kept."""
            check(request)
            return _answer(model.Conformance(conformsTo=self.conforms_to))

        common: dict[str, Any] = {"tags": ["OGC Common"], "dependencies": [Depends(document_format)]}
        self.router.add_api_route("/conformance", conformance, name="conformance", **common)


def _quoted(part: str) -> str:
    return quote(part, safe="{}:.,")


def _link(rel: str, title: str, href: str, media: MediaType = MediaType.json) -> model.Link:
    return model.Link(rel=rel, title=title, href=href, type=media)


def _answer(document: model.Landing | model.Conformance) -> ORJSONResponse:
    return ORJSONResponse(document.model_dump(exclude_none=True, mode="json"))
