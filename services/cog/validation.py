"""Says whether a file that was written is a strictly valid COG, and what its header says."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from interfaces.contracts import Contract
from interfaces.conversions import Grid
from interfaces.errors import PermanentTaskError
from services.raster_statistics import json_number

from .sources import gdal_told, opened

HASHED_AT_ONCE = 1024**2


class InvalidCog(PermanentTaskError):
    """What was written is no valid COG; the text says why."""

    title = "Invalid COG"


class CogDescription(Contract):
    """What `CogFile` says of a COG's header and bytes."""

    size: Annotated[int, Field(ge=0)]
    md5: str
    grid: Grid
    band_count: int
    dtype: str
    nodata: float | Literal["nan", "inf", "-inf"] | None
    overviews: list[int]
    compression: str | None


def validate(path: str) -> None:
    """Raise `InvalidCog` with the errors and warnings of rio-cogeo's strict validation."""
    from rio_cogeo.cogeo import cog_validate

    with gdal_told("validating the COG"):
        valid, errors, warnings = cog_validate(path, strict=True, quiet=True)
    if not valid:
        raise InvalidCog("not a strictly valid COG: " + "; ".join([*errors, *warnings]))


def describe_cog(path: str, *, size: int | None = None, md5: str | None = None) -> CogDescription:
    """Of a local file; of one elsewhere, its size (bytes) and MD5 (hex) are given."""
    with opened(path, ["GTiff"]) as cog, gdal_told("reading the COG"):
        crs = cog.crs
        authority = crs.to_authority() if crs else None
        text = ":".join(authority) if authority else crs.to_wkt(version="WKT2_2019") if crs else None
        nodata = cog.nodatavals[0]
        return CogDescription(
            size=Path(path).stat().st_size if size is None else size,
            md5=_md5(path) if md5 is None else md5,
            grid=Grid(crs=text, transform=list(cog.transform)[:6], width=cog.width, height=cog.height),
            band_count=cog.count,
            dtype=str(cog.dtypes[0]),
            nodata=None if nodata is None else json_number(float(nodata)),
            overviews=[int(factor) for factor in cog.overviews(1)],
            compression=cog.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION"),
        )


def _md5(path: str) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb") as file:
        while part := file.read(HASHED_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()
