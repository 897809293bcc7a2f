"""Handler of validate_vector: reads a file as a load would, to its last feature, and says what it finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from interfaces.blobs import BlobRepository
from interfaces.containers import ReadContainer
from interfaces.contracts import Contract, JsonObject, Summarised, TaskParameters
from interfaces.errors import BlobNotFound, PermanentTaskError
from interfaces.layers import Attribute, Chunk, ChunkCounts, FeatureTables, LayerFound, TablePlan
from interfaces.vectors import LoadOptions
from interfaces.workflows import TaskContext
from services.storage_access import container_must_answer

from . import wkb
from .areas import area_in
from .files import Opened, UnknownFormat, VectorOpener, known_extension
from .findings import Example, Findings, FindingWriter
from .inspecting import choose, inspected, target
from .loading import ChunkLoad, LayerToLoad, LoadChunkParameters
from .preparing import GENERATED_KEY, GEOMETRY, merged, planned
from .reading import Layer, stream
from .stated_crs import NONE, SEVERAL, named_crs

UNKNOWN_CRS = (
    'ENGCRS["unknown",EDATUM["unknown"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
)
"""Of a layer that names none, so that it can be looked at all the same. It is nowhere on Earth."""
COUNTED = ("features", "null_geometries", "empty_geometries", "invalid_geometries", "rejected")
"""Of each layer, what is added up."""
MAX_REASONS, MAX_REASON = 100, 500
"""In a summary: how many, and how long."""
Verdict = Literal["valid", "invalid", "not_vector", "missing"]


class ValidateVectorParameters(TaskParameters):
    """A file, and how a load would be asked to read it."""

    container: ReadContainer
    name: str
    options: LoadOptions


class LayerReport(Contract):
    """What was found in one layer."""

    layer: str
    driver: str
    unreadable: str | None = None
    """Why it cannot be read to its end; what is said then is of the part before."""
    refused: str | None = None
    """Why vector_to_postgis would take none of it."""
    features: int = 0
    crs: str | None = None
    encoding: str | None = None
    fields: list[Attribute] = Field(default_factory=list)
    geometry_types: dict[str, int] = Field(default_factory=dict)
    extent: list[float] | None = None
    """[x min, y min, x max, y max] in the layer's CRS."""
    null_geometries: int = 0
    empty_geometries: int = 0
    invalid_geometries: int = 0
    invalid_reasons: dict[str, int] = Field(default_factory=dict)
    invalid_examples: list[Example] = Field(default_factory=list)
    rejected: int = 0
    """Features that vector_to_postgis would reject of it, for one of `rejected_reasons`."""
    unreadable_geometries: int = 0
    """Of the rejected ones."""
    out_of_range: int = 0
    """Of the rejected ones."""
    rejected_reasons: dict[str, int] = Field(default_factory=dict)
    rejected_examples: list[Example] = Field(default_factory=list)
    would_load: ChunkCounts = ChunkCounts()
    """What would become of the features, were the layer not refused."""
    notes: list[str] = Field(default_factory=list)


