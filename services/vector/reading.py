"""Layers of a dataset, and their features in batches of Arrow: by GDAL, or by PyArrow for GeoParquet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from interfaces.errors import PermanentTaskError
from interfaces.layers import Chunk, ColumnType
from interfaces.vectors import CsvOptions, ReadOptions

from . import dates, json_truths, library, parquet, points, sqlite_values, texts, workbooks, xml_values, zones
from .areas import Area, inside
from .chunking import WINDOW, joined
from .columns import column_type
from .crs_codes import short_crs
from .parts import JSON, Part, at_most
from .sqlite_screening import quoted
from .surplus import surplus

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

USUAL_NAMES = CsvOptions()
MAX_LAYERS = 1000
FID = 0
"""Place of the feature id in what GDAL streams when it is asked for it."""
WKB = b"geoarrow.wkb"


@dataclass(frozen=True)
class Layer:
    """One layer of a dataset."""

    part: Part
    name: str
    """As GDAL knows it."""
    title: str
    """As people know it."""
    spatial: bool
    crs_names: frozenset[str | None] = frozenset()
    """Those that GML has for it, None among them where it has geometries with none."""


class Misread(Protocol):
    """Looks into the file beside its reader."""

    def rows(self, ids: NDArray[Any]) -> dict[int, str]:
        """By place among the ids of a batch's features the reason, of those that are read wrong."""


@dataclass
class Stream:
    """Features of a layer, in the order of the file."""

    names: list[str]
    types: list[ColumnType]
    places: list[int]
    """Of the attributes among the columns of a batch."""
    geometry: int | None
    fid: int | None
    batches: Iterator[pa.RecordBatch]
    crs: str | None = None
    text_geometry: list[int] = field(default_factory=list)
    """Columns of text of which GDAL made the geometry: where they say something and it is null, it failed."""
    notes: list[str] = field(default_factory=list)
    misread: Misread | None = None
    """Finds what is not as the file has it, such as dates and numbers that are none there."""
    marked: int | None = None
    """A column of ids, which `xml_values.marked` tells of features that cannot be read."""


def layers(part: Part, csv: CsvOptions = USUAL_NAMES) -> list[Layer]:
    """The layers of a dataset; raises `PermanentTaskError` where there are none.

    `csv` says where tables have their geometries: sheets of a workbook that have some are spatial.
    """
    if part.driver == "Parquet":
        return [Layer(part, part.title, part.title, True)]
    path = _path(part)
    with library.told(str(part.path), part.shown):
        found = [(str(name), kind is not None) for name, kind in library.pyogrio().list_layers(path)]
    if not found:
        raise PermanentTaskError("the file has no layers")
    if len(found) > MAX_LAYERS:
        raise PermanentTaskError(f"the file has {len(found)} layers, more than {MAX_LAYERS}")
    crs_names = {}
    if part.driver in xml_values.ID_FIELDS:
        crs_names = _mark(part, [name for name, _ in found])
    if part.driver in JSON:
        json_truths.mark(part.path, lambda: [described(Layer(part, name, name, True)) for name, _ in found])
    own = part.path.stem
    made = [
        Layer(part, name, part.title if name == own else name, spatial or part.driver == "CSV", crs)
        for name, spatial in found
        for crs in [crs_names.get(name, frozenset())]
    ]
    return made if part.driver not in workbooks.DRIVERS else [_sheet(one, csv, len(made)) for one in made]


def _mark(part: Part, names: Sequence[str]) -> dict[str, frozenset[str | None]]:
    """Look for values in a document that GDAL does not read as it has them; and its CRS by layer."""
    kinds: dict[str, dict[str, ColumnType]] = {}
    for name in names if part.driver == "GML" else []:
        about = described(Layer(part, name, name, True))
        fields = zip(about["fields"], about["ogr_types"], about["ogr_subtypes"], strict=True)
        known = xml_values.GML_TYPES
        kinds[name] = {
            one: known.get(subtype) or known[kind] for one, kind, subtype in fields if kind in known
        }
    return xml_values.mark(part.path, part.driver, kinds)


