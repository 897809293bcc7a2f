"""What hostile files want to get at."""

from __future__ import annotations

import json
from pathlib import Path

from tests import hostile_rasters, hostile_vectors
from tests.doubles.listener import Listener

MARKER = "canary-4b1d0c7e"


class Machine:
    """What there is beside the app: a raster and texts that no job may read, and a server none may ask."""

    def __init__(self, folder: Path, listener: Listener) -> None:
        folder.mkdir()
        self.listener = listener
        self.url = listener.url("").rstrip("/")
        self.raster, self.vector, self.text = (
            folder / f"{MARKER}{end}" for end in (".tif", ".geojson", ".tif.txt")
        )
        hostile_rasters.canary_raster(self.raster, f"{MARKER}-tag")
        point = {**hostile_vectors.POINT, "properties": {"a": f"{MARKER}-attribute"}}
        self.vector.write_text(json.dumps({"type": "FeatureCollection", "features": [point]}))
        # Also as PROJ reads files of definitions, which a CRS can name.
        self.text.write_text(f"{MARKER}-text\n<key> +proj=longlat +ellps=bessel +title={MARKER}-text\n")

    def leaks(self, text: str) -> set[str]:
        """What of it is in a text. Paths are the attacker's own, who wrote them."""
        return {kind for kind in ("tag", "attribute", "text") if f"{MARKER}-{kind}" in text}
