"""What jobs about containers share: names, the filter of a listing, and the summary of many blobs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, model_validator

from .blobs import BlobItem
from .contracts import Contract, JobParameters
from .marks import Read, Written

# fmt: off
RASTER_EXTENSIONS = frozenset({
    "tif", "tiff", "gtiff", "jp2", "j2k", "png", "jpg", "jpeg", "webp", "gif", "bmp", "img", "h5", "hdf5",
    "nc", "nc4", "grib", "grib2", "grb", "grb2", "hgt", "dt0", "dt1", "dt2", "asc", "vrt",
})
VECTOR_EXTENSIONS = frozenset({
    "shp", "gpkg", "geojson", "geojsonl", "geojsons", "ndgeojson", "topojson", "kml", "kmz", "gml", "gpx",
    "fgb", "parquet", "geoparquet", "mif", "tab", "osm", "pbf", "dxf",
})
# fmt: on
NO_VALUE = "(none)"
OTHER = "(other)"
MAX_DISTINCT = 1000
"""Distinct extensions (months, tiers) that are counted by name; the rest is counted as `(other)`."""
TOP_FILES = 10
SIZE_CLASSES = (
    ("empty", 1),
    ("under 1 MiB", 1024**2),
    ("1 to 10 MiB", 10 * 1024**2),
    ("10 to 100 MiB", 100 * 1024**2),
    ("100 MiB to 1 GiB", 1024**3),
    ("1 to 10 GiB", 10 * 1024**3),
)
"""Name and first size (bytes) that no longer belongs to the class."""
LARGEST_CLASS = "10 GiB and more"


def _container_name(name: str) -> str:
    """https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata"""
    if not 3 <= len(name) <= 63:
        raise ValueError("a container name has 3 to 63 characters")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(
            "a container name has lower-case letters, digits and single hyphens, and starts and ends with a "
            "letter or digit"
        )
    return name


ContainerName = Annotated[
    str,
    AfterValidator(_container_name),
    Field(
        description="Name of a blob container",
        json_schema_extra={"minLength": 3, "maxLength": 63, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
    ),
]


SourceContainer = Annotated[ContainerName, Read()]
TargetContainer = Annotated[ContainerName, Written()]
# In what stages hand on, the name was validated when the job was submitted.
ReadContainer = Annotated[str, Read()]
WrittenContainer = Annotated[str, Written()]

Prefix = Annotated[
    str, Field(max_length=1024, description="Only blobs whose name starts with this; empty for all")
]


def _time(value: Any) -> Any:
    """Only ISO 8601 text, not the numbers that a lax datetime takes; a date alone is its midnight, UTC."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.match(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError("should be a time in ISO 8601, such as 2024-05-01T00:00:00Z, or a date")
    return f"{value}T00:00:00Z" if len(value) == len("2024-05-01") else value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_time), AfterValidator(_utc)]
"""A moment in UTC; one spelling for each, so that equal parameters are one job."""


def _extensions(values: list[str]) -> list[str]:
    cleaned = {value.strip().lower().lstrip(".") for value in values}
    if "" in cleaned:
        raise ValueError('an extension has at least one character, such as "tif"')
    return sorted(cleaned)


Size = Annotated[int, Field(ge=0, le=2**63 - 1)]


class BlobFilter(JobParameters):
    """Which blobs of a listing are wanted: those for which everything that is given holds.

    `glob` is case-sensitive. Without a slash it is matched against the last part of the name, with one
    against the whole name, where `*` and `?` stop at slashes and `**` is any number of folders.
    """

    glob: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    extensions: Annotated[
        list[Annotated[str, Field(max_length=50)]],
        Field(
            default_factory=list,
            max_length=100,
            description='Ends of names after a dot, such as "tif"; case does not matter',
        ),
        AfterValidator(_extensions),
    ] = Field(default_factory=list)
    min_size: Annotated[Size, Field(description="Smallest size, bytes, inclusive")] | None = None
    max_size: Annotated[Size, Field(description="Largest size, bytes, inclusive")] | None = None
    modified_after: Annotated[Time, Field(description="Earliest last modification, inclusive")] | None = None
    modified_before: Annotated[Time, Field(description="End of last modification, exclusive")] | None = None

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> BlobFilter:
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise ValueError("min_size is larger than max_size")
        after, before = self.modified_after, self.modified_before
        if after is not None and before is not None and after >= before:
            raise ValueError("modified_after is not before modified_before")
        return self


