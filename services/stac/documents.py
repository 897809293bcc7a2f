"""Reads documents that hold STAC objects: one, a FeatureCollection, a list, or one a line (NDJSON).

NDJSON is read a few megabytes at a time: a file of a million items needs no more memory than one of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.containers import extension_of
from interfaces.errors import PermanentTaskError, ServiceUnavailable

LINES = frozenset({"ndjson", "jsonl", "jsonnd", "nljson", "geojsonl", "geojsons"})
"""Extensions of files with one object a line."""
DOCUMENTS = frozenset({"json", "geojson"}) | LINES
MAX_DOCUMENT_BYTES = 64 * 1024**2
"""Of a document that is read whole: as objects it takes some times as much."""
MAX_LINE_BYTES = 16 * 1024**2
READ_BYTES = 4 * 1024**2
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_RECORD_SEPARATOR = b"\x1e"
"""Before each object of a GeoJSON text sequence (RFC 8142)."""


@dataclass(frozen=True)
class Part:
    """An object of a document and where it stands. `fault`: why there is none, for what is no JSON."""

    place: str
    value: object
    fault: str | None = None


def memory_bytes(blob: BlobProperties) -> int:
    """Bytes of JSON that are held at once while `parts` of the blob are gone through."""
    return min(blob.size, 2 * READ_BYTES) if extension_of(blob.name) in LINES else blob.size


def parts(
    blobs: BlobRepository, container: str, blob: BlobProperties, check: Callable[[], None]
) -> Iterator[Part]:
    """Every object of a blob.

    Raises `PermanentTaskError` for one that is no JSON or too large to be read whole, `ServiceUnavailable`
    when it was replaced meanwhile.
    """
    if extension_of(blob.name) in LINES:
        yield from _lines(blobs, container, blob, check)
        return
    if blob.size > MAX_DOCUMENT_BYTES:
        raise PermanentTaskError(
            f"{blob.name}: has {blob.size} bytes; only NDJSON may have more than {MAX_DOCUMENT_BYTES}"
        )
    content = blobs.read(container, blob.name).removeprefix(_BYTE_ORDER_MARK)
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if not _is_by_lines(content):
            raise PermanentTaskError(f"{blob.name}: is no JSON: {error}") from error
        # NDJSON by another name.
        for number, line in enumerate(content.split(b"\n"), 1):
            yield from _line(number, line)
        return
    yield from _inside(document)


def _inside(document: object) -> Iterator[Part]:
    if isinstance(document, list):
        for number, value in enumerate(document):
            yield Part(str(number), value)
    elif isinstance(document, dict) and isinstance(features := document.get("features"), list):
        for number, value in enumerate(features):
            yield Part(f"features.{number}", value)
    else:
        yield Part("", document)


def _is_by_lines(content: bytes) -> bool:
    first, more, _ = content.lstrip().partition(b"\n")
    try:
        return bool(more) and isinstance(orjson.loads(first.lstrip(_RECORD_SEPARATOR)), dict)
    except orjson.JSONDecodeError:
        return False


def _lines(
    blobs: BlobRepository, container: str, blob: BlobProperties, check: Callable[[], None]
) -> Iterator[Part]:
    number, rest = 0, b""
    for offset in range(0, blob.size, READ_BYTES):
        check()
        chunk = blobs.read(container, blob.name, offset, min(READ_BYTES, blob.size - offset))
        *whole, rest = (rest + (chunk if offset else chunk.removeprefix(_BYTE_ORDER_MARK))).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise PermanentTaskError(f"{blob.name}: line {number + len(whole) + 1} is too long")
        for line in whole:
            number += 1
            yield from _line(number, line)
    yield from _line(number + 1, rest)
    if blobs.properties(container, blob.name).etag != blob.etag:
        raise ServiceUnavailable(f"{blob.name}: was replaced while it was read")


def _line(number: int, line: bytes) -> Iterator[Part]:
    line = line.strip().lstrip(_RECORD_SEPARATOR)
    if not line:
        return
    place = f"line {number}"
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        yield Part(place, None, f"is no JSON: {error}")
        return
    for part in _inside(value):
        yield Part(f"{place}, {part.place}" if part.place else place, part.value)
