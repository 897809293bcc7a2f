"""Exports one table in a process of its own, to nowhere, and prints how much memory that took at most."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from interfaces.layer_exports import ExportTarget, LayerSelection
from interfaces.layers import Owner
from interfaces.settings import Settings
from repositories.database import Database
from repositories.layer_exports import PostgresLayerReader
from services.cog.resources import Resources
from services.export_blobs import ExportBlobs
from services.vector.exporting import ExportLayer, ExportLayerParameters, FindLayer, FindLayerParameters
from tests.unit.services.doubles import Context, MemoryBlobs


class Nowhere(MemoryBlobs):
    """Takes what is written, and forgets it."""

    def write_stream(self, container: str, name: str, chunks: Iterable[bytes], **_: Any) -> str:
        for _chunk in chunks:
            pass
        return name

    def copy(self, *arguments: Any, **_: Any) -> Any:
        return None

    def delete(self, container: str, names: Any) -> int:
        return 0

    def url(self, container: str, name: str) -> str:
        return name


class Reader(PostgresLayerReader):
    """Of a task that is always held."""

    def check_held(self, owner: Owner) -> None: ...


def main(url: str, table: str, kind: str, scratch: str) -> None:
    """Export, and print the peak (bytes) and the result."""
    settings = Settings(database_url=SecretStr(url), scratch_folder=Path(scratch))
    blobs: Any = Nowhere()
    reader = Reader(Database(settings))
    context: Any = Context()
    selection = LayerSelection(source_table=table)
    target = ExportTarget(format=kind, target_container="bronze", overwrite="always")  # type: ignore[arg-type]
    FindLayer(reader, blobs)(FindLayerParameters(selection=selection, target=target), context)
    [found] = context.items
    export = ExportLayer(reader, ExportBlobs(blobs, "bronze", "mark"), Resources(settings))
    result = export(ExportLayerParameters.model_validate({**found, "target": target}), context)
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    print(json.dumps({"peak": peak, "features": result.features, "size": result.size}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
