"""Publishing: a COG that was made becomes its target, for all readers at once, and for good.

Readers see two things: the target blob, and its row in `geo.cogs`. Nothing spans both, so they change in
an order from which every crash can be told, and repaired:

1. **Look**: the target's properties, then the row of the target, and with it the intent that the target's
   metadata name; where neither speaks of it, the properties again, because it may have been replaced
   between the two. `overwrite` decides by them whether there is anything to do.
2. **Intent** (`begin`): the row that is to be, under this attempt's mark, if its fence still holds the
   task.
3. **Copy**: on the server, whole and at once, with the mark in the target's metadata, and only if the
   target still has the etag that was looked at. So all copies to one target form a chain, in which each
   was made in knowledge of the one before.
4. **Thumbnail**: small, written over what is there; that of a COG before this one is deleted where this one
   has none.
5. **Row** (`publish`): if the fence still holds, in the same statement that forgets the intent.
6. **Scratch** is deleted.

A crash, or an error that ends the attempt,

* before 2 or before 3 leaves the target as it was, and at most an intent that no target bears the mark of.
  It is forgotten when no handler of that time can run any more (`UnfinishedPublications`).
* before 4 or 5 leaves a target that bears the mark of an intent: it is *unrecorded*. The next attempt of
  the same task replaces it (its own file, the etag just seen). Any other publisher, and the clean-up,
  completes it: the intent is the whole row, and the copy is the whole file. A thumbnail may be missing
  then.
* before 6 leaves scratch blobs, which the engine removes when the run has ended. The next attempt finds
  the row of its own run, and has nothing to do.

**Two publishers of one target** cannot mix: of two copies that were asked for with the same etag, storage
makes one. The other looks again, and finds an unrecorded target. While the attempt behind that holds its
task, nobody touches it: this attempt ends with `Conflict` and is tried again later, as the task's policy
says. Once the row is there (or was completed, because that attempt is gone), `overwrite` decides as
always. So a row never speaks of a copy that was replaced before.

**An attempt that lost its task** and does not know it yet can still copy, if nobody touched the target
since it looked. That is an unrecorded target like any other; its row is refused (`LeaseLost`), and the
attempt that has the task replaces it, after which nothing that the lost one still asks for is done.

**A row that was written, but whose answer was lost** is found by the next attempt as its own run's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import cast
from urllib.parse import quote

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.contracts import JsonObject
from interfaces.conversions import CogRequest, MadeCog, SourceBlob
from interfaces.errors import (
    BlobNotFound,
    Conflict,
    LeaseLost,
    PermanentTaskError,
)
from interfaces.publications import (
    Outcome,
    Publication,
    PublicationRepository,
    PublishedCog,
)
from interfaces.workflows import TaskContext
from services.cog.naming import item_name
from services.cog.targets import LOOKS, MARK, SeenTarget, complete, look

logger = logging.getLogger(__name__)

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
"""OGC 21-026 (Cloud Optimized GeoTIFF), its media type."""
THUMBNAIL_TYPE = "image/png"
MAX_METADATA_NAME = 2000
"""Characters of a source's name in metadata, of which storage takes 8 KiB in all. The row has it whole."""


