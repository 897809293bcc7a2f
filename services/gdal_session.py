"""GDAL's configuration for reading one untrusted blob by ranges, and the count of bytes that it took.

rasterio sets configuration options of a thread only, except on the main thread, where they are the
process's defaults; both are fine for us, since every session sets all it needs.
"""

from __future__ import annotations

import ctypes
import json
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from repositories import usage
from repositories.traffic import BLOB_TRAFFIC

from .gdal_drivers import open_only

DRIVERS = [
    "GTiff",
    "JP2OpenJPEG",
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "HFA",
    "GRIB",
    "SRTMHGT",
    "DTED",
    "AAIGrid",
]
"""Formats that hold their own pixels. VRT, WMS, STACIT and their like, which fetch others, are not here.

Nor are netCDF and HDF5. The library of the one reads remote files through userfaultfd, page by page, in a
thread that has none of this thread's options; when a page cannot be had, the reading thread waits for ever.
Of the other any file may refer to others of the machine, so that its bytes have to be looked at before, and
be the same afterwards (`hdf5_references`).
"""

WHOLE_DRIVERS = {"netCDF", "HDF5", "HDF5Image"}
"""Of formats that are not read by ranges: files are fetched or copied whole first."""

OPENED = {*DRIVERS, *WHOLE_DRIVERS, "VRT", "COG", "MEM"}
"""All that GDAL may open in this process, on its own account too: VRTs and COGs are what is made."""

READING = {
    "CPL_VSIL_CURL_CHUNK_SIZE": "16384",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_PAM_ENABLED": "YES",
    "PROJ_NETWORK": "OFF",
    "GTIFF_IMPLICIT_JPEG_OVR": "NO",
}
"""Not GDAL_CACHEMAX: the cache is the process's, and a session that sets it in one thread puts back, when it
ends, what it found, under the hands of all others. `GdalSessions` sets it once."""

MAX_MESSAGES = 20
MAX_MESSAGE_CHARACTERS = 300
FORGET_AFTER = 200
"""Sessions after which GDAL's statistics are emptied even if one is always running."""


class BytesRead:
    """Bytes that a session downloaded; final when it has ended, None where GDAL cannot tell."""

    value: int | None = None

    def __init__(self, paths: Collection[str]) -> None:
        self.paths = set(paths)
        self.before = 0
        self.so_far: Callable[[], int] = lambda: 0
        """Bytes until now, while the session runs; 0 where GDAL cannot tell."""


class GdalMessages(logging.Filter):
    """Collects what GDAL says of one file, in the thread that reads it, instead of logging it.

    A broken TIFF is good for dozens of lines that nobody can relate to a task: they belong into its report.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    @contextmanager
    def collected(self) -> Iterator[list[str]]:
        """The messages of this thread, growing, at most `MAX_MESSAGES`."""
        messages: list[str] = []
        self._thread.messages = messages
        try:
            yield messages
        finally:
            del self._thread.messages

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a record that was collected."""
        messages: list[str] | None = getattr(self._thread, "messages", None)
        if messages is None:
            return True
        text = record.getMessage()[:MAX_MESSAGE_CHARACTERS]
        if len(messages) < MAX_MESSAGES and text not in messages:
            messages.append(text)
        return False


class GdalSessions:
    """Opens sessions. One per process; any number of threads.

    `cache_bytes` is for GDAL's cache of blocks, which all threads share; None: GDAL's default, 5 % of the
    machine's memory.
    """

    def __init__(self, cache_bytes: int | None = None) -> None:
        self._cache_bytes = cache_bytes
        self._cache_lock = threading.Lock()
        self._cache_set = False
        self._network = NetworkStatistics()
        self.messages = GdalMessages()
        logging.getLogger("rasterio._env").addFilter(self.messages)

    @contextmanager
    def session(
        self, path: str, sidecars: Collection[str], options: Mapping[str, str | int]
    ) -> Iterator[BytesRead]:
        """GDAL may read `path` and `sidecars` in this thread, and nothing else through the network.

        What earlier sessions fetched of this path is forgotten: the blob may have been replaced.
        """
        import rasterio

        self._set_cache()
        count = BytesRead({path, *sidecars})
        settings = {**READING, **_only(path, sidecars), **options}
        with self._network.counting(count), rasterio.Env(**settings):
            # Needs the options: without an account GDAL cannot tell which URL it is, and forgets all.
            self._network.forget(count.paths)
            open_only(OPENED)
            try:
                yield count
            finally:
                self._network.forget(count.paths)

    @contextmanager
    def in_memory(self, options: Mapping[str, str | int] | None = None) -> Iterator[None]:
        """GDAL may read nothing through the network in this thread, only what is in memory."""
        import rasterio

        self._set_cache()
        with rasterio.Env(**{**READING, **_only("nothing", []), **(options or {})}):
            open_only(OPENED)
            yield

    @contextmanager
    def more_cache(self, size: int) -> Iterator[None]:
        """Let the cache be so many bytes larger, for as long as somebody needs it."""
        if self._cache_bytes is None or not size:
            yield
            return
        self._resize_cache(size)
        try:
            yield
        finally:
            self._resize_cache(-size)

    def _set_cache(self) -> None:
        if self._cache_bytes is not None and not self._cache_set:
            self._resize_cache(0)

    def _resize_cache(self, by: int) -> None:
        from rasterio._env import set_gdal_config

        with self._cache_lock:
            assert self._cache_bytes is not None
            self._cache_bytes += by
            # Of all options the only one that rasterio sets for the whole process (GDALSetCacheMax, bytes).
            set_gdal_config("GDAL_CACHEMAX", self._cache_bytes)
            self._cache_set = True


