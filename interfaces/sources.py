"""Which blobs a job is about, and what the blobs are called that it makes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .blob_names import why_unfit
from .containers import BlobFilter, FilterOrGlob, Prefix, SourceContainer
from .contracts import JobParameters

MAX_NAMED_BLOBS = 10_000
_FIELD = re.compile(r"\{([^{}]*)\}")


def _blob_name(name: str) -> str:
    """https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata"""
    if not name or len(name) > 1024:
        raise ValueError("a blob name has 1 to 1,024 characters")
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError("a blob name has no empty part, and none that is . or ..")
    if any(ord(character) < 32 or character == "\x7f" for character in name):
        raise ValueError("a blob name has no control characters")
    return name


BlobName = Annotated[str, AfterValidator(_blob_name)]


class BlobSources(JobParameters):
    """Which files a job is about: one blob, a list of blobs, or those below a prefix that pass a filter."""

    container: SourceContainer
    blob: Annotated[BlobName, Field(description="One file")] | None = None
    blobs: (
        Annotated[
            list[BlobName], Field(min_length=1, max_length=MAX_NAMED_BLOBS, description="Several files")
        ]
        | None
    ) = None
    prefix: Prefix | None = None
    filter: Annotated[FilterOrGlob, Field(description="Which files below the prefix")] = BlobFilter()
    limit: Annotated[int, Field(ge=1, le=1_000_000, description="At most so many files")] | None = None
    max_failed_fraction: Annotated[
        float,
        Field(ge=0, le=1, description="The job fails when more of its tasks than this fail"),
    ] = 0.5

    @model_validator(mode="after")
    def _one_way_of_naming(self) -> Self:
        given = [name for name in ("blob", "blobs", "prefix") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError('give exactly one of blob, blobs and prefix ("" for the whole container)')
        if self.prefix is None and (self.limit is not None or self.filter != BlobFilter()):
            raise ValueError("filter and limit go with prefix")
        return self


def checked_template(template: str, fields: Sequence[str], endings: tuple[str, ...]) -> str:
    """A name with fields in braces. Raises `ValueError` for fields and endings that are not among these."""
    unknown = [field for field in _FIELD.findall(template) if field not in fields]
    if unknown:
        raise ValueError(f"unknown field {{{unknown[0]}}}; known are {', '.join(fields)}")
    plain = _FIELD.sub("x", template)
    if "{" in plain or "}" in plain:
        raise ValueError("a brace is not closed or not opened")
    if not template.lower().endswith(endings):
        raise ValueError(f"must end in {' or '.join(endings)}")
    if reason := why_unfit(plain):
        raise ValueError(reason)
    return _blob_name(template)
