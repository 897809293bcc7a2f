"""The library's client, with what it does not do itself."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any

import orjson
from geojson_pydantic import MultiPolygon
from geojson_pydantic.types import Position2D, Position3D
from stac_fastapi.pgstac.core import CoreCrudClient
from stac_fastapi.types.errors import InvalidQueryParameter
from starlette.responses import Response

from repositories.asgi.cql2_filters import read, unfit

GEOJSON = "application/geo+json"
DEFAULT_PAGE = 10
SORT = "https://api.stacspec.org/v1.0.0/item-search#sort"


class CatalogClient(CoreCrudClient):  # type: ignore[misc]
    """Searches also across the antimeridian, and answers with pages of items as GeoJSON, fast."""

    largest_page = 1000
    """A larger `limit` is answered with pages of this size, as the specification has it."""

    def conformance_classes(self) -> list[str]:
        """The library's, and what clients ask for that know sorting by its first version only."""
        return [*super().conformance_classes(), SORT]

    async def get_search(self, *args: Any, **kwargs: Any) -> Response:
        """GET /search."""
        return _geojson(await super().get_search(*args, **kwargs))

    async def post_search(self, *args: Any, **kwargs: Any) -> Response:
        """POST /search."""
        return _geojson(await super().post_search(*args, **kwargs))

    async def item_collection(self, *args: Any, **kwargs: Any) -> Response:
        """GET /collections/{collection_id}/items."""
        return _geojson(await super().item_collection(*args, **kwargs))

    async def _search_base(self, search_request: Any, request: Any) -> Any:
        # The next page's link has the request's own words, and comes by here again.
        changed: dict[str, Any] = {"limit": min(search_request.limit or DEFAULT_PAGE, self.largest_page)}
        split = across_antimeridian(search_request.bbox)
        if split is not None:
            changed |= {"bbox": None, "intersects": split}
        # Of pgstac's own settings, a client may ask to have the matches counted; others are not its affair.
        changed["conf"] = {
            name: value for name, value in (search_request.conf or {}).items() if name == "context"
        }
        search_request = search_request.model_copy(update=changed)
        return await super()._search_base(search_request, request=request)

    def _clean_search_args(self, base_args: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if not isinstance(base_args.get("query"), dict | NoneType):
            raise InvalidQueryParameter("query: must be a JSON object")
        if kwargs.get("filter_query"):
            # The library would validate it, which a short filter can make take all memory.
            language = kwargs.get("filter_lang") or "cql2-text"
            base_args |= {"filter": _condition(kwargs["filter_query"], language), "filter_lang": "cql2-json"}
            kwargs["filter_query"] = None
        split = across_antimeridian(base_args.get("bbox"))
        if split is not None and not kwargs.get("intersects"):
            base_args |= {"bbox": None, "intersects": split.model_dump(mode="json", exclude_none=True)}
        if base_args.get("limit"):
            base_args["limit"] = min(base_args["limit"], self.largest_page)
        return super()._clean_search_args(base_args, *args, **kwargs)


def across_antimeridian(bbox: Sequence[float] | None) -> MultiPolygon | None:
    """The two halves of a box whose west is greater than its east (RFC 7946, section 5.2); else None.

    pgstac takes it for the box between the two, which is the rest of the globe.
    """
    if not bbox:
        return None
    west, south, east, north = (bbox[i] for i in ((0, 1, 2, 3) if len(bbox) == 4 else (0, 1, 3, 4)))
    if west <= east:
        return None
    halves = [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east, north)]]
    return MultiPolygon(type="MultiPolygon", coordinates=halves)


def _ring(west: float, south: float, east: float, north: float) -> list[Position2D | Position3D]:
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return [Position2D(*corner) for corner in corners]


def _condition(text: str, language: str) -> Any:
    """A filter as CQL2 JSON. Raises `InvalidRequest`."""
    tree = read(text, language)
    if not (isinstance(tree, bool) or (isinstance(tree, dict) and "op" in tree)):
        raise unfit("is no condition")
    # Whole numbers stay whole where they were JSON.
    return orjson.loads(text) if language == "cql2-json" else tree


def _geojson(answer: Any) -> Response:
    """The response for a page of items. FastAPI's own way there copies each of their values first."""
    if isinstance(answer, Response):
        # The library's, where fields were chosen: plain JSON.
        answer.headers["content-type"] = GEOJSON
        return answer
    return Response(orjson.dumps(answer), media_type=GEOJSON)