def filter_from_text(value: Any) -> Any:
    """A bare text is a glob."""
    return {"glob": value} if isinstance(value, str) else value


FilterOrGlob = Annotated[
    BlobFilter, BeforeValidator(filter_from_text, json_schema_input_type=BlobFilter | str)
]


def extension_of(name: str) -> str:
    """The part of the last name after its last dot, in lower case; `(none)` where there is none."""
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    return extension.lower() if dot and stem and extension else NO_VALUE


def is_raster_name(name: str) -> bool:
    """True when the name's extension is one of a raster format."""
    return extension_of(name) in RASTER_EXTENSIONS or name.lower().endswith(".hgt.zip")


def is_vector_name(name: str) -> bool:
    """True when the name's extension is one of a vector format."""
    return extension_of(name) in VECTOR_EXTENSIONS


class Count(BaseModel):
    """Number of files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, files: int, size: int) -> None:
        """Count `files` more, of `size` bytes together."""
        self.files += files
        self.bytes += size


class FileEntry(Contract):
    """A file as named in a list of the largest or newest."""

    name: str
    size: int
    last_modified: datetime | None = None


class ContainerSummary(BaseModel):
    """Counts of many blobs, in memory that does not grow with their number. Summaries can be merged."""

    files: int = 0
    bytes: int = 0
    rasters: int = 0
    vectors: int = 0
    by_extension: dict[str, Count] = Field(default_factory=dict)
    by_size_class: dict[str, Count] = Field(default_factory=dict)
    by_month: dict[str, Count] = Field(default_factory=dict)
    by_tier: dict[str, Count] = Field(default_factory=dict)
    largest: list[FileEntry] = Field(default_factory=list)
    newest: list[FileEntry] = Field(default_factory=list)

    def add_page(self, blobs: Iterable[BlobItem]) -> None:
        """Count one page of blobs."""
        entries = []
        for blob in blobs:
            self.files += 1
            self.bytes += blob.size
            self.rasters += is_raster_name(blob.name)
            self.vectors += is_vector_name(blob.name)
            count_file(self.by_extension, extension_of(blob.name), blob.size)
            count_file(self.by_size_class, size_class(blob.size), blob.size)
            month = blob.last_modified.astimezone(UTC).strftime("%Y-%m") if blob.last_modified else NO_VALUE
            count_file(self.by_month, month, blob.size)
            count_file(self.by_tier, blob.tier or NO_VALUE, blob.size)
            entries.append(FileEntry.model_construct(**{f: getattr(blob, f) for f in FileEntry.model_fields}))
        self._keep_top(entries, entries)

    def merge(self, other: ContainerSummary) -> None:
        """Add what another summary counted."""
        self.files += other.files
        self.bytes += other.bytes
        self.rasters += other.rasters
        self.vectors += other.vectors
        for mine, theirs in (
            (self.by_extension, other.by_extension),
            (self.by_size_class, other.by_size_class),
            (self.by_month, other.by_month),
            (self.by_tier, other.by_tier),
        ):
            for key, count in theirs.items():
                _add(mine, key, count.files, count.bytes)
        self._keep_top(other.largest, other.newest)

    def _keep_top(self, largest: list[FileEntry], newest: list[FileEntry]) -> None:
        # Ties are broken by name, so that the answer does not depend on how the container was split.
        self.largest = nsmallest(TOP_FILES, self.largest + largest, key=lambda file: (-file.size, file.name))
        self.newest = nsmallest(
            TOP_FILES, self.newest + newest, key=lambda file: (-_seconds(file), file.name)
        )


def size_class(size: int) -> str:
    """The class of a size in bytes."""
    return next((name for name, end in SIZE_CLASSES if size < end), LARGEST_CLASS)


def count_file(counts: dict[str, Count], key: str, size: int) -> None:
    """Count one file of `size` bytes under `key`, or under `(other)` where there are too many keys."""
    _add(counts, key, 1, size)


def _add(counts: dict[str, Count], key: str, files: int, size: int) -> None:
    if key not in counts and len(counts) >= MAX_DISTINCT:
        key = OTHER
    counts.setdefault(key, Count()).add(files, size)


def _seconds(file: FileEntry) -> float:
    return file.last_modified.timestamp() if file.last_modified else 0.0
