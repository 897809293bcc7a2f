"""Items of rasters that lie in a container: built by range reads, checked, and named after their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.conversions import SourceBlob
from interfaces.errors import BlobNotFound, PermanentTaskError
from interfaces.registrations import RasterItems, name_pattern
from interfaces.storable_items import why_not_storable
from interfaces.workflows import TaskContext
from services.raster_opening import RasterOpener, Room, Unreadable
from services.second_look import second_look

from .acquisition import Acquisition, acquisition
from .collection import collection_link
from .decimation import NoCoarseView
from .footprint import raster_footprint
from .item import COG_TYPE, GEOTIFF_TYPE, PNG_TYPE, CollectionLink, File, build_item
from .item_batches import ItemBatches
from .item_text import item_text
from .lineage import Lineage, software_versions
from .registered_documents import BuiltItems
from .thumbnail import thumbnail
from .validation import ItemValidator

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

MAX_BANDS = 64
"""Whose tags are looked at for a time."""
MEDIA_TYPES = {
    "GTiff": GEOTIFF_TYPE,
    "JP2OpenJPEG": "image/jp2",
    "PNG": PNG_TYPE,
    "JPEG": "image/jpeg",
    "netCDF": "application/netcdf",
    "HDF5": "application/x-hdf5",
    "HDF5Image": "application/x-hdf5",
}
"""As pystac has them (`pystac.MediaType`)."""
MADE_BY = (("by job", "LINEAGE_JOB"), ("from", "LINEAGE_SOURCE"))
"""Tags that conversions write into COGs."""
OTHER_TYPE = "application/octet-stream"
FAULTS = 3


class RegisteredRasters:
    """Makes the item of one raster."""

    def __init__(
        self,
        blobs: BlobRepository,
        opener: RasterOpener,
        validator: ItemValidator,
        scratch_container: str,
        room: Callable[[Callable[[], None]], Room],
    ) -> None:
        self._blobs = blobs
        self._opener = opener
        self._validator = validator
        self._scratch_container = scratch_container
        self._room = room

    def __call__(
        self,
        container: str,
        blob: BlobProperties,
        context: TaskContext,
        *,
        collection_id: str,
        chunk: int,
        wanted: RasterItems,
        asked: str,
    ) -> BuiltItems:
        """The item goes to the catalog. Raises `PermanentTaskError` with the reason why there is none.

        `asked` is the SHA-256 of what decides the item, hex.
        """
        with self._opener.sessions.messages.collected() as said:
            try:
                item = second_look(lambda: self._item(container, blob, context, collection_id, wanted, asked))
            except Unreadable as error:
                raise PermanentTaskError(f"{blob.name}: {error.report.reason}") from error
        found = self._validator.validate(item)
        faults = [f"{error.path}: {error.reason} ({error.schema})" for error in found.errors]
        faults += [f"{path}: {reason}" for path, reason in why_not_storable(item)]
        if faults:
            raise PermanentTaskError(f"{blob.name}: no valid item: {'; '.join(faults[:FAULTS])}")
        batches = ItemBatches(
            self._blobs, self._scratch_container, context, chunk, f"{container}/{blob.name}"
        )
        batches.add(collection_id, str(item["id"]), item_text(item))
        batches.close()
        properties = item["properties"]
        assert isinstance(properties, dict)
        notes = [str(properties["description"])] if "description" in properties else []
        return BuiltItems(
            file=blob.name,
            items=1,
            unvalidated=list(found.unknown),
            notes=[*notes, *(f"GDAL remarks: {message}" for message in said)],
        )

    def _item(
        self,
        container: str,
        blob: BlobProperties,
        context: TaskContext,
        collection_id: str,
        wanted: RasterItems,
        asked: str,
    ) -> dict[str, JsonValue]:
        with self._opener.reachable(container, blob, room=self._room(context.check)) as reachable:
            path = reachable.source.path
            with (
                self._opener.explained(container, blob, path),
                self._opener.opened(reachable, blob) as dataset,
            ):
                is_cog = _is_cog(dataset, path)
                if wanted.require_cog and not is_cog:
                    raise PermanentTaskError(f"{blob.name}: is no strictly valid COG")
                picture, made = self._picture(container, blob.name, dataset, wanted)
                context.check()
                item = build_item(
                    dataset,
                    item_id(wanted.id_template, container, blob.name),
                    data=self._file(container, blob, _media_type(dataset, is_cog)),
                    time=acquired(dataset, blob, wanted),
                    footprint=raster_footprint(dataset),
                    thumbnail=File(self._blobs.url(container, picture), PNG_TYPE) if picture else None,
                    collection=CollectionLink(collection_id, str(collection_link(collection_id)["href"])),
                    lineage=_lineage(container, blob, context, asked, dataset.tags()),
                    title=PurePosixPath(blob.name).name,
                )
        if picture and made is not None:
            self._blobs.write(container, picture, made, content_type=PNG_TYPE)
        return item

    def _file(self, container: str, blob: BlobProperties, media_type: str) -> File:
        return File(
            self._blobs.url(container, blob.name), media_type, size=blob.size, digest=blob.content_md5
        )

    def _picture(
        self, container: str, name: str, dataset: DatasetReader, wanted: RasterItems
    ) -> tuple[str | None, bytes | None]:
        """Name of the thumbnail, if there is one; and its bytes, where it is to be written."""
        beside = f"{PurePosixPath(name).with_suffix('')}.thumbnail.png"
        try:
            self._blobs.properties(container, beside)
        except BlobNotFound:
            if not wanted.make_thumbnails:
                return None, None
            try:
                return beside, thumbnail(dataset)
            except NoCoarseView:
                return None, None
        return beside, None


def item_id(template: str, container: str, name: str) -> str:
    """The text that the id is made of: by default another one in every folder."""
    path = PurePosixPath(name)
    values: dict[str, str] = {
        "path": str(path.with_suffix("")),
        "folder": "" if str(path.parent) == "." else str(path.parent),
        "stem": path.stem,
        "name": path.name,
        "container": container,
    }
    made = template
    for field, value in values.items():
        made = made.replace("{" + field + "}", value)
    return made


def acquired(dataset: DatasetReader, blob: BlobProperties, wanted: RasterItems) -> Acquisition:
    """When the data were acquired: as asked, by the pattern, else as found."""
    if wanted.datetime_pattern is not None:
        moment = moment_in(blob.name, wanted.datetime_pattern)
        return Acquisition(moment, "name", wanted.datetime_pattern)
    given: Any = wanted.datetime
    if given is not None and wanted.end_datetime is not None:
        given = (given, wanted.end_datetime)
    return acquisition(
        blob.name,
        {**dataset.tags(), **dataset.tags(ns="IMAGERY")},
        blob.last_modified or datetime.now(UTC),
        bands=[dataset.tags(index) for index in dataset.indexes[:MAX_BANDS]],
        given=given,
    )


def moment_in(name: str, pattern: str) -> datetime:
    """The time that the name has where the pattern fits, UTC; the last part of the path is looked at first.

    Raises `PermanentTaskError` where it fits nowhere, or to what is no time.
    """
    expression = name_pattern(pattern)
    for text in (PurePosixPath(name).name, name):
        for match in expression.finditer(text):
            found: dict[str, int] = {key: int(value) for key, value in match.groupdict().items()}
            try:
                day = datetime(found["Y"], found.get("m", 1), found.get("d", 1), tzinfo=UTC)
                clock = timedelta(hours=found.get("H", 0), minutes=found.get("M", 0))
                made = day + timedelta(days=found.get("j", 1) - 1, seconds=found.get("S", 0)) + clock
            except (ValueError, OverflowError):
                continue
            if made.year == found["Y"] and found.get("H", 0) < 24 and found.get("M", 0) < 60:
                return made
    raise PermanentTaskError(f"{name}: has no time where the pattern {pattern!r} fits")


def _is_cog(dataset: DatasetReader, path: str) -> bool:
    from rio_cogeo.cogeo import cog_validate

    if dataset.driver != "GTiff" or len(dataset.files) > 1:
        return False
    valid, errors, warnings = cog_validate(path, strict=True, quiet=True)
    return bool(valid and not errors and not warnings)


def _media_type(dataset: DatasetReader, is_cog: bool) -> str:
    return COG_TYPE if is_cog else MEDIA_TYPES.get(dataset.driver, OTHER_TYPE)


def _lineage(
    container: str, blob: BlobProperties, context: TaskContext, asked: str, tags: Mapping[str, str]
) -> Lineage:
    """Of the item; and what a conversion wrote into its file of where that came from."""
    made_by = [f"{word} {tags[tag]}" for word, tag in MADE_BY if tag in tags]
    source = SourceBlob(
        container=container,
        name=blob.name,
        etag=blob.etag or "",
        size=blob.size,
        last_modified=blob.last_modified,
    )
    return Lineage(
        job_id=context.job_id,
        job_type="stac_register",
        sources=(source,),
        parameters_hash=asked,
        processed=datetime.now(UTC),
        software=software_versions(),
        notes=(f"The file was made {' '.join(made_by)}",) if made_by else (),
    )