def _only(path: str, sidecars: Collection[str]) -> dict[str, str]:
    """Options that keep GDAL from listing the container, probing for siblings and following references."""
    if not sidecars:
        return {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "CPL_VSIL_CURL_ALLOWED_FILENAME": path}
    # The option compares real ends of names, so that all but the first slash is the narrowest it takes.
    return {
        "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ",".join(_end(name) for name in [path, *sidecars]),
    }


def _end(name: str) -> str:
    """As much of the end of a name as the list can hold, in which spaces and commas are between items."""
    return re.split("[ ,]", name[1:])[-1]


def can_be_listed(path: str) -> bool:
    """False for names that GDAL's list of allowed files cannot hold whole: items end at spaces and commas.

    Of these it has the end, which others may have, too.
    """
    return not set(path) & {" ", ","}


class NetworkStatistics:
    """GDAL's own count of downloaded bytes per file (`VSINetworkStatsGetAsSerializedJSON`).

    rasterio does not offer these functions, but the library that it has loaded exports them: the handle
    of one of rasterio's extension modules finds the symbols of everything that it is linked with. The
    count is per file, so two threads that read the same file at once each see the sum of both.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[BytesRead] = []
        self._since_reset = 0
        self._told = 0
        """Of the bytes since the last reset, those that the process's traffic has."""

    @cached_property
    def _gdal(self) -> ctypes.CDLL | None:
        from rasterio import _base

        library = ctypes.CDLL(_base.__file__)
        try:
            library.VSINetworkStatsGetAsSerializedJSON.restype = ctypes.c_void_p
            library.VSINetworkStatsGetAsSerializedJSON.argtypes = [ctypes.c_void_p]
            library.VSIFree.argtypes = [ctypes.c_void_p]
            library.VSICurlPartialClearCache.argtypes = [ctypes.c_char_p]
            library.CPLSetConfigOption.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
            library.VSINetworkStatsReset.restype = None
        except AttributeError:
            return None
        # Read once, when the first byte is counted after a reset; so for the whole process, not a thread.
        library.CPLSetConfigOption(b"CPL_VSIL_NETWORK_STATS_ENABLED", b"YES")
        library.VSINetworkStatsReset()
        return library

    def forget(self, paths: Collection[str]) -> None:
        """Drop what GDAL keeps of files whose names start so: size, existence and content."""
        if self._gdal is not None:
            for path in paths:
                self._gdal.VSICurlPartialClearCache(path.encode())

    @contextmanager
    def counting(self, count: BytesRead) -> Iterator[None]:
        """Give `count`, at the end, the bytes that were downloaded of its paths meanwhile."""
        with self._lock:
            count.before = _downloaded(self._files(), count)
            self._running.append(count)
        count.so_far = lambda: self._so_far(count)
        try:
            yield
        finally:
            with self._lock:
                files = self._files()
                if self._gdal is not None:
                    count.value = _downloaded(files, count) - count.before
                    usage.count(read=count.value)
                    self._tell(files)
                self._running.remove(count)
                self._since_reset += 1
                if not self._running or self._since_reset >= FORGET_AFTER:
                    self._reset(files)

    def _so_far(self, count: BytesRead) -> int:
        with self._lock:
            return _downloaded(self._files(), count) - count.before if self._gdal is not None else 0

    def _files(self) -> dict[str, int]:
        """Bytes downloaded of each file since the last reset."""
        if self._gdal is None:
            return {}
        text = self._gdal.VSINetworkStatsGetAsSerializedJSON(None)
        if not text:
            return {}
        try:
            statistics: dict[str, Any] = json.loads(ctypes.string_at(text) or b"{}")
        finally:
            self._gdal.VSIFree(text)
        return {
            name: file.get("methods", {}).get("GET", {}).get("downloaded_bytes", 0)
            for handler in statistics.get("handlers", {}).values()
            for name, file in handler.get("files", {}).items()
        }

    def _tell(self, files: Mapping[str, int]) -> None:
        """Of all files, since a file that two threads read is counted for both of them."""
        total = sum(files.values())
        BLOB_TRAFFIC.add(read=max(total - self._told, 0))
        self._told = total

    def _reset(self, files: Mapping[str, int]) -> None:
        """The text names every file since the last reset, so it must not grow for ever."""
        self._tell(files)
        self._told = 0
        for count in self._running:
            count.before -= _downloaded(files, count)
        if self._gdal is not None:
            self._gdal.VSINetworkStatsReset()
        self._since_reset = 0


def _downloaded(files: Mapping[str, int], count: BytesRead) -> int:
    return sum(files.get(path, 0) for path in count.paths)
