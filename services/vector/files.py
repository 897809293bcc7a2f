"""Brings a vector file into scratch space, under names of ours, so that GDAL can read it and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from interfaces.blobs import BlobItem, BlobProperties, BlobRepository
from interfaces.containers import extension_of
from interfaces.errors import BlobNotFound, PermanentTaskError, ServiceUnavailable
from interfaces.layers import SourceFile
from services.cog.resources import Resources
from services.storage_access import container_must_answer

from . import archives, encodings, xml_values
from .blob_file import BlobFile
from .copies import LocalCopies
from .fetching import fetch
from .parts import Part, screened

PIECE = 8 * 1024**2
MAX_SIDECARS = 200
READING_BYTES = 192 * 1024**2
"""Of memory, for the features that are read at a time in all forms, and for what GDAL keeps of a file."""
SPARE = 16 * 1024**2
"""For what GDAL writes beside a file: an index of a shapefile, a schema of a GML."""
DRIVERS = {
    "gpkg": "GPKG",
    "geojson": "GeoJSON",
    "json": "GeoJSON",
    "geojsonl": "GeoJSONSeq",
    "geojsons": "GeoJSONSeq",
    "ndgeojson": "GeoJSONSeq",
    "ndjson": "GeoJSONSeq",
    "seq": "GeoJSONSeq",
    "topojson": "TopoJSON",
    "shp": "ESRI Shapefile",
    "fgb": "FlatGeobuf",
    "kml": "LIBKML",
    "gml": "GML",
    "gpx": "GPX",
    "csv": "CSV",
    "tsv": "CSV",
    "mif": "MapInfo File",
    "tab": "MapInfo File",
    "sqlite": "SQLite",
    "s3db": "SQLite",
    "parquet": "Parquet",
    "geoparquet": "Parquet",
    "gdb": "OpenFileGDB",
    "xlsx": "XLSX",
    "xlsm": "XLSX",
    "ods": "ODS",
}
"""Extension and driver. Others, which fetch what a file refers to or cannot be bounded, are refused."""
ARCHIVES = frozenset({"zip", "kmz"})
SIDECARS = {
    "shp": frozenset({"shx", "dbf", "prj", "cpg"}),
    "mif": frozenset({"mid"}),
    "tab": frozenset({"dat", "map", "id", "ind"}),
    "gml": frozenset({"xsd"}),
}
TEXT_TABLES = (".csv", ".tsv")
MARKED = (".kml", ".gml")
COPIES_OF_TEXT = 4
"""A byte of text becomes at most three in UTF-8; and the file as it came is there too."""
KEPT = frozenset({"gpkg", "sqlite", "fgb", "parquet", "geoparquet"})
"""Extensions of what is read in chunks, all of it in one file, and without a file written beside it."""


@dataclass(frozen=True)
class Opened:
    """A file in scratch space."""

    source: SourceFile
    parts: Sequence[Part]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Wanted:
    """One file to be put into the folder: from a blob, or from a member of an archive."""

    target: str
    size: int
    write: Callable[[Path], None]
    head: Callable[[], bytes]
    """Its first few bytes."""


class UnknownFormat(PermanentTaskError):
    """No vector format has the extension of the file."""


def known_extension(name: str) -> str:
    """The extension of a vector file. Raises `UnknownFormat` for others."""
    extension = extension_of(name)
    if extension == "xls":
        raise UnknownFormat("the binary format of Excel is not read: save the workbook as .xlsx")
    if extension not in DRIVERS and extension not in ARCHIVES:
        known = ", ".join(sorted({*DRIVERS, *ARCHIVES}))
        raise UnknownFormat(f"no vector format has the extension {extension!r}; known are: {known}")
    return extension


class VectorOpener:
    """Opens vector files. One per process; any number of threads, which share memory and scratch space."""

    def __init__(self, blobs: BlobRepository, resources: Resources) -> None:
        self._blobs = blobs
        self._resources = resources
        self._copies: LocalCopies[list[Part]] = LocalCopies(resources.scratch)

    @contextmanager
    def opened(
        self,
        container: str,
        name: str,
        check: Callable[[], None],
        expected: SourceFile | None = None,
        encoding: str | None = None,
    ) -> Iterator[Opened]:
        """The file's datasets, in scratch space while the block runs.

        `expected` is what was inspected; `encoding` that of tables of text (CSV), which are UTF-8 here; else
        a byte order mark tells it. Raises `PermanentTaskError` with the reason for what is missing, has
        changed since, is no vector file, or is refused.
        """
        extension = known_extension(name)
        with container_must_answer():
            if extension == "gdb":
                source, wanted, parts = self._folder(container, name, check)
            else:
                blob = self._properties(container, name)
                source = SourceFile(container=container, name=name, etag=blob.etag, size=blob.size)
                if extension in ARCHIVES:
                    wanted, parts = self._archive(source, check)
                else:
                    source, wanted, parts = self._file(source, check)
            if expected is not None and expected != source:
                raise PermanentTaskError(f"{name!r} has changed since it was inspected; run the job again")
            size = sum(_space(one, encoding) for one in wanted) + SPARE
            memory = min(READING_BYTES, self._resources.free_bytes)
            key = (container, name, source.etag) if extension in KEPT and source.etag else None

            def brought(folder: Path) -> list[Part]:
                if key is None:
                    self._bring(wanted, folder, check)
                    self._unchanged(source)
                else:
                    self._bring_or_borrow(wanted[0], source, folder, check)
                placed = [Part(folder / part.path, part.driver, part.title) for part in parts]
                # Such a file is one blob, whose ETag was compared with that of what was inspected.
                before = expected is not None and key is not None
                return [screened(part, encoding, check, before=before) for part in placed]

            with (
                self._resources.memory(memory, check),
                self._copies.use(key, size, brought, check) as ready,
            ):
                yield Opened(source, ready)

    def _properties(self, container: str, name: str) -> BlobProperties:
        try:
            blob = self._blobs.properties(container, name)
        except BlobNotFound as error:
            raise PermanentTaskError(error.detail) from error
        if blob.size == 0:
            raise PermanentTaskError("the file has zero bytes")
        if blob.tier == "Archive":
            raise PermanentTaskError("the blob is in the archive tier and must be rehydrated to be read")
        return blob

    def _file(
        self, source: SourceFile, check: Callable[[], None]
    ) -> tuple[SourceFile, list[_Wanted], list[Part]]:
        extension = extension_of(source.name)
        beside = self._sidecars(source.container, source.name, SIDECARS.get(extension, frozenset()))
        whole = source.model_copy(update={"size": source.size + sum(item.size for item in beside)})
        wanted = [self._blob(source.container, source.name, source.size, f"data.{extension}", check)]
        wanted += [
            self._blob(source.container, item.name, item.size, f"data.{extension_of(item.name)}", check)
            for item in beside
        ]
        return whole, wanted, [_part(f"data.{extension}", _stem(source.name))]

    def _folder(
        self, container: str, name: str, check: Callable[[], None]
    ) -> tuple[SourceFile, list[_Wanted], list[Part]]:
        """A File Geodatabase: all blobs right below the name."""
        found: list[BlobItem] = []
        for item in self._blobs.list_level(container, f"{name}/"):
            if isinstance(item, BlobItem):
                found.append(item)
            if len(found) > archives.MAX_MEMBERS:
                raise PermanentTaskError(f"{name!r} has more than {archives.MAX_MEMBERS} files")
        if not found:
            raise PermanentTaskError(f"there is no folder {name!r} in container {container!r}")
        wanted = [
            self._blob(container, item.name, item.size, f"data.gdb/{_gdb_member(item.name)}", check)
            for item in found
        ]
        size = sum(item.size for item in found)
        source = SourceFile(container=container, name=name, etag=None, size=size)
        return source, wanted, [_part("data.gdb", _stem(name))]

    def _archive(self, source: SourceFile, check: Callable[[], None]) -> tuple[list[_Wanted], list[Part]]:
        file = io.BufferedReader(BlobFile(self._blobs, source), PIECE)
        archive = archives.opened(file)
        members = archives.checked(archive, source.size)
        wanted: list[_Wanted] = []
        parts: list[Part] = []
        for number, (main, files) in enumerate(_datasets(members, source.name)):
            title = _stem(main)
            extension = extension_of(main)
            parts.append(_part(f"part{number}.{extension}", title))
            for target, member in files:

                def write(path: Path, member: archives.Member = member) -> None:
                    archives.unpack(archive, member, path, check)

                def head(member: archives.Member = member) -> bytes:
                    return archives.head(archive, member, encodings.LONGEST_MARK)

                wanted.append(_Wanted(f"part{number}.{target}", member.file_size, write, head))
        return wanted, parts

    def _blob(self, container: str, name: str, size: int, target: str, check: Callable[[], None]) -> _Wanted:
        def write(path: Path) -> None:
            def read(offset: int, length: int) -> bytes:
                return self._blobs.read(container, name, offset, length)

            fetch(read, size, path, check)

        def head() -> bytes:
            return self._blobs.read(container, name, 0, encodings.LONGEST_MARK)

        return _Wanted(target, size, write, head)

    def _bring(self, wanted: Sequence[_Wanted], folder: Path, check: Callable[[], None]) -> None:
        for one in wanted:
            check()
            target = folder / one.target
            target.parent.mkdir(exist_ok=True)
            try:
                one.write(target)
            except BlobNotFound as error:
                raise ServiceUnavailable(f"the file changed while it was read: {error.detail}") from error

    def _bring_or_borrow(
        self, one: _Wanted, source: SourceFile, folder: Path, check: Callable[[], None]
    ) -> None:
        """Fetch a file that nobody writes into, unless a process of this machine has this version of it."""
        url = self._blobs.url(source.container, source.name)
        key, scratch = f"{url} {source.etag}", self._resources.scratch
        if not scratch.borrow(key, folder / one.target):
            self._bring([one], folder, check)
            self._unchanged(source)
            scratch.lend(folder / one.target, key)

    def _unchanged(self, source: SourceFile) -> None:
        if source.etag is not None:
            now = self._blobs.properties(source.container, source.name)
            if now.etag != source.etag:
                raise ServiceUnavailable("the blob was replaced while it was read")

    def _sidecars(self, container: str, name: str, extensions: frozenset[str]) -> list[BlobItem]:
        """The blobs beside this one that belong to it, at most one for each extension."""
        if not extensions:
            return []
        stem = name.rpartition(".")[0]
        beside = next(self._blobs.list_pages(container, f"{stem}.", MAX_SIDECARS), [])
        found: dict[str, BlobItem] = {}
        for item in beside:
            extension = extension_of(item.name)
            if extension in extensions and item.name[len(stem) + 1 :].lower() == extension:
                found.setdefault(extension, item)
        return list(found.values())


def _space(wanted: _Wanted, encoding: str | None) -> int:
    """Bytes that a file takes: one of text in another encoding is copied into UTF-8, XML is marked."""
    if wanted.target.endswith(MARKED):
        return wanted.size + min(wanted.size, xml_values.MOST_ADDED)
    if not wanted.target.endswith(TEXT_TABLES):
        return wanted.size
    found = encoding or encodings.marked(wanted.head())
    return wanted.size * (1 if found in (None, encodings.UTF8) else COPIES_OF_TEXT)


def _part(path: str, title: str) -> Part:
    return Part(Path(path), DRIVERS[extension_of(path)], title)


def _stem(name: str) -> str:
    last = PurePosixPath(name).name
    return last.rpartition(".")[0] or last


def _gdb_member(name: str) -> str:
    """Names inside are the format's own; anything else is none of its files."""
    last = PurePosixPath(name).name
    if not all(character.isalnum() or character in "._-" for character in last):
        raise PermanentTaskError(f"{last[:100]!r} is no file of a File Geodatabase")
    return last