def _sheet(layer: Layer, csv: CsvOptions, count: int) -> Layer:
    """A sheet that is alone is meant: why it has no geometries is told when it is read."""
    spatial = count == 1 or texts.has_geometry(list(described(layer)["fields"]), csv)
    return replace(layer, spatial=spatial)


@contextmanager
def stream(
    layer: Layer,
    options: ReadOptions,
    *,
    batch: int,
    area: Area | None = None,
    chunk: Chunk | None = None,
    geometry_only: bool = False,
    as_text: frozenset[str] = frozenset(),
    odd_values: Sequence[str] = (),
    zoned: Sequence[str] | None = None,
) -> Iterator[Stream]:
    """The features of a layer, or of a chunk of it; `area` is in the layer's CRS.

    Columns `as_text` are as the file has them where it is one of text, and not what they look like. Columns
    `odd_values` of a database are looked at for what is not of their types. Where times are
    read as text, `zoned` are the columns of those with zones, as `zoned_times` finds them.

    A chunk is begun at its first feature; whoever reads it stops at its end. Raises `PermanentTaskError`.
    """
    if layer.part.driver == "Parquet":
        if options.where is not None:
            raise PermanentTaskError("where: GeoParquet cannot be filtered by OGR SQL")
        with parquet.opened(layer.part, batch, chunk.skip if chunk else 0, geometry_only) as found:
            yield _from_parquet(found, options, area)
        return
    path = str(layer.part.path)
    filtered = options.where is not None or area is not None
    most = at_most(layer.part, batch, filtered=filtered)
    with ExitStack() as stack:
        # Only what GDAL does is told as GDAL's: not what whoever reads does in between.
        with library.told(path, layer.part.shown):
            arguments, texted = _asked(layer, options, area, chunk, geometry_only)
            arguments["datetime_as_string"] = zoned is not None
            from pyogrio.raw import open_arrow

            with _declared(layer, options, texted, as_text) as (about, numbers):
                decimals: dict[int, str] = {}
                if layer.part.driver == "CSV" and options.where is not None:
                    arguments["where"], decimals = texts.compared(options.where, layer.part.path, about)
                meta, capsule = stack.enter_context(
                    open_arrow(_path(layer.part), batch_size=most, return_fids=True, **arguments)
                )
            found_ = _streamed(layer, meta, capsule, options, texted, zoned, area, numbers)
            asked = [name for name in odd_values if name in found_.names]
            if layer.part.driver == "CSV" and not geometry_only:
                every = list(zip(found_.places, found_.names, found_.types, strict=True))
                days = {place - FID - 1: name for place, name, kind in every if kind in dates.KINDS}
                truths = {place - FID - 1: name for place, name, kind in every if kind == "boolean"}
                looked = surplus(layer.part.path, about["fields"], days, truths, decimals)
                found_.misread = stack.enter_context(looked)
            elif asked:
                every_type = sqlite_values.types_of(described(layer))
                odd = {name: every_type[name] for name in asked if name in every_type}
                looked_at = sqlite_values.misread(layer.part.path, layer.name, key_of(layer), odd)
                found_.misread = stack.enter_context(looked_at)
        if most < WINDOW:
            found_.batches = joined(found_.batches, max(batch, WINDOW))
        yield found_


def described(layer: Layer) -> dict[str, Any]:
    """What GDAL says of a layer without reading its features."""
    library_ = library.pyogrio()
    arguments = texts.open_options(layer.part.driver, None)
    found: dict[str, Any] = library_.read_info(_path(layer.part), layer=layer.name, **arguments)
    return found


def own_crs(layer: Layer) -> str | None:
    """The CRS that a layer names, as an authority's code or WKT."""
    if layer.part.driver == "Parquet":
        return parquet.crs(layer.part)
    with library.told(str(layer.part.path), layer.part.shown):
        return short_crs(described(layer)["crs"])


