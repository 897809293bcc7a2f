"""What a look at every feature of a layer finds, within bounds however many there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interfaces.contracts import Contract
from interfaces.layers import ChunkWriter, FeatureTables, Rejected

from . import wkb
from .lonlat import NOWHERE

if TYPE_CHECKING:
    import pyarrow as pa

MAX_EXAMPLES = 10
MAX_KINDS = 30
OTHER = "(other)"
REASON = re.compile(r"(.*?)\s*\[(\S+) (\S+)[^\]]*\]", re.DOTALL)
"""As GEOS says it: `Self-intersection[1 2]`."""
VALUE = re.compile(r"^'.*'(?= cannot be read)|[-+]?\d[\d.e+-]*", re.DOTALL)
"""In a reason: what is of one feature only."""
RANGE = ("is not on Earth", "has infinite coordinates", NOWHERE)
"""How the reasons begin for which coordinates are out of range (`shaping.Shaper`)."""
UNREADABLE = ("cannot be read", "a geometry that is cut off", "is no number")
"""What those say for which there is no geometry to look at."""


class Example(Contract):
    """One of the first features with something wrong."""

    feature_id: str
    reason: str
    place: list[float] | None = None
    """[x, y] in the layer's CRS, where GEOS names one."""


@dataclass
class Findings:
    """Of one layer."""

    null: int = 0
    empty: int = 0
    invalid: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why geometries are not valid."""
    examples: list[Example] = field(default_factory=list)
    rejected: int = 0
    rejected_reasons: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    out_of_range: int = 0
    rejected_examples: list[Example] = field(default_factory=list)
    extent: list[float] | None = None

    def examined(
        self, batches: Iterator[pa.RecordBatch], geometry: int | None, fid: int | None
    ) -> Iterator[pa.RecordBatch]:
        """The same batches, each looked at as it passes."""
        before = 0
        for batch in batches:
            if geometry is not None:
                ids = batch.column(fid).to_pylist() if fid is not None else None
                self._look(batch.column(geometry), ids, before)
            before += batch.num_rows
            yield batch

    def reject(self, feature: Rejected) -> None:
        """A feature that would not be loaded."""
        self.rejected += 1
        self.unreadable += any(sign in feature.reason for sign in UNREADABLE)
        self.out_of_range += feature.reason.startswith(RANGE)
        _count(self.rejected_reasons, VALUE.sub("…", feature.reason))
        if len(self.rejected_examples) < MAX_EXAMPLES:
            self.rejected_examples.append(Example(feature_id=feature.feature_id, reason=feature.reason))

    def _look(self, column: pa.Array, ids: list[Any] | None, before: int) -> None:
        import numpy
        import shapely

        codes = wkb.codes(column)
        self.null += int((codes == 0).sum())
        # What cannot be read, and curves, which GEOS does not know, are left to whoever loads.
        plain = numpy.isin(codes % 1000, list(wkb.FAMILIES)) & ~wkb.curved(column, codes)
        places = numpy.flatnonzero((codes > 0) & plain)
        given = column.take(_indexes(places)).to_pylist()
        geometries = shapely.from_wkb(numpy.array(given, dtype=object), on_invalid="ignore")
        there = ~shapely.is_missing(geometries)
        self.empty += int((there & shapely.is_empty(geometries)).sum())
        self._widen(shapely.bounds(geometries))
        bad = numpy.flatnonzero(there & ~shapely.is_valid(geometries))
        self.invalid += len(bad)
        for number, said in zip(bad.tolist(), shapely.is_valid_reason(geometries[bad]).tolist(), strict=True):
            found = REASON.fullmatch(said)
            reason = found[1] if found else said
            _count(self.reasons, reason)
            if len(self.examples) < MAX_EXAMPLES:
                place = int(places[number])
                feature = str(ids[place]) if ids is not None else str(before + place)
                where = _numbers(found[2], found[3]) if found else None
                self.examples.append(Example(feature_id=feature, reason=reason, place=where))

    def _widen(self, bounds: Any) -> None:
        import numpy

        there = bounds[numpy.isfinite(bounds).all(axis=1)]
        if not len(there):
            return
        low, high = there[:, :2].min(axis=0).tolist(), there[:, 2:].max(axis=0).tolist()
        known = self.extent or [*low, *high]
        self.extent = [*map(min, known[:2], low), *map(max, known[2:], high)]


class FindingWriter(ChunkWriter):
    """Writes nothing: it takes what a load would write, and notes what it would reject."""

    def __init__(self, findings: Findings, tables: FeatureTables) -> None:
        self._findings = findings
        self._tables = tables

    def linearise(self, geometries: Sequence[bytes], step_degrees: float) -> list[bytes | None]:
        """As a load has it done."""
        return self._tables.linearise(geometries, step_degrees)

    def write(self, rows: pa.RecordBatch) -> None:
        """Nothing is written: who reads has counted them."""

    def reject(self, features: Sequence[Rejected]) -> None:
        """Note them."""
        for feature in features:
            self._findings.reject(feature)


def _indexes(places: Any) -> pa.Array:
    import pyarrow as pa

    return pa.array(places, type=pa.int64())


def _count(into: Counter[str], kind: str) -> None:
    into[kind if kind in into or len(into) < MAX_KINDS else OTHER] += 1


def _numbers(*texts: str) -> list[float] | None:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None