def _datasets(
    members: Sequence[archives.Member], archive: str
) -> list[tuple[str, list[tuple[str, archives.Member]]]]:
    """The datasets among the members: name of each, and its files with what follows `part0.` in our names."""
    found: dict[str, list[tuple[str, archives.Member]]] = {}
    by_stem: dict[str, list[archives.Member]] = {}
    for member in members:
        by_stem.setdefault(member.filename.rpartition(".")[0], []).append(member)
    for member in members:
        path = PurePosixPath(member.filename)
        folder = next((parent for parent in path.parents if parent.suffix.lower() == ".gdb"), None)
        extension = extension_of(member.filename)
        if "__MACOSX" in path.parts:
            continue
        if folder is not None:
            found.setdefault(str(folder), []).append((f"gdb/{_gdb_member(path.name)}", member))
        elif extension in DRIVERS and extension != "gdb":
            beside = by_stem[member.filename.rpartition(".")[0]]
            wanted = {extension, *SIDECARS.get(extension, ())}
            files = {
                extension_of(one.filename): one for one in beside if extension_of(one.filename) in wanted
            }
            found[member.filename] = list(files.items())
    if not found:
        raise PermanentTaskError("the zip file has no vector file in it")
    if extension_of(archive) == "kmz":
        return [_root_of_kmz(found)]
    return list(found.items())


def _root_of_kmz(
    found: dict[str, list[tuple[str, archives.Member]]],
) -> tuple[str, list[tuple[str, archives.Member]]]:
    """The one document of a KMZ: doc.kml, else the first (KML 2.3, OGC 12-007r2, section on KMZ)."""
    documents = [name for name in found if extension_of(name) == "kml"]
    if not documents:
        raise PermanentTaskError("the KMZ has no KML in it")
    named = [name for name in documents if PurePosixPath(name).name.lower() == "doc.kml"]
    first = (named or documents)[0]
    return first, found[first]
