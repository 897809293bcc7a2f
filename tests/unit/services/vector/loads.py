"""What a file is found to be, and what would be written of it: the way of a load, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow

from interfaces.layers import Chunk, ChunkCounts, ChunkWriter, LayerFound, Rejected, SourceFile
from interfaces.vectors import LoadOptions
from services.vector.files import DRIVERS
from services.vector.inspecting import inspected
from services.vector.loading import ChunkLoad, LayerToLoad, LoadChunkParameters
from services.vector.parts import Part, screened
from services.vector.preparing import planned
from services.vector.reading import Layer, layers, stream
from tests.unit.services.doubles import Context

from .shapes import no_curves


class Written(ChunkWriter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[pyarrow.RecordBatch] = []
        self.rejected: list[Rejected] = []
        self.counts = ChunkCounts()

    def linearise(self, geometries: Sequence[bytes], step_degrees: float) -> list[bytes | None]:
        return no_curves(geometries, step_degrees)

    def write(self, rows: pyarrow.RecordBatch) -> None:
        self.batches.append(rows)

    def reject(self, features: Sequence[Rejected]) -> None:
        self.rejected += features

    def column(self, name: str) -> list[Any]:
        """Of all rows."""
        return [value for batch in self.batches for value in batch.column(name).to_pylist()]

    def reasons(self) -> dict[str, str]:
        """By feature id."""
        return {one.feature_id: one.reason for one in self.rejected}


def nothing() -> None: ...


def _part(path: Path) -> Part:
    return screened(Part(path, DRIVERS[path.suffix[1:]], "a"), None, nothing)


def _layer(path: Path, asked: LoadOptions) -> Layer:
    [layer] = [one for one in layers(_part(path), asked.csv) if one.spatial]
    return layer


def found_in(path: Path, **options: Any) -> LayerFound:
    """The only layer of a file that has geometries."""
    asked = LoadOptions(**options)
    layer = _layer(path, asked)
    source = SourceFile(container="bronze", name=path.name, etag="1", size=path.stat().st_size)
    return inspected(layer, source, asked, nothing)


def written(path: Path, **options: Any) -> Written:
    """All of it in one chunk."""
    asked, found = LoadOptions(**options), found_in(path, **options)
    layer = _layer(path, asked)
    parameters = LoadChunkParameters(
        staging="",
        chunk=0,
        part=Chunk(features=found.features),
        layer=LayerToLoad(**found.model_dump(include=set(LayerToLoad.model_fields))),
        options=asked,
    )
    made = Written()
    reading = stream(
        layer,
        asked,
        batch=found.batch_features,
        as_text=frozenset(asked.column_types),
        odd_values=found.odd_values,
        zoned=found.zoned if found.times_as_text else None,
    )
    with reading as features:
        load = ChunkLoad(planned("a", [found], asked), parameters, features, made)
        made.counts = load.all_batches(Context())
    return made
