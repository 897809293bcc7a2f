"""Copies a raster to another format as rasterio does, but can be stopped while GDAL is at it.

`rasterio.shutil.copy` passes no progress function (1.4.4), and a copy of gigapixels takes minutes. The
functions are those of the very library that rasterio has loaded, so that its configuration, drivers and
logging hold here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

FAILURE = 3
"""CPLErr: errors from here on, debug messages and warnings below."""
OPEN_RASTER = 0x02 | 0x40
"""GDAL_OF_RASTER, GDAL_OF_VERBOSE_ERROR."""
SAID = 3
"""The last so many errors, of which the first is nearest to the cause."""

_Progress = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p)
_ErrorHandler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int, ctypes.c_char_p)


def copy(
    name: str,
    target: str,
    *,
    source_driver: str,
    driver: str,
    options: Mapping[str, str],
    check: Callable[[], None],
) -> None:
    """Write the raster `name` to the file `target`, within a rasterio environment.

    `check` is called again and again meanwhile; what it raises ends the copy, of which something may be left
    at `target`. Raises `rasterio.errors.RasterioIOError` with GDAL's words.
    """
    from rasterio.errors import RasterioIOError

    gdal = _gdal()
    stopped: list[BaseException] = []

    def progress(*_: object) -> int:
        try:
            # It is called again after it has said no.
            if not stopped:
                check()
        except BaseException as error:  # noqa: BLE001 - it is raised again as soon as GDAL has returned
            stopped.append(error)
        return int(not stopped)

    called = _Progress(progress)
    with _errors(gdal) as said:
        source = gdal.GDALOpenEx(name.encode(), OPEN_RASTER, _strings([source_driver]), None, None)
        made = source and gdal.GDALCreateCopy(
            gdal.GDALGetDriverByName(driver.encode()),
            target.encode(),
            source,
            1,
            _strings([f"{key}={value}" for key, value in options.items()]),
            called,
            None,
        )
        # What is still in memory is written now, and may not fit.
        complete = bool(made) and gdal.GDALClose(made) < FAILURE
        if source:
            gdal.GDALClose(source)
    if stopped:
        raise stopped[0]
    if not complete:
        raise RasterioIOError("; ".join(said) or "GDAL gives no reason")


@contextmanager
def _errors(gdal: ctypes.CDLL) -> Iterator[list[str]]:
    """GDAL's last errors in this thread; rasterio hears of them, too."""
    said: list[str] = []

    def handler(kind: int, number: int, message: bytes) -> None:
        text = message.decode(errors="replace")
        if kind >= FAILURE and text not in said:
            said.append(text)
            del said[:-SAID]
        gdal.CPLCallPreviousHandler(kind, number, message)

    called = _ErrorHandler(handler)
    gdal.CPLPushErrorHandler(called)
    try:
        yield said
    finally:
        gdal.CPLPopErrorHandler()


def _strings(values: list[str]) -> ctypes.Array[ctypes.c_char_p]:
    """A list of strings as GDAL takes it."""
    return (ctypes.c_char_p * (len(values) + 1))(*(value.encode() for value in values), None)


@cache
def _gdal() -> ctypes.CDLL:
    """The handle of an extension module finds the symbols of all that it is linked with."""
    from rasterio import _base

    gdal = ctypes.CDLL(_base.__file__)
    strings = ctypes.POINTER(ctypes.c_char_p)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    # Pointers are longer than what ctypes takes for granted.
    gdal.GDALOpenEx.argtypes = [text, ctypes.c_uint, strings, strings, strings]
    gdal.GDALOpenEx.restype = pointer
    gdal.GDALGetDriverByName.argtypes = [text]
    gdal.GDALGetDriverByName.restype = pointer
    gdal.GDALCreateCopy.argtypes = [pointer, text, pointer, number, strings, _Progress, pointer]
    gdal.GDALCreateCopy.restype = pointer
    gdal.GDALClose.argtypes = [pointer]
    gdal.CPLPushErrorHandler.argtypes = [_ErrorHandler]
    gdal.CPLPushErrorHandler.restype = None
    gdal.CPLPopErrorHandler.restype = None
    gdal.CPLCallPreviousHandler.argtypes = [number, number, text]
    gdal.CPLCallPreviousHandler.restype = None
    return gdal
