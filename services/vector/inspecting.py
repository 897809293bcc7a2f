"""Second stage of a load: which layers a file has, of what kinds their geometries are, in which chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from interfaces.containers import ReadContainer
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.layers import Attribute, Chunk, ColumnType, LayerFound, SourceFile
from interfaces.vectors import LoadOptions
from interfaces.workflows import TaskContext

from . import encodings, screening, wkb, workbooks
from .areas import area_in
from .files import Opened, VectorOpener
from .naming import safe_name
from .reading import Layer, layers, own_crs, short_crs, stream

BATCH_BYTES = 8 * 1024**2
"""Of a file, for the features that are read at a time: decoded they take some ten times as much."""
FEWEST, MOST = 50, 20_000
ASSUMED_FEATURE = 1024
"""Bytes of a feature while their number is not known."""
TEXTUAL = frozenset({"CSV", "GeoJSONSeq"})
"""Formats of text, of whose whole numbers GDAL makes the nearest that fits into 64 bits."""
TABLES = workbooks.DRIVERS | {"CSV"}
"""Formats that have no CRS: bbox and polygon are meant in degrees where nothing else is said."""
BY_FID = frozenset({"GPKG"})
"""Formats that find a range of feature ids at once, and have to read over what is skipped otherwise."""
BY_PLACE = frozenset(
    {"GPKG", "FlatGeobuf", "ESRI Shapefile", "OpenFileGDB", "Parquet", "SQLite", "MapInfo File"}
)
"""Formats of which a part can be read for less than the whole; the others are one chunk."""


class InspectVectorParameters(TaskParameters):
    """A file, and what is asked of it."""

    container: ReadContainer
    name: str
    options: LoadOptions


class InspectVectorResult(Contract):
    """What was found in the file."""

    source: str
    layers: list[str]
    features: int
    notes: list[str]


class InspectVector:
    """Discovers one item for each layer: `{"target": …, "layer": LayerFound}`."""

    def __init__(self, opener: VectorOpener) -> None:
        self._opener = opener

    def __call__(self, parameters: InspectVectorParameters, context: TaskContext) -> InspectVectorResult:
        """The layers. Raises `PermanentTaskError` with the reason why the file cannot be loaded."""
        options = parameters.options
        with self._opener.opened(
            parameters.container, parameters.name, context.check, encoding=options.encoding
        ) as opened:
            chosen = choose(opened, options)
            found = [inspected(layer, opened.source, options, context.check) for layer in chosen]
        targets = [target(one, options, alone=len(chosen) == 1) for one in found]
        items: Iterator[dict[str, JsonValue]] = (
            {"target": place, "layer": one.model_dump(mode="json")}
            for place, one in zip(targets, found, strict=True)
        )
        context.discover(items)
        notes = [f"{one.layer}: {note}" for one in found for note in one.notes]
        return InspectVectorResult(
            source=parameters.name,
            layers=[one.layer for one in found],
            features=sum(one.features for one in found),
            notes=[*opened.notes, *notes],
        )


def choose(opened: Opened, options: LoadOptions) -> list[Layer]:
    """The layers that are asked for, or all that have geometries."""
    every = [layer for part in opened.parts for layer in layers(part, options.csv)]
    if options.layers is not None:
        known = {layer.title: layer for layer in every}
        missing = [name for name in options.layers if name not in known]
        if missing:
            raise PermanentTaskError(f"layers: there is no {missing[0]!r}; there are {_listed(every)}")
        every = [known[name] for name in dict.fromkeys(options.layers)]
    spatial = [layer for layer in every if layer.spatial]
    if not spatial:
        raise PermanentTaskError(f"no layer has geometries: {_listed(every)}")
    if options.target_table is not None and len(spatial) > 1 and options.layers is None:
        raise PermanentTaskError(
            f"the file has several layers: name them in layers, or leave target_table out; they are "
            f"{_listed(spatial)}"
        )
    if options.layers is not None and len(spatial) < len(every):
        without = next(layer for layer in every if not layer.spatial)
        raise PermanentTaskError(f"layers: {without.title!r} has no geometries")
    return spatial


def target(found: LayerFound, options: LoadOptions, *, alone: bool) -> str:
    """The table that a layer goes into. A file's only layer is called as the file is."""
    if options.target_table is not None:
        return safe_name(options.target_table, "layer")
    name = found.source.name.rpartition("/")[2]
    title = name.partition(".")[0] if alone else found.layer
    return safe_name(title, "layer")


@dataclass
class _Pass:
    """What one reading of all geometries found."""

    types: Counter[str] = field(default_factory=Counter)
    features: int = 0
    fids: list[int] = field(default_factory=list)
    """First feature id of each chunk, and the last of all."""
    rising: bool = True


