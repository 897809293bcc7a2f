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
MAX_FEATURE_BYTES = 32 * 1024**2
"""Of one geometry as WKB: two million vertices. It is in memory in several forms at once."""
TOO_LARGE = f"one feature is larger than {MAX_FEATURE_BYTES // 1024**2} MiB: subdivide or simplify it"
NO_MORE = ("Too large feature", "GeoJSON object too complex/large", "Too many characters in")
"""What GDAL says of an object of JSON of more than `OGR_GEOJSON_MAX_OBJ_SIZE`, or of 10 MB in one value."""
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
    # Of text, in MB, which takes up to ten times as much in memory.
    "OGR_GEOJSON_MAX_OBJ_SIZE": "32",
    # A batch ends at so much of a column; for one larger feature most drivers fail.
    "OGR_ARROW_MEM_LIMIT": str(MAX_FEATURE_BYTES),
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
    # Else it has several batches of a GeoPackage in memory, for more work in all and little less time.
    "OGR_GPKG_NUM_THREADS": "1",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    # The driver's own way of streaming makes nonsense of null geometries, and of what follows them.
    "OGR_FLATGEOBUF_STREAM_BASE_IMPL": "YES",
}
"""Of pyogrio's own GDAL, for the whole process. Rasterio's has its options apart."""
UNNAMED = {1 << 31: "Unknown Z", 2000: "Unknown M", 3000: "Unknown ZM"} | {
    code + dimensions: name
    for code, name in ((15, "PolyhedralSurface"), (16, "TIN"), (17, "Triangle"))
    for dimensions in (0, 1000, 2000, 3000)
}
"""Types of layers that GDAL has (OGRwkbGeometryType) and pyogrio has no names for: a file with one such layer
could not be opened, and none of them be written."""
_lock = threading.Lock()
_ready = False


def pyogrio() -> Any:
    """The library, with `OPTIONS` set."""
    global _ready
    import pyogrio as library
    from pyogrio import _geometry, _io

    with _lock:
        if not _ready:
            library.set_gdal_config_options(OPTIONS)
            refuse_requests(_io.__file__)
            for code, name in UNNAMED.items():
                _geometry.GEOMETRY_TYPES.setdefault(code, name)
                _geometry.GEOMETRY_TYPE_CODES.setdefault(name, code)
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
    except MemoryError as error:
        # PyArrow's, of what GDAL says about `OGR_ARROW_MEM_LIMIT`.
        raise PermanentTaskError(TOO_LARGE if "Too large" in str(error) else f"{shown}: {error}") from error
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
        if any(sign in text for sign in NO_MORE):
            raise PermanentTaskError(TOO_LARGE) from error
        if any(sign in text for sign in NO_SPACE):
            raise TaskError(f"the temporary space is full: {text}") from error
        raise PermanentTaskError(f"GDAL cannot read it: {text}") from error
