"""What is known of all items of a collection: added up from parts, and written into its document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import BaseModel, Field, JsonValue

from interfaces.catalog_items import FieldValues, RangeExtent
from interfaces.collection_summaries import LISTED, LONGEST_VALUE, MOST_VALUES

from .collection_extent import boxes, joined

DATETIME = "datetime"
EXTENSIONS = {
    "proj": "projection",
    "eo": "eo",
    "raster": "raster",
    "view": "view",
    "sar": "sar",
    "sat": "sat",
    "processing": "processing",
    "grid": "grid",
    "mgrs": "mgrs",
    "landsat": "landsat",
    "s1": "sentinel-1",
    "s2": "sentinel-2",
    "sci": "scientific",
    "pc": "pointcloud",
    "file": "file",
}
"""Prefix of a field, and the extension's part of https://stac-extensions.github.io/…/v1.0.0/schema.json."""


class CollectionSummary(BaseModel):
    """Of any number of items, in memory that does not grow with it. Summaries can be merged."""

    items: int = 0
    start: datetime | None = None
    end: datetime | None = None
    south: float | None = None
    north: float | None = None
    longitudes: list[tuple[float, float]] = Field(default_factory=list)
    fields: dict[str, FieldValues] = Field(default_factory=dict)
    extensions: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, extent: RangeExtent, fields: list[FieldValues], extensions: list[str]) -> CollectionSummary:
        """Of one part."""
        return cls(
            **{**extent.model_dump(), "longitudes": joined(extent.longitudes)},
            fields={one.field: _merged(one, one) for one in fields},
            extensions=extensions,
        )

    def merge(self, other: CollectionSummary) -> None:
        """Add what another part has."""
        self.items += other.items
        self.start = _first(min, self.start, other.start)
        self.end = _first(max, self.end, other.end)
        self.south = _first(min, self.south, other.south)
        self.north = _first(max, self.north, other.north)
        self.longitudes = joined([*self.longitudes, *other.longitudes])
        self.extensions = sorted({*self.extensions, *other.extensions})
        for name, theirs in other.fields.items():
            mine = self.fields.get(name)
            self.fields[name] = theirs if mine is None else _merged(mine, theirs)

    def extent(self) -> dict[str, JsonValue] | None:
        """`spatial` and `temporal`; None where no item says anything."""
        if self.south is None or self.north is None or self.start is None or self.end is None:
            return None
        if not self.longitudes:
            return None
        return {
            "spatial": {"bbox": cast("JsonValue", boxes(self.longitudes, self.south, self.north))},
            "temporal": {"interval": [[_text(self.start), _text(self.end)]]},
        }

    def summaries(self, asked: list[str]) -> tuple[dict[str, JsonValue], dict[str, str]]:
        """Values of the fields that were asked for, and why others of these are left out."""
        made: dict[str, JsonValue] = {}
        left_out: dict[str, str] = {}
        for name in asked:
            if name == DATETIME:
                if self.start is not None and self.end is not None:
                    made[name] = {"minimum": _text(self.start), "maximum": _text(self.end)}
                continue
            found = self.fields.get(name)
            if found is None:
                continue
            summary = _summary(found)
            if summary is None:
                left_out[name] = (
                    f"more than {MOST_VALUES} values, or one of more than {LONGEST_VALUE} characters"
                )
            else:
                made[name] = summary
        return made, left_out

    def document(
        self, before: Mapping[str, JsonValue], asked: list[str], *, write_extent: bool
    ) -> dict[str, JsonValue]:
        """The collection's document with the extent and these summaries; all else in it stays as it is."""
        after = dict(before)
        extent = self.extent()
        if write_extent and extent is not None:
            after["extent"] = _over(before.get("extent"), extent)
        made, left_out = self.summaries(asked)
        kept = {k: v for k, v in _object(before.get("summaries")).items() if k not in left_out}
        if made or kept != _object(before.get("summaries")):
            after["summaries"] = {**kept, **made}
        if not after.get("summaries", True):
            del after["summaries"]
        self._declare(after, made)
        return after

    def _declare(self, document: dict[str, JsonValue], made: Mapping[str, JsonValue]) -> None:
        """Name the extensions whose fields are summed up, in the versions that the items name."""
        wanted = {EXTENSIONS.get(name.partition(":")[0]) for name in made if ":" in name} - {None}
        listed = document.get("stac_extensions")
        named = list(listed) if isinstance(listed, list) else []
        known = {_extension(str(uri)) for uri in named}
        for uri in self.extensions:
            if _extension(uri) in wanted - known:
                named.append(uri)
        if named:
            document["stac_extensions"] = named


def _extension(uri: str) -> str | None:
    host, _, path = uri.partition("://")[2].partition("/")
    return path.partition("/")[0] if host == "stac-extensions.github.io" else None


def _summary(found: FieldValues) -> JsonValue:
    """A list of values, a range, or None where there are too many."""
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in found.values)
    if found.values and numbers and (found.more or found.field not in LISTED):
        assert found.minimum is not None
        assert found.maximum is not None
        return {"minimum": _number(found.minimum), "maximum": _number(found.maximum)}
    return None if found.more else list(found.values)


def _merged(one: FieldValues, other: FieldValues) -> FieldValues:
    # As JSON, where 1 and true are two things.
    values = {json.dumps(value): value for value in [*one.values, *other.values]}
    # The same order however a collection is divided; the database has another one.
    ordered = sorted(values.values(), key=lambda value: (type(value) is str, _sort_key(value), str(value)))
    return FieldValues(
        field=one.field,
        values=ordered[:MOST_VALUES],
        more=one.more or other.more or len(ordered) > MOST_VALUES,
        minimum=_first(min, one.minimum, other.minimum),
        maximum=_first(max, one.maximum, other.maximum),
    )


def _sort_key(value: JsonValue) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _first(choose: Any, *values: Any) -> Any:
    """Of those that are there."""
    given = [value for value in values if value is not None]
    return choose(given) if given else None


def _number(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return dict(value) if isinstance(value, dict) else {}


def _over(before: JsonValue, computed: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Members of an object, and of objects in it, replaced one by one."""
    made = _object(before)
    for key, value in computed.items():
        made[key] = _over(made.get(key), value) if isinstance(value, dict) else value
    return made
