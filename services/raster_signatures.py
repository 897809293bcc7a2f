"""What the first bytes of a blob say it is, so that no driver is let loose on a text or an archive."""

from __future__ import annotations

HEAD_BYTES = 512

CLASSIC_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05")

RASTER_SIGNATURES: tuple[tuple[int, bytes], ...] = (
    (0, b"II*\x00"),  # TIFF, little-endian
    (0, b"MM\x00*"),
    (0, b"II+\x00"),  # BigTIFF
    (0, b"MM\x00+"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n"),  # JPEG 2000, in its box format
    (0, b"\xff\x4f\xff\x51"),  # JPEG 2000, bare code stream
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),  # JPEG
    (8, b"WEBP"),
    (0, b"GIF8"),
    (0, b"BM"),
    (0, b"EHFA_HEADER_TAG"),
    (0, b"\x89HDF\r\n\x1a\n"),  # HDF5, and netCDF 4
    *((0, mark) for mark in CLASSIC_NETCDF),
    (0, b"GRIB"),
    (0, b"UHL1"),  # DTED
    (80, b"UHL1"),
    (0, b"ncols"),  # Arc/Info ASCII grid
    (0, b"NCOLS"),
)

OTHER_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"SQLite format 3\x00", "an SQLite database (such as a GeoPackage)"),
    (b"PAR1", "a Parquet file"),
    (b"fgb", "a FlatGeobuf file"),
    (b"\x00\x00\x27\x0a", "a shapefile"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
)


def is_raster(head: bytes) -> bool:
    """True when the bytes begin like a format that can be opened."""
    return any(head[offset : offset + len(mark)] == mark for offset, mark in RASTER_SIGNATURES)


def is_tiff(head: bytes) -> bool:
    """True for TIFF and BigTIFF."""
    return head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"))


def is_vrt(head: bytes) -> bool:
    """True for a GDAL virtual raster, which only refers to other files."""
    return b"<VRTDataset" in head or b"<OGRVRTDataSource" in head


def kind(head: bytes) -> str:
    """What the bytes look like, in words for a reason."""
    for mark, name in OTHER_SIGNATURES:
        if head.startswith(mark):
            return name
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return "JSON text"
    if text[:1] == b"<":
        return "XML or HTML text"
    try:
        # The last character may have been cut in two.
        head[:-3].decode() if len(head) == HEAD_BYTES else head.decode()
    except UnicodeDecodeError:
        return "data of an unknown format"
    return "data of an unknown format" if b"\x00" in head else "text"
