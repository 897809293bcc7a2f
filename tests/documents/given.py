"""The files that the documents take for granted: those of `./run`, and under the names that examples have."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from local.stack.progress import Progress
from local.stack.sample_files import write_sample
from local.stack.storage import ensure_containers, upload_folder

SCENES = ("a_20260701.tif", "b_20260702.tif")


def give_files(storage: str) -> None:
    """Containers as `./run` makes them; the sample files, scenes of 2026 and parcels."""
    ensure_containers(storage)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder)
        (folder / "scenes/2026").mkdir(parents=True)
        for scene in SCENES:
            shutil.copyfile(folder / "rasters/elevation.tif", folder / "scenes/2026" / scene)
        (folder / "parcels").mkdir()
        (folder / "parcels/parcels.geojson").write_text(json.dumps(_parcels()))
        upload_folder(storage, folder, "bronze", Progress())
        with BlobServiceClient.from_connection_string(storage) as service:
            ready = folder / "rasters/landcover_cog.tif"
            silver = service.get_container_client("silver")
            silver.upload_blob("scenes/2026/landcover.tif", ready.read_bytes(), overwrite=True)


def _parcels() -> dict[str, object]:
    """Four squares with a size and a zone."""
    features = []
    for number in range(4):
        west = 9.5 + number / 100
        corners = ((0.0, 0.0), (0.01, 0.0), (0.01, 0.01), (0.0, 0.01), (0.0, 0.0))
        ring = [[round(west + x, 4), round(47.1 + y, 4)] for x, y in corners]
        properties = {"parcel": number, "area": 300 * (number + 1), "zone": ("R1", "R2", "C1", "R3")[number]}
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}
