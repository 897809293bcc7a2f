"""Second stage of a load: which layers a file has, of what kinds their geometries are, in which chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import JsonValue

from interfaces.containers import ReadContainer
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.layers import Attribute, ColumnType, LayerFound, SourceFile
from interfaces.vectors import LoadOptions
from interfaces.workflows import TaskContext

from . import chunking, encodings, library, losses, screening, sqlite_screening, sqlite_values, wkb, workbooks
from .areas import Area, area_in
from .chunking import Seen
from .crs_codes import short_crs
from .files import Opened, VectorOpener
from .naming import safe_name
from .parts import at_most
from .reading import Layer, described, layers, stream, zoned_times
from .stated_crs import named_crs
from .surveying import surveyed
from .usual_tables import GEOMETRIES

TEXTUAL = frozenset({"CSV", "GeoJSONSeq"})
"""Formats of text, of whose whole numbers GDAL makes the nearest that fits into 64 bits."""
LARGE: frozenset[ColumnType] = frozenset({"bigint", "bigint[]", "jsonb"})
TABLES = workbooks.DRIVERS | {"CSV"}
"""Formats that have no CRS: bbox and polygon are meant in degrees where nothing else is said."""


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


def inspected(
    layer: Layer, source: SourceFile, options: LoadOptions, check: Callable[[], None]
) -> LayerFound:
    """Reads every geometry's head: what a file declares of itself need not be so."""
    crs, said = named_crs(layer, check)
    options, text_notes = _with_encoding(layer, options, check)
    area = _area(layer, options, crs, said)
    first = chunking.first_batch(layer.part.driver, source.size)
    as_text = frozenset(options.column_types)
    with stream(layer, options, batch=first, area=area, as_text=as_text) as found:
        names, types, notes = found.names, found.types, [*text_notes, *found.notes]
        if layer.part.driver in TABLES:
            crs = found.crs
    zoned, zone_notes = zoned_times(layer, options, found, first, area, check)
    types = [
        "timestamptz" if name in (zoned or ()) else kind for name, kind in zip(names, types, strict=True)
    ]
    notes += zone_notes
    filtered = options.where is not None or area is not None
    survey = surveyed(layer, options, names, check, batch=first, area=area)
    seen, told = survey.seen, survey.told
    if seen.largest > library.MAX_FEATURE_BYTES:
        raise PermanentTaskError(library.TOO_LARGE)
    if told is not None:
        losses.refuse_incomplete(layer, seen.features, told, check)
        if layer.part.driver == "GeoJSONSeq":
            screening.check_json_sequence(layer.part.path, seen.features, check)
    if crs is None:
        if options.assume_crs is None:
            raise PermanentTaskError(f"layer {layer.title!r} {said}: give assume_crs")
        crs = short_crs(options.assume_crs)
        notes.append(f"{said}: {crs} is assumed")
    notes += _said_of_odd(survey.odd)
    notes += [
        f"column {name!r} has {count} values of more digits than its single precision: they are rounded to it"
        for name, count in survey.rounded.items()
    ]
    notes += _said_of_left_out(layer, options)
    unknown = wkb.kinds(seen.types).unknown
    if unknown:
        notes.append(f"has geometries that cannot be stored: {', '.join(sorted(unknown))}")
    return LayerFound(
        source=source,
        layer=layer.title,
        driver=layer.part.driver,
        crs=crs,
        fields=[Attribute(name=name, type=kind) for name, kind in zip(names, types, strict=True)],
        geometry_types=dict(seen.types),
        features=seen.features,
        batch_features=_batch_features(layer, source, seen, filtered=filtered),
        encoding=options.encoding,
        null_is_lost=_null_is_lost(layer, seen, filtered, notes, check),
        chunks=chunking.chunks(seen, layer.part.driver, source.size, whole=filtered),
        notes=notes,
        numbers_are_lost=_numbers_are_lost(layer, types, notes, check),
        odd_values=list(survey.odd),
        zoned=zoned or [],
        times_as_text=zoned is not None,
    )


def _batch_features(layer: Layer, source: SourceFile, seen: Seen, *, filtered: bool) -> int:
    """How many to read at a time, by whoever has the file and has not looked into it once more too."""
    return at_most(layer.part, chunking.safe_batch(source.size, seen), filtered=filtered)


def _area(layer: Layer, options: LoadOptions, crs: str | None, said: str) -> Area | None:
    """What is read of a layer, in its CRS; None for all of it."""
    if options.bbox is None and options.polygon is None:
        return None
    known = crs or options.assume_crs or ("EPSG:4326" if layer.part.driver in TABLES else None)
    if known is None:
        raise PermanentTaskError(f"layer {layer.title!r} {said}: give assume_crs")
    return area_in(options, known)


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
    layer: Layer, seen: Seen, filtered: bool, notes: list[str], check: Callable[[], None]
) -> bool:
    nulls = seen.types[wkb.NULL]
    if not nulls or filtered:
        return False
    path = layer.part.path
    if layer.part.driver in ("GeoJSON", "GeoJSONSeq"):
        lost = nulls - screening.written_nulls(path, check)
    elif layer.part.driver == "GPKG":
        lost = sqlite_screening.unreadable_geometries(path, layer.name, nulls, check)
    else:
        return False
    if lost <= 0:
        return False
    notes.append(
        f"{nulls} geometries are read as null, and {nulls - lost} are written so: all of them are rejected"
    )
    return True


def _numbers_are_lost(
    layer: Layer, types: Sequence[ColumnType], notes: list[str], check: Callable[[], None]
) -> bool:
    if not layer.part.has_larger_numbers:
        if layer.part.driver not in TEXTUAL or not LARGE.intersection(types):
            return False
        if not screening.has_larger_numbers(layer.part.path, check):
            return False
    notes.append("has whole numbers of more than 64 bits: features with such are rejected")
    return True


def _said_of_odd(found: dict[str, int]) -> list[str]:
    return [
        f"column {name!r} has {count} values that are not written as those of its type: features of which "
        "one cannot be read as what it is are rejected"
        for name, count in found.items()
    ]


def _said_of_left_out(layer: Layer, options: LoadOptions) -> list[str]:
    if layer.part.driver != "GPKG" or options.columns is not None:
        return []
    about = described(layer)
    known = [*about["fields"], about["fid_column"], about["geometry_name"]]
    return [
        f"column {name!r} is left out: a layer has one of geometries"
        if GEOMETRIES.fullmatch(kind.upper())
        else f"column {name!r} is left out: GeoPackages have no type {kind!r}"
        for name, kind in sqlite_values.left_out(layer.part.path, layer.name, known).items()
    ]


def _listed(found: list[Layer]) -> str:
    names = [layer.title for layer in found[:20]]
    return ", ".join(map(repr, names)) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
