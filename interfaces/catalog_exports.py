"""What an export of the catalog is, and where it goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .blob_names import why_unfit
from .containers import TargetContainer
from .contracts import JobParameters

ExportFormat = Literal["geoparquet", "static"]

LONGEST_FOLDER = 500
"""Of the 1,024 characters of a blob's name: ids of collections and items come after it."""


def _folder(text: str) -> str:
    folder = text.removesuffix("/")
    if len(folder) > LONGEST_FOLDER:
        raise ValueError(f"a prefix has at most {LONGEST_FOLDER} characters")
    if folder and (reason := why_unfit(folder)):
        raise ValueError(reason)
    return folder


Folder = Annotated[
    str,
    AfterValidator(_folder),
    Field(description="Folder in the container that everything is written below; empty for the container"),
]


class ExportTarget(JobParameters):
    """As what, and where."""

    format: Annotated[
        ExportFormat,
        Field(description="geoparquet: tables of items; static: a catalog of JSON files with relative links"),
    ]
    target_container: TargetContainer
    target_prefix: Folder = ""
