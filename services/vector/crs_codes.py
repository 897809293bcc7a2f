"""What a CRS is called here, whatever a file calls it."""

from __future__ import annotations

from interfaces.errors import PermanentTaskError

UNDEFINED = ("Undefined geographic SRS", "Undefined Cartesian SRS")
"""How GDAL calls what a GeoPackage says is none (srs_id 0 and -1: OGC 12-128r19, 1.1.2.1.2)."""
AUTHORITY_CONFIDENCE = 90
"""How sure PROJ must be that a description is an authority's CRS, percent."""


def short_crs(crs: str | None) -> str | None:
    """An authority's code for a CRS that is one, else itself; None for none, and for one that says so."""
    if not crs or any(name in crs for name in UNDEFINED):
        return None
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        parsed = CRS.from_user_input(crs)
    except CRSError as error:
        raise PermanentTaskError(f"the CRS cannot be interpreted: {error}; give assume_crs"[:400]) from error
    authority = parsed.to_authority(min_confidence=AUTHORITY_CONFIDENCE)
    return ":".join(authority) if authority else parsed.to_wkt()
