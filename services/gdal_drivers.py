"""Keeps GDAL from opening formats that no raster of ours has.

Where GDAL opens a file on its own account (a mask, overviews, the source of a VRT) it tries all of its
drivers: those of web services among them, and of documents that refer to other files. VRT stays, since
conversions are made of VRTs.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Collection

from .gdal_network import refuse_requests

_lock = threading.Lock()
_closed = False


def open_only(drivers: Collection[str]) -> None:
    """Let GDAL open rasters with these drivers only, in the whole process; the first call counts.

    Drivers must be registered. They are not removed, since other threads may be using them: GDALOpenEx passes
    over those without the capability. Nothing happens where the library does not export the functions.
    """
    global _closed
    with _lock:
        if not _closed:
            _close_others(set(drivers))
            _closed = True


def _close_others(drivers: set[str]) -> None:
    from rasterio import _base

    refuse_requests(_base.__file__)
    # The handle of an extension module finds the symbols of everything that it is linked with.
    library = ctypes.CDLL(_base.__file__)
    try:
        library.GDALGetDriver.restype = ctypes.c_void_p
        library.GDALGetDriverShortName.restype = ctypes.c_char_p
        library.GDALGetDriverShortName.argtypes = [ctypes.c_void_p]
        library.GDALSetMetadataItem.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3]
        count = library.GDALGetDriverCount()
    except AttributeError:
        return
    for index in range(count):
        driver = library.GDALGetDriver(index)
        if library.GDALGetDriverShortName(driver).decode() not in drivers:
            library.GDALSetMetadataItem(driver, b"DCAP_RASTER", None, None)
