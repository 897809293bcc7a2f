"""A look at all geometries of a layer, and at what its file says of it, by several threads where they can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from interfaces.layers import Chunk
from interfaces.vectors import LoadOptions

from . import losses, sqlite_values
from .areas import Area
from .chunking import BY_FID, Seen, joined_seen
from .parts import DATABASES
from .reading import Layer, described, key_of, stream
from .usual_tables import Range


@dataclass(frozen=True)
class Survey:
    """What it found."""

    seen: Seen
    told: losses.Told | None
    """What the file says of a layer that was read as a whole."""
    odd: dict[str, int]
    """By column of a database how many values are not of its type."""
    rounded: dict[str, int] = field(default_factory=dict)
    """And how many become ones of single precision."""


def surveyed(
    layer: Layer,
    options: LoadOptions,
    names: Sequence[str],
    check: Callable[[], None],
    *,
    batch: int,
    area: Area | None,
) -> Survey:
    """Look at all that the options select. `names` are the layer's columns, `area` is in its CRS.

    Raises `PermanentTaskError` for what cannot be read.
    """

    def look(chunk: Chunk | None = None) -> Seen:
        seen = Seen(options.chunk_features, before=chunk.skip if chunk else 0)
        with stream(layer, options, batch=batch, area=area, chunk=chunk, geometry_only=True) as found:
            seen.look(found.batches, found.geometry, found.fid, check)
        return seen

    whole = options.where is None and area is None
    usual = layer.part.usual.get(layer.name)
    if layer.part.driver not in DATABASES:
        return Survey(look(), losses.told(layer, check) if whole else None, {})
    if usual is None:
        with ThreadPoolExecutor(2, "survey") as pool:
            # SQLite goes through the tables while GDAL reads them: neither waits for the other.
            types = {n: kind for n, kind in sqlite_values.types_of(described(layer)).items() if n in names}
            path = layer.part.path
            key = key_of(layer)
            asked = pool.submit(sqlite_values.looked_over, path, layer.name, types, check, key)
            seen, looked = look(), asked.result()
            odd = looked.odd
            if odd and not sqlite_values.are_findable(path, layer.name, key, types, odd, check):
                odd = {}
            told = losses.Told(looked.rows) if whole else None
            return Survey(seen, told, odd, looked.rounded)
    told = losses.Told(usual.rows) if whole else None
    if not whole or layer.part.driver not in BY_FID:
        return Survey(look(), told, {})
    with ThreadPoolExecutor(len(usual.ranges), "survey") as pool:
        seen = joined_seen(list(pool.map(look, _chunks(usual.ranges))))
    return Survey(seen, told, {})


def _chunks(ranges: Sequence[Range]) -> list[Chunk]:
    chunks: list[Chunk] = []
    skip = 0
    for one in ranges:
        chunks.append(Chunk(skip=skip, features=one.rows, fids=(one.first, one.last)))
        skip += one.rows
    return chunks