def _asked(
    layer: Layer, options: ReadOptions, area: Area | None, chunk: Chunk | None, geometry_only: bool
) -> tuple[dict[str, Any], texts.TextGeometry | None]:
    """Arguments of `open_arrow`."""
    texted = None
    arguments: dict[str, Any] = {"layer": layer.name, **texts.open_options(layer.part.driver, None)}
    if layer.part.driver == "CSV":
        texted = texts.find_geometry(list(described(layer)["fields"]), options.csv)
        arguments |= texts.open_options("CSV", texted)
    elif layer.part.driver in workbooks.DRIVERS:
        texted = texts.find_geometry(list(described(layer)["fields"]), options.csv)
    elif options.where is None and (geometry_only or options.columns is not None):
        # With a condition all are read: it may be about any of them.
        ids = xml_values.ID_FIELDS.get(layer.part.driver, ())
        arguments["columns"] = [] if geometry_only else [*(options.columns or ()), *ids]
    if layer.part.driver in ("ESRI Shapefile", "MapInfo File") and options.encoding:
        arguments["encoding"] = options.encoding
    where = options.where
    if chunk is not None and chunk.fids is not None:
        first, last = chunk.fids
        where = f"{quoted(key_of(layer))} BETWEEN {first:d} AND {last:d}"
    elif chunk is not None and chunk.skip:
        arguments["skip_features"] = chunk.skip
    if where is not None:
        arguments["where"] = where
    if area is not None and not _is_placed_here(layer, texted):
        arguments |= {"bbox": area.bounds} if area.shape is None else {"mask": area.shape}
    return arguments, texted


def _is_placed_here(layer: Layer, texted: texts.TextGeometry | None) -> bool:
    """Whether geometries are made of what GDAL reads: then it has none to filter by."""
    return texted is not None and (layer.part.driver in workbooks.DRIVERS or len(texted.columns) > 1)


@contextmanager
def _declared(
    layer: Layer, options: ReadOptions, texted: texts.TextGeometry | None, as_text: Collection[str]
) -> Iterator[tuple[dict[str, Any], dict[int, ColumnType]]]:
    """What GDAL says of a table, and by place in a batch the types of those of numbers that are text."""
    if texted is None:
        yield {}, {}
        return
    about = described(layer)
    numbers = texts.numbers(about, texted, as_text)
    declared = None
    if layer.part.driver == "CSV":
        compared = options.where is not None
        declared = texts.declare(layer.part.path, about, numbers, as_text, compared=compared)
    yield about, {FID + 1 + place: kind for place, kind in numbers.items()}
    if declared is not None:
        # Whoever opens it next is to see the types that GDAL finds.
        declared.unlink()


def key_of(layer: Layer) -> str | None:
    """The column of feature ids, whatever the file calls it: an attribute may be called fid.

    None where there is none.
    """
    name = described(layer)["fid_column"]
    # Of plain SQLite an attribute may be called rowid too, which is not what GDAL reads as the id.
    return "_rowid_" if name == "rowid" and layer.part.driver == "SQLite" else name or None


def _streamed(
    layer: Layer,
    meta: dict[str, Any],
    capsule: Any,
    options: ReadOptions,
    texted: texts.TextGeometry | None,
    zoned: Sequence[str] | None,
    area: Area | None,
    numbers: Mapping[int, ColumnType],
) -> Stream:
    import pyarrow as pa

    reader = pa.RecordBatchReader.from_stream(capsule)
    schema = reader.schema if zoned is None else zones.timed(reader.schema, zoned)
    fields = list(schema)
    geometry = next((place for place, f in enumerate(fields) if _is_wkb(f)), None)
    # GDAL calls the geometry as the column that it made it of.
    named = () if texted is None else texted.columns
    text_places = [place for place, f in enumerate(fields) if f.name in named and place != geometry]
    left_out = {FID, geometry, *([] if texted is None or texted.keep else text_places)}
    places = [place for place in range(len(fields)) if place not in left_out]
    places = _selected(places, [f.name for f in fields], options.columns)
    batches = _told(reader if zoned is None else zones.read(reader, schema), layer)
    decimals = [
        p for p, kind in numbers.items() if kind == "double precision" and column_type(fields[p]) == "text"
    ]
    if decimals and layer.part.driver == "CSV" and texts.has_decimal_commas(layer.part.path):
        batches = points.with_decimal_points(batches, decimals)
    notes = list(texted.notes) if texted else []
    if layer.part.driver in workbooks.DRIVERS:
        days = workbooks.days_later(layer.part.path)
        batches = workbooks.filled(batches, FID, days)
        notes += ["its dates are counted from 1904"] if days else []
    if texted is not None and _is_placed_here(layer, texted):
        columns = [[f.name for f in fields].index(name) for name in texted.columns]
        geometry = len(fields)
        batches = points.placed(batches, columns)
        batches = batches if area is None else inside(batches, geometry, area)
    ids = xml_values.ID_FIELDS.get(layer.part.driver, ())
    return Stream(
        names=[fields[place].name for place in places],
        types=[numbers.get(place) or column_type(fields[place]) for place in places],
        places=places,
        geometry=geometry,
        # Of a GeoPackage's table without a key all have the same.
        fid=None if layer.part.driver == "GPKG" and key_of(layer) is None else FID,
        batches=batches,
        crs=short_crs(meta.get("crs")) or (texted.crs if texted else None),
        text_geometry=text_places,
        notes=notes,
        marked=next((place for place, f in enumerate(fields) if f.name in ids), None),
    )


