"""Loading items into the STAC catalog beside `pypgstac load`: the same file, the same database, in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .containers import make_container
from .our_side import OurSide

CONTAINER = "bench-items"
COLLECTION = "bench"
WARM_FILES, WARM_ITEMS = 8, 100
STAGES = """
SELECT stage_key, extract(epoch FROM completed_at - created_at)::float8 FROM app.stages
WHERE job_id = %s AND run = (SELECT max(run) FROM app.stages WHERE job_id = %s) ORDER BY stage
"""


@dataclass(frozen=True)
class CatalogLoad:
    """Median seconds for the same items."""

    items: int
    megabytes: float
    partition_by: str
    pypgstac: float
    """`load items --method delsert`, without the start of its process."""
    ours_load: float
    """The stage that loads: two workers, row counts, fences and statistics included."""
    ours_build: float
    """The stage that reads and validates every item."""
    ours: float
    """The whole job."""


def measure_load(ours: OurSide, items: int, rounds: int, limit: float, partition_by: str) -> CatalogLoad:
    """Load one file of items by each in turn, into an empty collection each time."""
    ours.rows("CREATE EXTENSION IF NOT EXISTS postgis")
    ours.run_jobs("stac_setup", [{}], 120)
    seconds: dict[str, list[float]] = {"pypgstac": [], "load": [], "build": [], "all": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.ndjson"
        path.write_text("".join(json.dumps(_item(number)) + "\n" for number in range(items)))
        container = make_container(ours, CONTAINER)
        with path.open("rb") as file:
            container.upload_blob("items.ndjson", file, overwrite=True, max_concurrency=2)
        url = ours.servers.postgres.url(ours.database)
        _warm_up(ours, limit)
        for number in range(rounds):
            _empty(ours, partition_by)
            command = [sys.executable, "-c", _LOAD, url, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            seconds["pypgstac"].append(float(done.stdout.split()[-1]))
            _empty(ours, partition_by)
            for stage, taken in _register(ours, items, number, limit).items():
                seconds[stage].append(taken)
        megabytes = round(path.stat().st_size / 1e6, 1)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return CatalogLoad(
        items,
        megabytes,
        partition_by,
        medians["pypgstac"],
        medians["load"],
        medians["build"],
        medians["all"],
    )


def _warm_up(ours: OurSide, limit: float) -> None:
    """Let both workers load some batches, as pypgstac's time is without its imports too."""
    _empty(ours, "none")
    name = f"{CONTAINER}-warm"
    container = make_container(ours, name)
    for number in range(WARM_FILES):
        lines = [json.dumps(_item(number * WARM_ITEMS + one)) for one in range(WARM_ITEMS)]
        container.upload_blob(f"{number}.ndjson", "\n".join(lines).encode(), overwrite=True)
    ours.run_jobs("stac_register", [{"container": name, "prefix": "", "kind": "documents"}], limit)


def _register(ours: OurSide, items: int, number: int, limit: float) -> dict[str, float]:
    """Seconds of the job and of its stages; each round is another job."""
    given = {
        "container": CONTAINER,
        "blob": "items.ndjson",
        "kind": "documents",
        "max_failed_fraction": number / 1000,
    }
    [status] = ours.run_jobs("stac_register", [given], limit)
    if status["result"]["loaded"] != items:
        raise RuntimeError(f"{items} items became {status['result']}")
    stages = {str(key): float(taken) for key, taken in ours.rows(STAGES, status["job_id"], status["job_id"])}
    return {"load": stages["load"], "build": stages["build"], "all": sum(stages.values())}


def _empty(ours: OurSide, partition_by: str) -> None:
    document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": COLLECTION,
        "description": "Items to measure with",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    }
    ours.rows("SELECT pgstac.delete_collection(id) FROM pgstac.collections WHERE id = %s", COLLECTION)
    ours.rows(
        "INSERT INTO pgstac.collections (content, partition_trunc) VALUES (%s::jsonb, %s)",
        json.dumps(document),
        None if partition_by == "none" else partition_by,
    )
    ours.rows("CHECKPOINT")


def _item(number: int) -> dict[str, Any]:
    """An item of about 2 KB, like those that `raster_to_cog` writes; a year of scenes all over the Earth."""
    x, y = number * 37 % 359 - 179.5, number * 17 % 169 - 84.5
    ring = [[x, y], [x + 0.4, y], [x + 0.4, y + 0.4], [x, y + 0.4], [x, y]]
    month, day = number % 12 + 1, number // 12 % 28 + 1
    bands = [
        {"name": f"b{band}", "data_type": "uint16", "nodata": 0, "unit": "1", "raster:scale": 0.0001}
        for band in range(1, 5)
    ]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
        ],
        "id": f"scene-{number:07}",
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [x, y, x + 0.4, y + 0.4],
        "properties": {
            "datetime": f"2025-{month:02}-{day:02}T{number % 24:02}:{number % 60:02}:00Z",
            "title": f"Scene {number}",
            "proj:code": f"EPSG:{32601 + number % 60}",
            "proj:shape": [10980, 10980],
            "proj:transform": [10.0, 0.0, 399960.0, 0.0, -10.0, 5800020.0],
        },
        "links": [{"rel": "collection", "href": f"../../{COLLECTION}", "type": "application/json"}],
        "assets": {
            "data": {
                "href": f"https://account.blob.core.windows.net/silver/scenes/{number:07}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "file:size": 100_000_000 + number,
                "file:checksum": f"d50110{number:032x}",
                "bands": bands,
            },
            "thumbnail": {
                "href": f"https://account.blob.core.windows.net/silver/scenes/{number:07}.thumbnail.png",
                "type": "image/png",
                "roles": ["thumbnail"],
            },
        },
    }


_LOAD = """
import sys, time
from pypgstac.db import PgstacDB
from pypgstac.load import Loader, Methods
with PgstacDB(dsn=sys.argv[1]) as db:
    began = time.perf_counter()
    Loader(db).load_items(sys.argv[2], insert_mode=Methods.delsert)
    print(time.perf_counter() - began)
"""
