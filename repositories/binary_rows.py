"""Rows of Arrow in PostgreSQL's binary COPY format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from psycopg.adapt import PyFormat, Transformer

from interfaces.layers import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa


class BinaryRows:
    """Makes them, an integer first, of what `ChunkWriter.write` takes for columns of these types."""

    def __init__(self, columns: Sequence[ColumnType]) -> None:
        self._columns = columns
        self._numeric = Transformer().get_dumper(Decimal(), PyFormat.BINARY)

    def of(self, rows: pa.RecordBatch, number: int) -> Iterator[bytes]:
        """The whole of one COPY, each of whose rows begins with the number."""
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
        yield encoder.write_header()
        yield encoder.write_batch(batch)
        yield encoder.finish()

    def _numbers(self, texts: pa.Array) -> pa.Array:
        """Arrow's decimals are of one scale, and know neither NaN nor infinity."""
        import pyarrow as pa

        dump = self._numeric.dump
        made = [None if text is None else dump(Decimal(text)) for text in texts.to_pylist()]
        return pa.array([None if one is None else bytes(one) for one in made], pa.binary())
