"""GDAL as pyogrio brings it: a second library beside rasterio's, set up once for files of strangers."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from interfaces.errors import PermanentTaskError, TaskError
from services.gdal_network import refuse_requests

MAX_REASON = 400
NO_SPACE = ("No space left", "Disk quota exceeded")
OPTIONS = {
    # Every file is on disk before it is opened: whatever asks for the network was told to by a file.
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/vsicurl/nothing",
    "GDAL_HTTP_PROXY": "127.0.0.1:9",
    "GDAL_HTTP_TIMEOUT": "1",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "PROJ_NETWORK": "OFF",
    # Written into scratch space, from the .shp.
    "SHAPE_RESTORE_SHX": "YES",
    "OGR_GEOJSON_MAX_OBJ_SIZE": "200",
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    # The driver's own way of streaming makes nonsense of null geometries, and of what follows them.
    "OGR_FLATGEOBUF_STREAM_BASE_IMPL": "YES",
}
"""Of pyogrio's own GDAL, for the whole process. Rasterio's has its options apart."""
_lock = threading.Lock()
_ready = False


def pyogrio() -> Any:
    """The library, with `OPTIONS` set."""
    global _ready
    import pyogrio as library
    from pyogrio import _io

    with _lock:
        if not _ready:
            library.set_gdal_config_options(OPTIONS)
            refuse_requests(_io.__file__)
            # Of pyogrio's own descriptions, which have no M; what it streams has.
            warnings.filterwarnings("ignore", r"Measured \(M\) geometry types")
            _ready = True
    return library


@contextmanager
def told(path: str, shown: str) -> Iterator[None]:
    """Turn what GDAL raises into a `PermanentTaskError` that names the file, not the way to it."""
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

    try:
        yield
    except (
        DataLayerError,
        DataSourceError,
        FeatureError,
        FieldError,
        GeometryError,
        ValueError,
        RuntimeError,
        OSError,
    ) as error:
        text = " ".join(str(error).replace(path, shown).split())
        text = text.partition("; It might help to specify")[0][:MAX_REASON]
        if text.endswith(":"):
            text += " the library gives no reason"
        if any(sign in text for sign in NO_SPACE):
            raise TaskError(f"the temporary space is full: {text}") from error
        raise PermanentTaskError(f"GDAL cannot read it: {text}") from error
