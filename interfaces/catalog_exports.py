"""What an export of the catalog is, and where it goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter

from .containers import TargetContainer
from .contracts import JobParameters
from .sources import BlobName

ExportFormat = Literal["geoparquet", "static"]

_NAME: TypeAdapter[str] = TypeAdapter(BlobName)
LONGEST_FOLDER = 500
"""Of the 1,024 characters of a blob's name: ids of collections and items come after it."""


def _folder(text: str) -> str:
    folder = text.removesuffix("/")
    if len(folder) > LONGEST_FOLDER:
        raise ValueError(f"a prefix has at most {LONGEST_FOLDER} characters")
    return _NAME.validate_python(folder) if folder else folder


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