def inspected(
    layer: Layer, source: SourceFile, options: LoadOptions, check: Callable[[], None]
) -> LayerFound:
    """Reads every geometry's head: what a file declares of itself need not be so."""
    crs = own_crs(layer)
    options, text_notes = _with_encoding(layer, options, check)
    area = None
    if options.bbox is not None or options.polygon is not None:
        known = crs or options.assume_crs or ("EPSG:4326" if layer.part.driver in TABLES else None)
        if known is None:
            raise PermanentTaskError(f"layer {layer.title!r} names no CRS: give assume_crs")
        area = area_in(options, known)
    size = max(source.size, 1)
    first = _batch(size, size // ASSUMED_FEATURE + 1)
    as_text = frozenset(options.column_types)
    with stream(layer, options, batch=first, area=area, as_text=as_text) as found:
        names, types, notes = found.names, found.types, [*text_notes, *found.notes]
        crs = crs or found.crs
    with stream(layer, options, batch=first, area=area, geometry_only=True) as found:
        seen = _seen(found.batches, found.geometry, found.fid, options.chunk_features, check)
    if layer.part.driver == "GeoJSONSeq" and options.where is None and area is None:
        screening.check_json_sequence(layer.part.path, seen.features, check)
    if crs is None:
        if options.assume_crs is None:
            raise PermanentTaskError(f"layer {layer.title!r} names no CRS: give assume_crs")
        crs = short_crs(options.assume_crs)
        notes.append(f"names no CRS: {crs} is assumed")
    unknown = wkb.kinds(seen.types).unknown
    if unknown:
        notes.append(f"has geometries that cannot be stored: {', '.join(sorted(unknown))}")
    filtered = options.where is not None or area is not None
    return LayerFound(
        source=source,
        layer=layer.title,
        driver=layer.part.driver,
        crs=crs,
        fields=[Attribute(name=name, type=kind) for name, kind in zip(names, types, strict=True)],
        geometry_types=dict(seen.types),
        features=seen.features,
        batch_features=_batch(size, seen.features),
        encoding=options.encoding,
        null_is_lost=_null_is_lost(layer, seen, filtered, notes, check),
        chunks=_chunks(seen, layer.part.driver, options.chunk_features, whole=filtered),
        notes=notes,
        numbers_are_lost=_numbers_are_lost(layer, types, notes, check),
    )


def _with_encoding(
    layer: Layer, options: LoadOptions, check: Callable[[], None]
) -> tuple[LoadOptions, list[str]]:
    """What is asked, with the encoding of a shapefile that names none, or a wrong one; and notes."""
    table = layer.part.path.with_suffix(".dbf")
    if layer.part.driver != "ESRI Shapefile" or not table.exists():
        return options, []
    encoding, notes = encodings.of_shapefile(table, options.encoding, check)
    return options.model_copy(update={"encoding": encoding}), notes


def _null_is_lost(
    layer: Layer, seen: _Pass, filtered: bool, notes: list[str], check: Callable[[], None]
) -> bool:
    nulls = seen.types[wkb.NULL]
    if not nulls or filtered or layer.part.driver not in ("GeoJSON", "GeoJSONSeq"):
        return False
    written = screening.written_nulls(layer.part.path, check)
    if written >= nulls:
        return False
    notes.append(
        f"{nulls} geometries are read as null, and {written} are written so: all of them are rejected"
    )
    return True


def _numbers_are_lost(
    layer: Layer, types: Sequence[ColumnType], notes: list[str], check: Callable[[], None]
) -> bool:
    if layer.part.driver not in TEXTUAL or "bigint" not in types:
        return False
    if not screening.has_larger_numbers(layer.part.path, check):
        return False
    notes.append("has whole numbers of more than 64 bits: features with such are rejected")
    return True


def _seen(
    batches: Iterator[object],
    geometry: int | None,
    fid: int | None,
    chunk: int,
    check: Callable[[], None],
) -> _Pass:
    seen = _Pass()
    last = None
    for batch in batches:
        check()
        rows = batch.num_rows  # type: ignore[attr-defined]
        if geometry is not None:
            wkb.count(seen.types, batch.column(geometry))  # type: ignore[attr-defined]
        if fid is not None and rows:
            ids = batch.column(fid).to_numpy()  # type: ignore[attr-defined]
            rising = bool((ids[1:] > ids[:-1]).all()) and (last is None or ids[0] > last)
            seen.rising = seen.rising and rising
            start = -seen.features % chunk
            seen.fids += [int(ids[place]) for place in range(start, rows, chunk)]
            last = int(ids[-1])
        seen.features += rows
    if last is not None:
        seen.fids.append(last)
    return seen


def _chunks(seen: _Pass, driver: str, size: int, *, whole: bool) -> list[Chunk]:
    """Of at most `size` features; one, perhaps empty, for what cannot be read in parts."""
    if whole or driver not in BY_PLACE or seen.features <= size:
        return [Chunk(features=seen.features)]
    chunks = []
    by_fid = driver in BY_FID and seen.rising and len(seen.fids) > 1
    for number, skip in enumerate(range(0, seen.features, size)):
        features = min(size, seen.features - skip)
        fids = None
        if by_fid:
            last = skip + features == seen.features
            fids = (seen.fids[number], seen.fids[-1] if last else seen.fids[number + 1] - 1)
        chunks.append(Chunk(skip=skip, features=features, fids=fids))
    return chunks


def _batch(size: int, features: int) -> int:
    return max(FEWEST, min(MOST, BATCH_BYTES * max(features, 1) // size))


def _listed(found: list[Layer]) -> str:
    names = [layer.title for layer in found[:20]]
    return ", ".join(map(repr, names)) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
