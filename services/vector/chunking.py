"""How a layer is cut into the chunks that tasks load, and how many features are read at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heapreplace
from itertools import chain
from typing import TYPE_CHECKING

from interfaces.layers import Chunk

from . import wkb

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 2 * 1024**2
"""Of a file, for the features that are read at a time: decoded they take some ten times as much. So little
stays in memory that was used just before, and in the processor's caches."""
MOST_FEATURES = 8_000
DENSE_BYTES = 16 * 1024**2
"""Of geometries that are read at a time where a file has its largest ones one after the other."""
WINDOW = 256
"""Features whose size is looked at together, and that are read at a time while nothing is known of them."""
ASSUMED_FEATURE = 1024
"""Bytes of a feature while their number is not known."""
CHUNK_BYTES = 64 * 1024**2
"""Of a file, for a chunk: several for each worker, of which each is read in seconds."""
STEP = 1000
"""Chunks begin at multiples of at most so many features."""
BY_FID = frozenset({"GPKG"})
"""Formats that find a range of feature ids at once, and have to read over what is skipped otherwise."""
BY_PLACE = frozenset(
    {"GPKG", "FlatGeobuf", "ESRI Shapefile", "OpenFileGDB", "Parquet", "SQLite", "MapInfo File"}
)
"""Formats of which a part can be read for less than the whole; the others are one chunk."""
BOUNDED = frozenset({"GPKG"})
"""Formats whose readers end a batch that takes too much memory, whatever is asked for (`library.OPTIONS`)."""
TOGETHER = 16 * 1024**2
"""Bytes of a file at most that are read at a time, but for one feature: of attributes GDAL has no bound."""
BESIDE = 4 * 1024**2
"""Bytes that are read beside one row that is larger by itself."""
JOINED_BYTES = 8 * 1024**2
"""Of rows that are read a few at a time, and put together for those who go through them."""


@dataclass
class Seen:
    """What one reading of all geometries found."""

    chunk_features: int
    """That are asked for at most."""
    before: int = 0
    """Features of the layer that come before those that are looked at."""
    types: Counter[str] = field(default_factory=Counter)
    features: int = 0
    fids: list[int] = field(default_factory=list)
    """Feature ids of the first of each `step` features, and the last of all."""
    rising: bool = True
    largest: int = 0
    """Bytes of the largest geometry, and of the largest `WINDOW` that follow one another."""
    densest: int = 0

    @property
    def step(self) -> int:
        """Chunks are multiples of it."""
        return self.chunk_features // -(-self.chunk_features // STEP)

    def look(
        self,
        batches: Iterator[pa.RecordBatch],
        geometry: int | None,
        fid: int | None,
        check: Callable[[], None],
    ) -> None:
        """Go through all of it."""
        for batch in batches:
            check()
            if geometry is not None:
                wkb.count(self.types, batch.column(geometry))
                self._measure(batch.column(geometry))
            if fid is not None and batch.num_rows:
                self._number(batch.column(fid).to_numpy())
            self.features += batch.num_rows

    def _measure(self, column: pa.Array) -> None:
        import numpy

        if not len(column):
            return
        lengths = wkb.buffers(column)[2]
        self.largest = max(self.largest, int(lengths.max()))
        windows = numpy.add.reduceat(lengths, numpy.arange(0, len(lengths), WINDOW))
        self.densest = max(self.densest, int(windows.max()))

    def _number(self, ids: object) -> None:
        import numpy

        numbers = numpy.asarray(ids)
        last = self.fids[-1] if self.features else None
        if self.features:
            self.fids.pop()
        rising = bool((numbers[1:] > numbers[:-1]).all()) and (last is None or numbers[0] > last)
        self.rising = self.rising and rising
        self.fids += numbers[-(self.before + self.features) % self.step :: self.step].tolist()
        self.fids.append(int(numbers[-1]))


def joined_seen(parts: Sequence[Seen]) -> Seen:
    """Of all features of a layer what was found in parts of it, in their order, of which none is empty."""
    types: Counter[str] = Counter()
    for part in parts:
        types += part.types
    return Seen(
        parts[0].chunk_features,
        types=types,
        features=sum(part.features for part in parts),
        fids=[*chain.from_iterable(part.fids[:-1] for part in parts), *parts[-1].fids[-1:]],
        rising=all(part.rising for part in parts),
        largest=max(part.largest for part in parts),
        densest=max(part.densest for part in parts),
    )


