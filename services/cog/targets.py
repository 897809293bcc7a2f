"""What is at a target, and whose it is: the first step of publishing (see `services.cog.publishing`)."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.errors import BlobNotFound, Conflict
from interfaces.publications import Publication, PublicationRepository, PublishedCog, TargetRecord

logger = logging.getLogger(__name__)

MARK = "publication"
"""The key of the mark in a target's metadata."""
LOOKS = 5
"""How often to look anew when the target changes meanwhile."""


@dataclass(frozen=True)
class SeenTarget:
    """A target at one moment."""

    target: BlobProperties | None
    record: TargetRecord

    @property
    def etag(self) -> str | None:
        """Of the blob, if there is one."""
        return self.target.etag if self.target else None

    @property
    def recorded(self) -> PublishedCog | None:
        """The row, if it speaks of the blob that is there."""
        cog = self.record.cog
        return cog if cog is not None and cog.etag == self.etag else None

    @property
    def unrecorded(self) -> Publication | None:
        """The publication whose copy is there, if its row is missing."""
        return self.record.under_way if self.recorded is None else None


def look(blobs: BlobRepository, publications: PublicationRepository, container: str, name: str) -> SeenTarget:
    """The blob, then its row or intent.

    A blob of this app has one or the other for as long as it is there. Neither may also mean that it was
    replaced, and its row with it, between the two questions: the same blob afterwards shows that it was not.

    Raises `Conflict` when the target is replaced all the time.
    """
    target = _target(blobs, container, name)
    for _ in range(LOOKS):
        mark = target.metadata.get(MARK) if target else None
        seen = SeenTarget(target, publications.find(container, name, mark))
        if target is None or seen.recorded or seen.unrecorded:
            return seen
        again = _target(blobs, container, name)
        if again is not None and again.etag == target.etag:
            return seen
        target = again
    raise Conflict(f"{name!r} changes all the time")


def _target(blobs: BlobRepository, container: str, name: str) -> BlobProperties | None:
    with suppress(BlobNotFound):
        return blobs.properties(container, name)
    return None


def complete(publications: PublicationRepository, seen: SeenTarget, publication: Publication) -> bool:
    """Write the row that an attempt owes, which is gone."""
    if seen.etag is None:
        return False
    over = seen.record.cog.publication if seen.record.cog else None
    done = publications.settle(publication, seen.etag, over=over)
    if done:
        logger.info("publication %s of %s was completed", publication.mark, publication.name)
    return done
