"""Blobs beside a raster that belong to it: its metadata, mask, overviews and world file.

GDAL opens masks and overviews with any of its drivers, whatever the raster itself may be opened with. So
they are looked at before: one that holds a VRT or the description of a web service would have GDAL read local
files and ask servers.
"""

from __future__ import annotations

from collections.abc import Sequence

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.crs_references import names_a_file

from . import raster_signatures
from .raster_metadata import Refused

SIDECAR_PAGE = 200
"""Names with the same stem that are looked at for sidecars."""
PIXELS = (".msk", ".ovr")
"""Ends of names of masks and overviews, which are TIFFs."""
TEXTS = (".xml", ".tab", ".rpb", ".imd")
"""Ends of names of texts, which may have a CRS in them."""
TEXT_BYTES = 8 * 1024**2
IMAGINE = (".aux", ".rrd", ".ige")
"""Ends of names of Erdas Imagine's files, which name each other."""


def find_sidecars(blobs: BlobRepository, container: str, name: str) -> list[BlobItem]:
    """The blobs beside a raster that belong to it."""
    folder, slash, last = name.rpartition("/")
    stem = last.rpartition(".")[0] or last
    start = f"{folder}{slash}{stem}."
    beside = next(blobs.list_pages(container, start, SIDECAR_PAGE), [])
    possible = sidecar_names(name)
    return [blob for blob in beside if blob.name in possible]


def sidecar_etags(blobs: BlobRepository, container: str, name: str) -> dict[str, str]:
    """ETag of each sidecar, by its name: what tells that one was added, removed or replaced."""
    return {blob.name: blob.etag or "" for blob in find_sidecars(blobs, container, name)}


def sidecar_names(name: str) -> set[str]:
    """Names under which GDAL looks for a raster's metadata, mask, overviews and world file."""
    stem, _, extension = name.rpartition(".")
    beside = {f"{name}.aux.xml", f"{name}.msk", f"{name}.msk.ovr", f"{name}.ovr", f"{name}.aux"}
    if not extension or "/" in extension:
        return beside
    world = {f"{extension}w", f"{extension[0]}{extension[-1]}w", "wld"}
    others = {"aux", "aux.xml", "tab", "rrd", "ige", "rpb", "imd"}
    return beside | {
        f"{stem}.{spelling}" for suffix in world | others for spelling in (suffix, suffix.upper())
    }


def refuse_foreign(blobs: BlobRepository, container: str, sidecars: Sequence[BlobItem]) -> None:
    """Raise `Refused` for a mask or overviews that are no TIFF, and for a CRS that has PROJ read a file."""
    for item in sidecars:
        if item.name.lower().endswith(TEXTS):
            # GDAL reads no more of it into memory than this either: its own are some KiB.
            text = blobs.read(container, item.name, 0, min(item.size, TEXT_BYTES)) if item.size else b""
            if item.size > TEXT_BYTES or names_a_file(text):
                reason = "names a file that PROJ would read" if item.size <= TEXT_BYTES else "is too large"
                raise Refused(f"its sidecar {_last(item.name)} {reason}")
        if item.name.lower().endswith(PIXELS):
            head = blobs.read(container, item.name, 0, raster_signatures.HEAD_BYTES) if item.size else b""
            if not raster_signatures.is_tiff(head):
                raise Refused(
                    f"its sidecar {_last(item.name)} is no TIFF but {raster_signatures.kind(head)}: "
                    "other formats of masks and overviews are not followed"
                )


def refuse_references(paths: Sequence[str]) -> None:
    """Raise `Refused` for a mask or overviews that name another file as overviews of their own.

    GDAL must be able to read the paths in this thread.
    """
    import rasterio

    for path in paths:
        if path.lower().endswith(PIXELS):
            with rasterio.open(path, driver="GTiff") as dataset:
                if dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE"):
                    raise Refused(
                        f"its sidecar {_last(path)} names another file as its overviews: "
                        "references to other files are not followed"
                    )


def _last(name: str) -> str:
    return name.rpartition("/")[2]
