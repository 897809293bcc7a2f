"""Names of what is written for a raster, from the template that its job gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from interfaces.blob_names import why_unfit
from interfaces.errors import PermanentTaskError

MOST_CHARACTERS = 1000
"""Of the 1,024 of a blob's name; what lies beside a COG has a longer one."""
_DATE_FIELDS = ("date", "year", "month", "day")


def cog_name(template: str, container: str, source: str, when: datetime | None) -> str:
    """The COG's name for a source blob whose acquisition was at `when`.

    Raises `PermanentTaskError` where the template asks for a date and there is none, and where the name would
    be too long for a blob.
    """
    folder, _, name = source.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    values = {
        "stem": stem if dot and stem else name,
        "name": name,
        "folder": folder,
        "extension": extension if dot and stem else "",
        "container": container,
    }
    return filled(template, values, when, source)


def filled(template: str, values: Mapping[str, str], when: datetime | None, source: str) -> str:
    """A template with these values, and those of a date, in its fields; errors as of `cog_name`."""
    values = dict(values)
    wanted = set(re.findall(r"\{(\w+)\}", template))
    if wanted & set(_DATE_FIELDS):
        if when is None:
            raise PermanentTaskError("path_template: asks for a date, and none is known; give datetime")
        utc = when.astimezone(UTC)
        values |= {"date": f"{utc:%Y%m%d}", "year": f"{utc:%Y}", "month": f"{utc:%m}", "day": f"{utc:%d}"}
    filled = re.sub(r"\{(\w+)\}", lambda field: values[field.group(1)], template)
    # A source at the top has no folder: what would be an empty part is none.
    parts = [part for part in filled.split("/") if part]
    made = "/".join(parts)
    if any(part in (".", "..") for part in parts):
        raise PermanentTaskError(f"path_template: makes {made!r} of {source!r}, a part of which is dots")
    if len(made) <= MOST_CHARACTERS and (reason := why_unfit(made)):
        raise PermanentTaskError(f"path_template: makes {made!r} of {source!r}: {reason}")
    if len(made) > MOST_CHARACTERS:
        raise PermanentTaskError(f"path_template: makes a name of {len(made)} characters; 1,000 are allowed")
    return made


def thumbnail_name(cog: str) -> str:
    """Beside the COG."""
    return f"{_beside(cog)}.thumbnail.png"


def item_name(cog: str) -> str:
    """Beside the COG; named after it, because a folder may hold many."""
    return f"{_beside(cog)}.item.json"


def _beside(cog: str) -> str:
    """Without .tif only: a.tif and a.tiff, or a.TIF, are two COGs."""
    return cog.removesuffix(".tif")