def chunks(seen: Seen, driver: str, size: int, *, whole: bool) -> list[Chunk]:
    """Of much the same size; one, perhaps empty, for what cannot be read in parts. `size` is the file's."""
    most = min(seen.chunk_features, CHUNK_BYTES * max(seen.features, 1) // max(size, 1))
    steps = max(1, most // seen.step)
    if whole or driver not in BY_PLACE or seen.features <= steps * seen.step:
        return [Chunk(features=seen.features)]
    every = -(-seen.features // seen.step)
    # As many as there must be, and none of them much smaller than the others.
    steps = -(-every // -(-every // steps))
    made = []
    by_fid = driver in BY_FID and seen.rising and len(seen.fids) > 1
    for begin in range(0, every, steps):
        skip = begin * seen.step
        features = min(steps * seen.step, seen.features - skip)
        fids = None
        if by_fid:
            last = begin + steps >= every
            fids = (seen.fids[begin], seen.fids[-1] if last else seen.fids[begin + steps] - 1)
        made.append(Chunk(skip=skip, features=features, fids=fids))
    return made


@dataclass(frozen=True)
class Bound:
    """How many features of a file may be read together, at least one."""

    rows: int
    """That follow one another in it."""
    chosen: int
    """Whichever they are: a filter may leave the largest only."""


class Together:
    """Finds that: the sizes of all features are told in the order of the file."""

    def __init__(self) -> None:
        self._rows = MOST_FEATURES
        self._sizes: deque[int] = deque()
        self._size = 0
        self._largest: list[int] = []
        """A heap: of each batch of `MOST_FEATURES`, none is larger than these."""

    @property
    def bound(self) -> Bound:
        """As far as sizes were told."""
        return Bound(max(1, self._rows), rows_of_largest(sorted(self._largest, reverse=True)))

    def add(self, size: int) -> None:
        """The next one, with its attributes, bytes."""
        if len(self._largest) < MOST_FEATURES:
            heappush(self._largest, size)
        elif size > self._largest[0]:
            heapreplace(self._largest, size)
        self._sizes.append(size)
        self._size += size
        while self._size > TOGETHER:
            self._size -= self._sizes.popleft()
            if self._size <= TOGETHER:
                self._rows = min(self._rows, len(self._sizes))
        if len(self._sizes) > MOST_FEATURES:
            self._size -= self._sizes.popleft()


def rows_of(largest: int) -> int:
    """How many features may be read together, were each as large as the largest, bytes with attributes."""
    return max(1, min(MOST_FEATURES, TOGETHER // max(largest, 1)))


def rows_of_largest(sizes: Sequence[int]) -> int:
    """How many rows may be read together, whichever these are: `sizes` has the largest, falling, in bytes."""
    left = max(TOGETHER, sizes[0] + BESIDE) if sizes else 0
    for rows, size in enumerate(sizes):
        left -= size
        if left < 0:
            return rows
    return MOST_FEATURES


def joined(pieces: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of so many rows, or fewer where they are large, of some that are read a few rows at a time.

    What is large by itself is passed on as it is, and never copied.
    """
    held: list[pa.RecordBatch] = []
    size = count = 0
    for piece in pieces:
        bytes_ = piece.nbytes
        if held and (count + piece.num_rows > rows or size + bytes_ > JOINED_BYTES):
            yield _together(held)
            held, size, count = [], 0, 0
        held.append(piece)
        size, count = size + bytes_, count + piece.num_rows
    if held:
        yield _together(held)


def _together(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    import pyarrow

    return pyarrow.concat_batches(batches)


def first_batch(driver: str, size: int) -> int:
    """How many features to read at a time of a file of which only the size is known, bytes."""
    return batch(size, size // ASSUMED_FEATURE + 1) if driver in BOUNDED else WINDOW


def batch(size: int, features: int) -> int:
    """How many features of a file of so many bytes to read at a time, were they all of one size."""
    return max(1, min(MOST_FEATURES, BATCH_BYTES * max(features, 1) // max(size, 1)))


def safe_batch(size: int, seen: Seen) -> int:
    """The same for a file whose features were seen, and which has its largest ones together."""
    evenly = batch(size, seen.features)
    if evenly * seen.largest <= DENSE_BYTES:
        return evenly
    # A batch reaches into one window more than it fills.
    windows = DENSE_BYTES // max(seen.densest, 1) - 1
    dense = windows * WINDOW if windows > 0 else min(WINDOW, DENSE_BYTES // seen.largest)
    return max(1, min(evenly, dense))