def _from_parquet(found: parquet.Found, options: ReadOptions, area: Area | None) -> Stream:
    fields = list(found.schema)
    places = [place for place in range(len(fields)) if place != found.geometry]
    places = _selected(places, [f.name for f in fields], options.columns)
    return Stream(
        names=[fields[place].name for place in places],
        types=[column_type(fields[place]) for place in places],
        places=places,
        geometry=found.geometry,
        fid=None,
        batches=found.batches if area is None else inside(found.batches, found.geometry, area),
        crs=short_crs(found.crs),
    )


def _selected(places: list[int], names: Sequence[str], wanted: list[str] | None) -> list[int]:
    if wanted is None:
        return places
    there = {names[place] for place in places}
    missing = [name for name in wanted if name not in there]
    if missing and places:
        raise PermanentTaskError(f"columns: the layer has no column {missing[0]!r}")
    return [place for place in places if names[place] in wanted]


def zoned_times(
    layer: Layer,
    options: ReadOptions,
    found: Stream,
    batch: int,
    area: Area | None,
    check: Callable[[], None],
) -> tuple[list[str] | None, list[str]]:
    """Columns of times with zones, where times are read as text; and notes on them.

    None where `found`, the layer as it is read otherwise, has all that the file says.
    """
    kinds = dict(zip(found.names, found.types, strict=True))
    naive = [name for name, kind in kinds.items() if kind == "timestamp"]
    told = [name for name, kind in kinds.items() if kind == "timestamptz"]
    if layer.part.driver not in zones.DRIVERS or not naive:
        return (told if told and layer.part.driver in zones.DRIVERS else None), []
    with library.told(str(layer.part.path), layer.part.shown):
        wanted = options if options.where is not None else options.model_copy(update={"columns": naive})
        arguments, _ = _asked(layer, wanted, area, None, False)
        from pyogrio.raw import open_arrow

        most = at_most(layer.part, batch, filtered=options.where is not None or area is not None)
        arguments |= {"datetime_as_string": True, "read_geometry": False, "batch_size": most}
        with open_arrow(_path(layer.part), **arguments) as (_, capsule):
            import pyarrow as pa

            counts = zones.counted(pa.RecordBatchReader.from_stream(capsule), naive, check)
    zoned = [name for name, (has, _) in counts.items() if has]
    notes = [
        f"column {name!r} has times with a zone, and {counts[name][1]} without, which are taken for UTC"
        for name in zoned
        if counts[name][1]
    ]
    return zoned + told, notes


def _told(batches: Iterable[pa.RecordBatch], layer: Layer) -> Iterator[pa.RecordBatch]:
    with library.told(str(layer.part.path), layer.part.shown):
        yield from batches


def _is_wkb(field_: pa.Field) -> bool:
    return (field_.metadata or {}).get(b"ARROW:extension:name") == WKB


def _path(part: Part) -> str:
    """With the driver named where GDAL would otherwise try several."""
    return f"GeoJSONSeq:{part.path}" if part.driver == "GeoJSONSeq" else str(part.path)
