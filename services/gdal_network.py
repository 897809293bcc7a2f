"""Keeps GDAL from asking web servers for what a file names: the CRS of a GeoJSON by its link, a web service.

Such requests go through `CPLHTTPFetch`, apart from reading files by ranges (`/vsiaz/`, `/vsicurl/`), which
`CPL_VSIL_CURL_ALLOWED_FILENAME` confines. There is no option for them: a proxy that is none is passed over
for the hosts in the environment's `NO_PROXY`, among which the platform's endpoint for credentials often is.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

Fetch = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p, *[ctypes.c_void_p] * 6)
"""`CPLHTTPFetchCallbackFunc` of cpl_http.h."""
RESULT_BYTES = 256
"""More than a `CPLHTTPResult` has, of which the rest is zero."""
_lock = threading.Lock()
_installed: dict[str, Any] = {}
"""By library: a callback lives as long as it may be called."""


class _Result(ctypes.Structure):
    """The beginning of a `CPLHTTPResult`."""

    _fields_ = [
        ("status", ctypes.c_int),
        ("content_type", ctypes.c_void_p),
        ("error", ctypes.c_void_p),
    ]


def refuse_requests(extension: str) -> bool:
    """Let every request fail that the GDAL makes with which this extension module is linked.

    For the whole process, and for good. False where that library does not offer it.
    """
    with _lock:
        if extension not in _installed:
            # The handle of an extension module finds the symbols of everything that it is linked with.
            _installed[extension] = _refusing(ctypes.CDLL(extension))
        return _installed[extension] is not None


def _refusing(library: ctypes.CDLL) -> Any:
    try:
        library.VSICalloc.restype = ctypes.c_void_p
        library.VSICalloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        library.VSIStrdup.restype = ctypes.c_void_p
        library.VSIStrdup.argtypes = [ctypes.c_char_p]
        library.CPLHTTPSetFetchCallback.restype = None
        library.CPLHTTPSetFetchCallback.argtypes = [Fetch, ctypes.c_void_p]
    except AttributeError:
        return None

    def refuse(url: bytes, *_: object) -> int | None:
        # GDAL's own memory, which it frees. Without a result it would make the request itself.
        del url
        address: int | None = library.VSICalloc(1, RESULT_BYTES)
        if address is not None:
            result = _Result.from_address(address)
            result.status = 1
            result.error = library.VSIStrdup(b"requests to web servers are refused")
        return address

    callback = Fetch(refuse)
    library.CPLHTTPSetFetchCallback(callback, None)
    return callback
