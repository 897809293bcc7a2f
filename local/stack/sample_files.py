"""A few small files to try the app on: made here, so that no binary lies in the repository."""

from __future__ import annotations

import json
from pathlib import Path

_NOTE = "Small files made by ./run. They give way to yours: ./run --data FOLDER\n"
_STATIONS = "station,longitude,latitude\nNorth,13.40,52.60\nSouth,13.41,52.40\n"


NAMES = (
    "notes/about.txt",
    "rasters/elevation.tif",
    "rasters/landcover_cog.tif",
    "rasters/truncated.tif",
    "tables/stations.csv",
    "vectors/districts.geojson",
)


def write_sample(folder: Path) -> None:
    """Write the files of `NAMES` below the folder."""
    for name in NAMES:
        (folder / name).parent.mkdir(exist_ok=True)
    (folder / "notes/about.txt").write_text(_NOTE)
    (folder / "tables/stations.csv").write_text(_STATIONS)
    (folder / "vectors/districts.geojson").write_text(json.dumps(_districts(), indent=1))
    _write_elevation(folder / "rasters/elevation.tif")
    _write_landcover(folder / "rasters/landcover_cog.tif")
    whole = (folder / "rasters/elevation.tif").read_bytes()
    (folder / "rasters/truncated.tif").write_bytes(whole[: len(whole) // 2])


def _districts() -> dict[str, object]:
    features = []
    for number, west in enumerate((13.30, 13.40, 13.50), start=1):
        corners = [(0.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.0, 0.1), (0.0, 0.0)]
        ring = [[round(west + x, 2), round(52.45 + y, 2)] for x, y in corners]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": {"district": number}, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}


def _write_elevation(path: Path) -> None:
    """A plain striped GeoTIFF: one float band in UTM with a hole of nodata."""
    # Imported here: they take a moment, and only the first start writes rasters.
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    y, x = np.mgrid[0:520, 0:520].astype("float32")
    hills = (120 + 60 * np.sin(x / 40) * np.cos(y / 55)).astype("float32")
    hills[:40, :60] = -9999
    profile = {"driver": "GTiff", "width": 520, "height": 520, "count": 1, "dtype": "float32"}
    profile |= {"crs": "EPSG:32633", "transform": from_origin(390_000, 5_820_000, 30, 30), "nodata": -9999}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(hills, 1)


def _write_landcover(path: Path) -> None:
    """A cloud-optimized GeoTIFF: tiles and overviews, three bytes a pixel, in longitude and latitude."""
    import numpy as np
    import rasterio
    import rasterio.shutil
    from rasterio.transform import from_origin

    y, x = np.mgrid[0:1024, 0:1024]
    bands = np.stack([(x // 64 * 16) % 256, (y // 64 * 16) % 256, ((x + y) // 128 * 32) % 256]).astype(
        "uint8"
    )
    profile = {"driver": "GTiff", "width": 1024, "height": 1024, "count": 3, "dtype": "uint8"}
    profile |= {"crs": "EPSG:4326", "transform": from_origin(13.0, 52.8, 0.0005, 0.0005)}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile) as raster:
            raster.write(bands)
        with memory.open() as raster:
            rasterio.shutil.copy(raster, path, driver="COG", compress="deflate", blocksize=256)