class VectorValidity(Summarised):
    """What was found; `reasons` is empty where the file is valid."""

    name: str
    verdict: Verdict
    reasons: list[str]
    size: int = 0
    layers: list[LayerReport] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    def summary(self) -> JsonObject:
        """The verdict, the first reasons, and what is counted of each layer."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "reasons": [reason[:MAX_REASON] for reason in self.reasons[:MAX_REASONS]],
            "size": self.size,
            "layers": [
                {"layer": one.layer[:MAX_REASON], **{name: getattr(one, name) for name in COUNTED}}
                for one in self.layers
            ],
        }


class ValidateVector:
    """Validates one file. Whatever is wrong with it is the result, not a failure of the task."""

    def __init__(self, blobs: BlobRepository, opener: VectorOpener, tables: FeatureTables) -> None:
        self._blobs = blobs
        self._opener = opener
        self._tables = tables

    def __call__(self, parameters: ValidateVectorParameters, context: TaskContext) -> VectorValidity:
        """The verdict. Raises `PermanentTaskError` for a missing or forbidden container."""
        container, name, options = parameters.container, parameters.name, parameters.options
        try:
            folder = known_extension(name) == "gdb"
        except UnknownFormat as error:
            return VectorValidity(name=name, verdict="not_vector", reasons=[error.detail])
        with container_must_answer():
            if not self._is_there(container, name, folder=folder):
                reason = "the folder is empty" if folder else "the blob does not exist"
                return VectorValidity(name=name, verdict="missing", reasons=[reason])
        try:
            with self._opener.opened(container, name, context.check, encoding=options.encoding) as opened:
                chosen = choose(opened, options)
                reports = [self._layer(layer, opened, options, context) for layer in chosen]
                size, notes = opened.source.size, opened.notes
        except PermanentTaskError as error:
            return VectorValidity(name=name, verdict="invalid", reasons=[error.detail])
        reasons = [f"{report.layer}: {reason}" for report in reports for reason in wrong(report)]
        return VectorValidity(
            name=name,
            verdict="invalid" if reasons else "valid",
            reasons=reasons,
            size=size,
            layers=reports,
            notes=notes,
        )

    def _is_there(self, container: str, name: str, *, folder: bool) -> bool:
        if folder:
            return next(iter(self._blobs.list_level(container, f"{name}/")), None) is not None
        try:
            self._blobs.properties(container, name)
        except BlobNotFound:
            return False
        return True

    def _layer(self, layer: Layer, opened: Opened, options: LoadOptions, context: TaskContext) -> LayerReport:
        report = LayerReport(layer=layer.title, driver=layer.part.driver)
        try:
            own, _ = named_crs(layer, context.check)
            found, refused = _found(layer, opened, options, own is not None, context)
        except PermanentTaskError as error:
            return report.model_copy(update={"unreadable": error.detail})
        if refused is None:
            refused = self._refused(found, options)
        report = report.model_copy(
            update={
                "refused": refused,
                "features": found.features,
                "crs": None if found.crs == UNKNOWN_CRS or own is None else found.crs,
                "encoding": found.encoding,
                "fields": found.fields,
                "geometry_types": _named(found.geometry_types),
                "notes": found.notes,
            }
        )
        findings = Findings()
        counts, unreadable = ChunkCounts(), None
        try:
            counts = self._passed(layer, found, options, findings, context)
        except PermanentTaskError as error:
            unreadable = error.detail
        return report.model_copy(update={"would_load": counts, "unreadable": unreadable, **_said(findings)})

    def _refused(self, found: LayerFound, options: LoadOptions) -> str | None:
        """Why the layer would get no table."""
        try:
            plan = planned(target(found, options, alone=True), [found], options)
            self._tables.check_target(plan.target_schema, plan.target_table, "replace", plan.srid)
        except PermanentTaskError as error:
            return error.detail
        return None

    def _passed(
        self,
        layer: Layer,
        found: LayerFound,
        options: LoadOptions,
        findings: Findings,
        context: TaskContext,
    ) -> ChunkCounts:
        """Every feature through what loads, into nothing."""
        assert found.crs is not None
        options = options.model_copy(update={"encoding": found.encoding})
        area = area_in(options, found.crs)
        parameters = LoadChunkParameters(
            staging="",
            chunk=0,
            part=Chunk(features=found.features),
            layer=LayerToLoad(**found.model_dump(include=set(LayerToLoad.model_fields))),
            options=options,
        )
        reading = stream(
            layer,
            options,
            batch=found.batch_features,
            area=area,
            odd_values=found.odd_values,
            zoned=found.zoned if found.times_as_text else None,
        )
        with reading as features:
            looked = findings.examined(features.batches, features.geometry, features.fid)
            writer = FindingWriter(findings, self._tables)
            load = ChunkLoad(_plan(found, options), parameters, replace(features, batches=looked), writer)
            return load.all_batches(context)


def wrong(report: LayerReport) -> list[str]:
    """Why a layer is not valid."""
    said = []
    if report.unreadable is not None:
        said.append(f"cannot be read: {report.unreadable}")
    if report.refused is not None:
        said.append(f"vector_to_postgis would refuse it: {report.refused}")
    if report.invalid_geometries:
        kinds = ", ".join(f"{reason} ({count})" for reason, count in report.invalid_reasons.items())
        said.append(f"{report.invalid_geometries} geometries are not valid: {kinds}")
    if report.rejected:
        kinds = "; ".join(f"{reason} ({count})" for reason, count in report.rejected_reasons.items())
        said.append(f"vector_to_postgis would reject {report.rejected} features: {kinds}")
    return said


def _found(
    layer: Layer, opened: Opened, options: LoadOptions, has_crs: bool, context: TaskContext
) -> tuple[LayerFound, str | None]:
    """What an inspection finds, of a layer without a CRS too; and why a load would be refused then."""
    try:
        return inspected(layer, opened.source, options, context.check), None
    except PermanentTaskError as error:
        if has_crs or options.assume_crs is not None:
            raise
        assumed = options.model_copy(update={"assume_crs": UNKNOWN_CRS})
        try:
            found = inspected(layer, opened.source, assumed, context.check)
        except PermanentTaskError:
            raise error from None
        notes = [note for note in found.notes if not note.startswith((NONE, SEVERAL))]
        return found.model_copy(update={"crs": UNKNOWN_CRS, "notes": notes}), error.detail


def _plan(found: LayerFound, options: LoadOptions) -> TablePlan:
    """The table that a load would fill; one for any geometries where there would be none."""
    try:
        return planned(target(found, options, alone=True), [found], options)
    except PermanentTaskError:
        kinds = wkb.kinds(found.geometry_types)
        assert found.crs is not None
        return TablePlan(
            target_schema=options.target_schema,
            target_table="layer",
            original=found.layer,
            if_exists="fail",
            columns=merged([found.model_copy(update={"fields": found.fields[:1000]})], []),
            key=[],
            generated_key=GENERATED_KEY,
            geometry_column=GEOMETRY,
            geometry_type="GeometryZ" if kinds.z else "Geometry",
            srid=0,
            crs=found.crs,
            chunks=1,
            features=found.features,
            sources=[found.source],
            parameters_hash="",
            notes=[],
        )


def _named(types: dict[str, int]) -> dict[str, int]:
    """Counts by the names of ISO, such as "MultiPolygon ZM"; without null ones, which are counted apart."""
    named: dict[str, int] = {}
    for text, count in types.items():
        if text == wkb.NULL:
            continue
        code = int(text)
        suffix = {1: " Z", 2: " M", 3: " ZM"}.get(code // 1000, "") if code > 0 else ""
        name = wkb.NAMES.get(code % 1000, f"type {code}") if code > 0 else "cut off"
        named[f"{name}{suffix}"] = named.get(f"{name}{suffix}", 0) + count
    return named


def _said(findings: Findings) -> dict[str, object]:
    return {
        "extent": findings.extent,
        "null_geometries": findings.null,
        "empty_geometries": findings.empty,
        "invalid_geometries": findings.invalid,
        "invalid_reasons": dict(findings.reasons),
        "invalid_examples": findings.examples,
        "rejected": findings.rejected,
        "unreadable_geometries": findings.unreadable,
        "out_of_range": findings.out_of_range,
        "rejected_reasons": dict(findings.rejected_reasons),
        "rejected_examples": findings.rejected_examples,
    }
