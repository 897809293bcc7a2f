"""Publications that nobody is at any more (see `services.cog.publishing`)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from interfaces.blobs import BlobRepository
from interfaces.errors import AccessDenied, Conflict, ContainerNotFound
from interfaces.publications import Publication, PublicationRepository, TargetRecord
from services.cog.targets import SeenTarget, complete, look

logger = logging.getLogger(__name__)

PAGE = 500
"""Unfinished publications looked at between two questions to the database."""


class UnfinishedPublications:
    """Deals with publications whose attempts ended between the intent and the row."""

    def __init__(self, blobs: BlobRepository, publications: PublicationRepository) -> None:
        self._blobs = blobs
        self._publications = publications

    def clean(self, age: timedelta, check: Callable[[], None]) -> int:
        """Complete or forget those of so long ago that no handler can still be at it; answers how many.

        `check` is called between two of them, and may raise.
        """
        total = 0
        while page := self._publications.unsettled(age, PAGE):
            dealt_with = 0
            for publication in page:
                check()
                dealt_with += self._clean(publication)
            total += dealt_with
            if len(page) < PAGE or not dealt_with:
                break
        return total

    def _clean(self, publication: Publication) -> bool:
        try:
            seen = look(self._blobs, self._publications, publication.container, publication.name)
        except ContainerNotFound:
            seen = SeenTarget(None, TargetRecord(None, None, False))
        except (AccessDenied, Conflict) as error:
            logger.warning("publication %s cannot be looked at: %s", publication.mark, error)
            return False
        if seen.unrecorded == publication:
            return complete(self._publications, seen, publication)
        self._publications.forget(publication)
        logger.info("publication %s of %s was given up", publication.mark, publication.name)
        return True
