"""Rows of Arrow in PostgreSQL's binary COPY format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from psycopg.adapt import PyFormat, Transformer

from interfaces.layers import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa


END = b"\xff\xff"
"""https://www.postgresql.org/docs/current/sql-copy.html, "File Trailer"."""


class BinaryRows:
    """Makes those of one COPY, an integer first, of what `ChunkWriter.write` takes for such columns."""

    def __init__(self, columns: Sequence[ColumnType]) -> None:
        self._columns = columns
        self._numeric = Transformer().get_dumper(Decimal(), PyFormat.BINARY)
        self._begun = False

    def more(self, rows: pa.RecordBatch, number: int) -> Iterator[bytes]:
        """The next rows, each of which begins with the number; before the first of all the header."""
        import numpy
        import pyarrow as pa
        from pgpq import ArrowToPostgresBinaryEncoder as Encoder
        from pgpq.encoders import StringEncoderBuilder
        from pgpq.schema import Jsonb

        first = pa.array(numpy.full(rows.num_rows, number, dtype=numpy.int32))
        arrays = [first, *rows.columns]
        for place, kind in enumerate(self._columns, 2):
            if kind == "numeric":
                arrays[place] = self._numbers(arrays[place])
        # Whatever they are called: encoders are found by name.
        batch = pa.RecordBatch.from_arrays(arrays, names=[str(place) for place in range(len(arrays))])
        encoders = {field.name: Encoder.infer_encoder(field) for field in batch.schema}
        for place, kind in enumerate(self._columns, 2):
            if kind == "jsonb":
                encoders[str(place)] = StringEncoderBuilder.new_with_output(
                    batch.schema.field(place), Jsonb()
                )
        encoder = Encoder.new_with_encoders(batch.schema, encoders)
        header = encoder.write_header()
        if not self._begun:
            self._begun = True
            yield header
        yield encoder.write_batch(batch)
        # What it keeps until there is more of it comes with the trailer, which is that of the COPY.
        yield encoder.finish().removesuffix(END)

    def _numbers(self, texts: pa.Array) -> pa.Array:
        """Arrow's decimals are of one scale, and know neither NaN nor infinity."""
        import pyarrow as pa

        dump = self._numeric.dump
        made = [None if text is None else dump(Decimal(text)) for text in texts.to_pylist()]
        return pa.array([None if one is None else bytes(one) for one in made], pa.binary())
