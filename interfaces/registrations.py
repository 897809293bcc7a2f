"""What jobs that fill the STAC catalog are asked for: which files, which collection, which ids and times."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from .catalog import PartitionBy
from .containers import Time
from .contracts import Contract, JobParameters

MAX_REJECTS = 1000
"""Rejected items that one task names, with their reasons; more are counted."""
LONGEST_REASON = 300
MAX_UNVALIDATED = 100
ID_FIELDS = ("path", "folder", "stem", "name", "container")
DIRECTIVES = {
    "%Y": r"(?P<Y>\d{4})",
    "%m": r"(?P<m>\d{2})",
    "%d": r"(?P<d>\d{2})",
    "%j": r"(?P<j>\d{3})",
    "%H": r"(?P<H>\d{2})",
    "%M": r"(?P<M>\d{2})",
    "%S": r"(?P<S>\d{2})",
}
"""Those of strptime that a pattern of a name may have, each once, and what they stand for."""


def _collection_id(text: str) -> str:
    if not re.fullmatch(r"[\w.~-]{1,200}", text):
        raise ValueError("a collection's id has 1 to 200 letters, digits and . _ ~ -: it is part of URLs")
    return text


CollectionId = Annotated[
    str, AfterValidator(_collection_id), Field(description="Id of a collection of the catalog")
]


def _id_template(template: str) -> str:
    unknown = [field for field in re.findall(r"\{([^{}]*)\}", template) if field not in ID_FIELDS]
    if unknown:
        raise ValueError(f"unknown field {{{unknown[0]}}}; known are {', '.join(ID_FIELDS)}")
    plain = re.sub(r"\{[^{}]*\}", "x", template)
    if "{" in plain or "}" in plain:
        raise ValueError("a brace is not closed or not opened")
    return template


def name_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern of names. Raises `ValueError` for one that names no day."""
    made, used = "", []
    for part in re.split(r"(%.?)", pattern):
        if part.startswith("%"):
            if part not in DIRECTIVES or part in used:
                raise ValueError(f"{part}: known are {' '.join(DIRECTIVES)}, each once")
            used.append(part)
            made += DIRECTIVES[part]
        else:
            made += re.escape(part)
    if "%Y" not in used or not ({"%j"} <= set(used) or {"%m", "%d"} <= set(used)):
        raise ValueError("a day is %Y with %m and %d, or with %j")
    if ("%M" in used and "%H" not in used) or ("%S" in used and "%M" not in used):
        raise ValueError("a time of day is %H, %H%M or %H%M%S")
    return re.compile(made)


def _name_pattern(pattern: str) -> str:
    name_pattern(pattern)
    return pattern


class NewCollection(JobParameters):
    """What the document of a collection says that is created because it is missing."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    description: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = None
    license: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[\w.+-]+$",
            description='An SPDX identifier or expression, or "other"',
        ),
    ] = "other"
    partition_by: Annotated[
        PartitionBy,
        Field(description="How pgstac stores its items: month or year for collections of millions"),
    ] = "none"


class RasterItems(JobParameters):
    """How items are made of rasters."""

    datetime: (
        Annotated[Time, Field(description="Of all rasters; else from metadata, the name, or the file's time")]
        | None
    ) = None
    end_datetime: Annotated[Time, Field(description="With datetime: the end of a span")] | None = None
    datetime_pattern: (
        Annotated[
            str,
            StringConstraints(min_length=2, max_length=200),
            AfterValidator(_name_pattern),
            Field(
                description="Part of each name that says its time, in UTC: text with %Y %m %d %j %H %M %S,"
                " such as S2_%Y%m%dT%H%M%S"
            ),
        ]
        | None
    ) = None
    id_template: Annotated[
        str,
        StringConstraints(min_length=1, max_length=500),
        AfterValidator(_id_template),
        Field(
            description="Of each item's id: text with {path} (folder and stem), {folder}, {stem}, {name} and"
            " {container} of the file. What is no letter, digit or . _ ~ - becomes -, with a hash at the end"
        ),
    ] = "{path}"
    require_cog: Annotated[
        bool, Field(description="Reject rasters that are no strictly valid cloud-optimized GeoTIFF")
    ] = False
    make_thumbnails: Annotated[
        bool,
        Field(description="Write a PNG of at most 512 pixels beside each raster that has none"),
    ] = False

    @model_validator(mode="after")
    def _times_fit_together(self) -> Self:
        if self.end_datetime is not None and self.datetime is None:
            raise ValueError("end_datetime goes with datetime")
        if self.end_datetime is not None and self.datetime is not None and self.end_datetime < self.datetime:
            raise ValueError("end_datetime is before datetime")
        if self.datetime is not None and self.datetime_pattern is not None:
            raise ValueError("give datetime or datetime_pattern")
        return self


class Reject(Contract):
    """An item that is not in the catalog, and why. `path`: where in it; `schema_url`: who says so."""

    file: str
    place: str
    """Where in the file: a line, a feature; empty where the file is the item."""
    id: str | None
    path: str
    reason: str
    schema_url: str | None = None


Kind = Literal["rasters", "documents"]
