"""What an item's data were made from, by which job and with which software (processing extension)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from interfaces.conversions import SourceBlob

PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
APP_VERSION = "0.1.0"
"""As in pyproject.toml, which is not deployed; a test holds the two together."""
NAMED_SOURCES = 10
"""Of a mosaic, so many are named."""


@dataclass(frozen=True)
class Lineage:
    """The job that made the data. `parameters_hash` is the SHA-256 of what was asked, hex."""

    job_id: str
    job_type: str
    sources: tuple[SourceBlob, ...]
    parameters_hash: str
    processed: datetime
    software: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was decided on the way, as sentences without a full stop."""

    def text(self) -> str:
        """In words: `processing:lineage`."""
        named = [
            f"{blob.container}/{blob.name} (ETag {blob.etag.strip(chr(34))})"
            for blob in self.sources[:NAMED_SOURCES]
        ]
        more = len(self.sources) - len(named)
        sources = ", ".join(named) + (f" and {more} more" if more else "")
        made = (
            f"Made by job {self.job_id} ({self.job_type}, parameters sha256:{self.parameters_hash}) "
            f"from {sources}"
        )
        return ". ".join([made, *self.notes]) + "."


def software_versions() -> dict[str, str]:
    """The versions of what reads, transforms and writes pixels."""
    from importlib.metadata import version

    import rasterio

    return {
        "geospatial-orchestrator": APP_VERSION,
        "GDAL": rasterio.__gdal_version__,
        "PROJ": rasterio.__proj_version__,
        "GEOS": rasterio.__geos_version__,
        "rasterio": rasterio.__version__,
        "rio-cogeo": version("rio-cogeo"),
    }