class Publisher:
    """Publishes what the attempts of a task made. Thread-safe."""

    def __init__(
        self,
        blobs: BlobRepository,
        publications: PublicationRepository,
        scratch_container: str,
        versions: Callable[[], Mapping[str, str]],
    ) -> None:
        self._blobs = blobs
        self._publications = publications
        self._scratch_container = scratch_container
        self._versions = versions

    def up_to_date(
        self, request: CogRequest, sources: Sequence[SourceBlob], context: TaskContext
    ) -> str | None:
        """Why nothing needs to be made for a request, before any work is done; None: it is to be made.

        So is a COG without its item beside it, although it is the same.

        Raises `PermanentTaskError` for a target that is a source of the job, or not this app's.
        """
        self._check_target(request, sources, context)
        if request.overwrite == "always":
            return None
        seen = look(self._blobs, self._publications, request.container, request.name)
        reason = _up_to_date(seen, request, sources)
        if reason and request.overwrite == "if_changed" and not self._has_item(request):
            # Its job ended between the two, by a cancellation or by what became of other rasters.
            return None
        return reason

    def _has_item(self, request: CogRequest) -> bool:
        try:
            self._blobs.properties(request.container, item_name(request.name))
        except BlobNotFound:
            return False
        return True

    def published(
        self, request: CogRequest, sources: Sequence[SourceBlob], context: TaskContext
    ) -> PublishedCog | None:
        """What this run has published for the request already, so that its scratch blobs may be gone."""
        seen = look(self._blobs, self._publications, request.container, request.name)
        return _own(seen, request, sources, context)

    def publish(self, made: MadeCog, context: TaskContext, *, thumbnail: str) -> Outcome:
        """Make what was made the target's content; `thumbnail` is the name of a picture beside the target.

        Raises `Conflict` while somebody else publishes there (to be tried again), `LeaseLost`, and
        `PermanentTaskError` for two rasters of one run with the same target, a target that is a source of the
        job or that this app did not publish, and a blob that is not what was made.
        """
        request = made.request
        self._check_target(request, made.sources, context)
        publication = self._publication(made, context)
        refused: Conflict | None = None
        for _ in range(LOOKS):
            context.check()
            seen = look(self._blobs, self._publications, request.container, request.name)
            if (settled := self._settled(seen, publication)) is not None:
                if settled:
                    continue
                self._publications.forget(publication)
                raise Conflict(_busy(seen))
            if (own := _own(seen, request, made.sources, context)) is not None:
                self._delete(made)
                return Outcome(status="published", reason=None, cog=own)
            # What an earlier attempt of this task copied there is replaced, or was this attempt's own.
            reason = None if seen.unrecorded else _up_to_date(seen, request, made.sources)
            if reason is not None:
                self._publications.forget(publication)
                self._delete(made)
                return Outcome(status="unchanged", reason=reason, cog=seen.recorded)
            try:
                cog = self._carry_out(made, publication, seen, context, thumbnail)
            except Conflict as error:
                logger.info("publication %s: %s", publication.mark, error)
                refused = error
                continue
            self._delete(made)
            return Outcome(status="published", reason=None, cog=cog)
        raise refused or Conflict(f"{request.name!r} changes all the time")

    def _check_target(self, request: CogRequest, sources: Sequence[SourceBlob], context: TaskContext) -> None:
        """Refuse to write over what the job reads, whatever `overwrite` says."""
        if all(blob.container != request.container for blob in sources):
            return
        advice = "choose another target_container or path_template"
        if any((blob.container, blob.name) == (request.container, request.name) for blob in sources):
            raise PermanentTaskError(f"the target {request.name!r} is the source itself; {advice}")
        if self._publications.is_source(context.job_id, context.run, request.name):
            raise PermanentTaskError(f"the target {request.name!r} is another source of this job; {advice}")

    def _publication(self, made: MadeCog, context: TaskContext) -> Publication:
        return Publication(
            container=made.request.container,
            name=made.request.name,
            job_id=context.job_id,
            run=context.run,
            stage=context.stage,
            task_index=context.task_index,
            fence=context.fence,
            sources=made.sources,
            parameters_hash=made.request.parameters_hash,
            versions=dict(self._versions()),
            size=made.file.size,
            md5=made.file.md5,
            notes=made.file.notes,
            item=made.file.item,
        )

    def _settled(self, seen: SeenTarget, publication: Publication) -> bool | None:
        """None: no other task's copy waits for its row. Else whether something was done about it."""
        other = seen.unrecorded
        if other is None or other.same_task(publication):
            return None
        if seen.record.live:
            return False
        complete(self._publications, seen, other)
        return True

    def _carry_out(
        self,
        made: MadeCog,
        publication: Publication,
        seen: SeenTarget,
        context: TaskContext,
        thumbnail: str,
    ) -> PublishedCog:
        """Intent, copy, thumbnail, row."""
        source = self._made(made)
        if not self._publications.begin(publication):
            raise _lost(context)
        etag = self._copy(made, source, publication, seen)
        if made.thumbnail is None and _had_thumbnail(seen):
            self._blobs.delete(publication.container, [thumbnail])
        elif made.thumbnail is not None:
            picture = self._blobs.read(self._scratch_container, made.thumbnail)
            self._blobs.write(publication.container, thumbnail, picture, content_type=THUMBNAIL_TYPE)
        cog = self._publications.publish(publication, etag)
        if cog is None:
            raise _lost(context)
        return cog

    def _made(self, made: MadeCog) -> BlobProperties:
        """The blob that was made. Raises `PermanentTaskError` when it is gone, or is another."""
        where = f"blob {made.blob!r} in container {made.container!r}"
        try:
            found = self._blobs.properties(made.container, made.blob)
        except BlobNotFound as error:
            raise PermanentTaskError(f"what was made is gone, {where}: submit the job again") from error
        expected = made.sources[0].etag if made.pass_through else found.etag
        checksums = {made.file.md5, found.content_md5 or made.file.md5}
        if found.etag != expected or found.size != made.file.size or len(checksums) > 1:
            raise PermanentTaskError(f"{where} is not what was read and checked: it has changed since")
        return found

    def _copy(self, made: MadeCog, source: BlobProperties, publication: Publication, seen: SeenTarget) -> str:
        if seen.unrecorded is not None and seen.unrecorded.mark == publication.mark and seen.etag:
            # Of this very attempt: the answer was lost.
            return seen.etag
        copied = self._blobs.copy(
            made.container,
            made.blob,
            publication.container,
            publication.name,
            content_type=COG_TYPE,
            metadata=_lineage(publication),
            if_unchanged=seen.etag,
            source_etag=source.etag,
        )
        assert copied.etag is not None
        return copied.etag

    def _delete(self, made: MadeCog) -> None:
        scratch = [*made.tiles, *([made.thumbnail] if made.thumbnail else [])]
        if made.container == self._scratch_container:
            scratch.append(made.blob)
        self._blobs.delete(self._scratch_container, scratch)


