"""Loads one file in a process of its own, stage by stage, and prints how much memory that took at most."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from interfaces.blobs import BlobItem, BlobProperties
from interfaces.errors import PermanentTaskError
from interfaces.settings import Settings
from interfaces.vectors import LoadOptions
from repositories import feature_tables
from repositories.database import Database
from services.cog.resources import Resources
from services.vector.files import VectorOpener
from services.vector.inspecting import InspectVector, InspectVectorParameters
from services.vector.loading import LoadChunk, LoadChunkParameters
from services.vector.preparing import PrepareTable, PrepareTableParameters
from services.vector.publishing import PublishLayer, PublishLayerParameters
from tests.unit.services.doubles import Context, MemoryBlobs


class FolderBlobs(MemoryBlobs):
    """Files of a folder as blobs, read by ranges."""

    def __init__(self, folder: Path) -> None:
        files = (file for file in folder.iterdir() if file.is_file())
        super().__init__(BlobItem(name=file.name, size=file.stat().st_size) for file in files)
        self._folder = folder

    def properties(self, container: str, name: str) -> BlobProperties:
        size = (self._folder / name).stat().st_size
        return BlobProperties(
            name=name, size=size, last_modified=datetime.now(UTC), tier="Hot", etag="1", metadata={}
        )

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        with (self._folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if length is None else length)


def loaded(settings: Settings, path: Path) -> dict[str, Any]:
    """What became of the file; each stage is told what the one before discovered."""
    # There is no task in the database that could be taken from somebody.
    feature_tables.hold = lambda *_: None
    tables = feature_tables.PostgresFeatureTables(Database(settings))
    blobs: Any = FolderBlobs(path.parent)
    opener = VectorOpener(blobs, Resources(settings))
    options = LoadOptions(if_exists="replace")
    given = InspectVectorParameters(container="bronze", name=path.name, options=options)
    InspectVector(opener)(given, found := context())
    prepare = PrepareTableParameters.model_validate(
        {"target": "large", "items": found.items, "options": options}
    )
    PrepareTable(tables)(prepare, planned := context())
    done = context()
    for number, item in enumerate(planned.items):
        done.task_index = number
        LoadChunk(opener, tables)(LoadChunkParameters.model_validate({**item, "options": options}), done)
    staging = str(planned.items[0]["staging"])
    publish = PublishLayerParameters.model_validate({"staging": staging, "items": done.items})
    result = PublishLayer(tables)(publish, context())
    return {"read": result.read, "rejected": result.rejected, "chunks": len(planned.items)}


def context() -> Any:
    """Of one task."""
    return Context()


def main(url: str, path: str, scratch: str) -> None:
    """Load, and print the peak (bytes) and what was loaded, or why nothing was."""
    settings = Settings(
        database_url=SecretStr(url),
        scratch_folder=Path(scratch),
        task_scratch_limit="16GiB",  # type: ignore[arg-type]
    )
    try:
        said = loaded(settings, Path(path))
    except PermanentTaskError as error:
        said = {"refused": error.detail}
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(json.dumps({"peak": peak * 1024, **said}))


if __name__ == "__main__":
    main(*sys.argv[1:])
