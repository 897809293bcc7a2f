"""The port through which a collection's items are read, in parts, and its document is kept up to date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, Field, JsonValue

from .catalog import Holder
from .contracts import Contract, JobParameters

Moment = datetime
"""Where a field has the other name."""
OPEN = ".."
"""An end that an interval of time does not have."""

CollectionId = Annotated[str, Field(min_length=1, max_length=1024, description="Id of a STAC collection")]


def _bbox(box: list[float]) -> list[float]:
    """RFC 7946, section 5: west may be larger than east."""
    west, south, east, north = box
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        raise ValueError("west and east are in -180 to 180 degrees")
    if not -90 <= south <= north <= 90:
        raise ValueError("south and north are in -90 to 90 degrees, and south is not the larger one")
    return box


Bbox = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False)]],
    Field(
        min_length=4,
        max_length=4,
        description="[west, south, east, north] in degrees; west is larger than east across the antimeridian",
    ),
    AfterValidator(_bbox),
]


def moment(text: str) -> datetime:
    """An RFC 3339 time as UTC; a date alone is its midnight. Raises `ValueError`."""
    if not re.match(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(f"{text[:50]!r} is no time such as 2024-05-01T00:00:00Z, nor a date")
    read = datetime.fromisoformat(f"{text}T00:00:00Z" if len(text) == len("2024-05-01") else text)
    if read.tzinfo is None:
        raise ValueError(f"{text[:50]!r} has no time zone")
    return read.astimezone(UTC)


def _interval(text: str) -> str:
    parts = text.split("/")
    if len(parts) > 2:
        raise ValueError("is one time, or two with a slash between them")
    times = [None if part in ("", OPEN) else moment(part) for part in parts]
    start, end = times[0], times[-1]
    if start is not None and end is not None and start > end:
        raise ValueError("ends before it starts")
    spelled = [OPEN if time is None else time.isoformat().replace("+00:00", "Z") for time in (start, end)]
    if spelled == [OPEN, OPEN]:
        raise ValueError("is open at both ends, so leave it out")
    return "/".join(spelled)


Interval = Annotated[
    str,
    Field(
        max_length=100,
        description="A time or an interval, as in STAC's searches: 2024-05-01T00:00:00Z, 2024-05-01/..",
    ),
    AfterValidator(_interval),
]
"""Spelled start/end in UTC, with `..` for an open end, so that equal parameters are one job."""


class ItemFilter(JobParameters):
    """Which items of a collection are wanted: those that meet the box and the interval, where given."""

    bbox: Bbox | None = None
    datetime: Interval | None = None

    @property
    def times(self) -> tuple[Moment | None, Moment | None]:
        """Start and end of the interval, both inclusive."""
        if self.datetime is None:
            return None, None
        start, end = (None if text == OPEN else moment(text) for text in self.datetime.split("/"))
        return start, end


EVERY_ITEM = ItemFilter()


class ItemRange(Contract):
    """Items of a collection with ids after `after` up to `upto`, in the database's order; None for no bound.

    The ranges of a collection leave no gap: also what is added after they were made is in one of them.
    """

    collection: str
    number: Annotated[int, Field(ge=0)]
    ranges: Annotated[int, Field(ge=1)]
    """How many the collection has."""
    after: str | None = None
    upto: str | None = None


class RangeExtent(Contract):
    """Where and when the items of a range are. Without items there are no times, latitudes and longitudes."""

    items: int
    start: datetime | None
    end: datetime | None
    south: float | None
    north: float | None
    longitudes: list[tuple[float, float]]
    """Intervals that the items cover, which do not overlap, from west to east."""


class FieldValues(Contract):
    """The values of one field in some items: of their properties, of assets, and of bands."""

    field: str
    values: list[JsonValue]
    """Distinct texts, numbers and booleans; those inside of arrays."""
    more: bool
    """Whether there are more values than these."""
    minimum: float | None = None
    """Of those that are numbers."""
    maximum: float | None = None


@dataclass(frozen=True)
class Queryable:
    """A property of items that clients may search by, as the API lists it."""

    name: str
    definition: Mapping[str, JsonValue]


class CatalogItems(Protocol):
    """A collection's document and items. All raise `ServiceUnavailable`, and `CatalogNotSetUp`.

    Those that write raise `LeaseLost`, and change nothing, when their holder has lost its task.
    """

    def document(self, collection_id: str) -> dict[str, JsonValue]:
        """The collection's document. Raises `CollectionNotFound`."""
        ...

    def boundaries(self, collection_id: str, size: int, wanted: ItemFilter) -> list[str]:
        """Ids in order, each the last of `size` items that are wanted since the one before."""
        ...

    def items(self, part: ItemRange, wanted: ItemFilter, limit: int) -> Iterator[list[dict[str, Any]]]:
        """The items that are wanted, whole, ordered by id, at most `limit` at a time."""
        ...

    def extent(self, part: ItemRange) -> RangeExtent:
        """Where and when the range's items are."""
        ...

    def values(self, part: ItemRange, fields: list[str], limit: int) -> list[FieldValues]:
        """What the range's items have in these fields: at most `limit` values of each, and no long ones."""
        ...

    def extensions(self, part: ItemRange) -> list[str]:
        """Schemas that the range's items name."""
        ...

    def change(
        self,
        collection_id: str,
        change: Callable[[dict[str, JsonValue]], Mapping[str, JsonValue]],
        holder: Holder,
    ) -> bool:
        """Replace the document by what `change` makes of it; nobody else can change it meanwhile.

        False where that is what was there. Raises `CollectionNotFound`.
        """
        ...

    def add_queryables(self, collection_id: str, holder: Holder) -> list[Queryable]:
        """Make the properties that items have, and no queryable is about, queryables of the collection.

        Answers those that were added. Definitions that somebody wrote stay as they are.
        """
        ...