def _own(
    seen: SeenTarget, request: CogRequest, sources: Sequence[SourceBlob], context: TaskContext
) -> PublishedCog | None:
    """What this run published there. Raises `PermanentTaskError` when that is another raster's."""
    cog = seen.recorded
    if cog is None or (cog.job_id, cog.run) != (context.job_id, context.run):
        return None
    names, others = ([(blob.container, blob.name) for blob in blobs] for blobs in (sources, cog.sources))
    if names != others:
        raise PermanentTaskError(
            f"two rasters of this job have the same target {request.name!r}: {names[0][1]!r} and "
            f"{others[0][1]!r}; choose another path_template"
        )
    same = cog.same_sources(sources) and cog.parameters_hash == request.parameters_hash
    return cog if same else None


def _up_to_date(seen: SeenTarget, request: CogRequest, sources: Sequence[SourceBlob]) -> str | None:
    if seen.target is None or request.overwrite == "always":
        return None
    if request.overwrite == "never":
        return f"{request.name!r} exists, and overwrite is never"
    cog = seen.recorded
    if cog is None and seen.unrecorded is None:
        raise PermanentTaskError(
            f"the target {request.name!r} exists, and was not published by this app, or was changed since: "
            "give overwrite always to replace it, or choose another name"
        )
    if cog and cog.same_sources(sources) and cog.parameters_hash == request.parameters_hash:
        return f"{request.name!r} was made from the same source in the same way by job {cog.job_id}"
    return None


def _busy(seen: SeenTarget) -> str:
    other = seen.unrecorded
    assert other is not None
    return (
        f"{other.name!r} is being published by job {other.job_id} (run {other.run}, task {other.task_index})"
    )


def _had_thumbnail(seen: SeenTarget) -> bool:
    """Whether there is a picture of what was there before."""
    before = [cog.item for cog in (seen.record.cog, seen.record.under_way) if cog is not None]
    return any("thumbnail" in cast("JsonObject", item.get("assets", {})) for item in before)


def _lost(context: TaskContext) -> LeaseLost:
    """The engine's own word first: a cancellation, or the end of the time."""
    context.check()
    return LeaseLost("another attempt owns this task now, or its run has ended; nothing was published")


def _lineage(publication: Publication) -> dict[str, str]:
    """User metadata: text in ASCII."""
    told = {
        MARK: publication.mark,
        "job_id": publication.job_id,
        "run": str(publication.run),
        "parameters_hash": publication.parameters_hash,
        "software": json.dumps(publication.versions),
    }
    if len(publication.sources) == 1:
        [source] = publication.sources
        told["source"] = quote(f"{source.container}/{source.name}")[:MAX_METADATA_NAME]
        told["source_etag"] = source.etag
    else:
        told["sources"] = str(len(publication.sources))
    return told
