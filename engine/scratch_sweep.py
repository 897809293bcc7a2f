"""Removes the scratch blobs of runs that have ended.

What is there is found by looking at the blobs, and not at rows: so nothing that crashed has to have noted
what it left, and a run whose rows are gone leaves nothing either. A pass that ends anywhere is gone on with
by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.errors import ContainerNotFound
from repositories.retention import RetentionRepository

from . import scratch_blobs

RUNS = 500
"""Runs asked about in one statement."""


class ScratchSweep:
    """Any number of these may run at the same time."""

    def __init__(
        self, repository: RetentionRepository, blobs: BlobRepository, container: str, age: timedelta
    ) -> None:
        self._repository = repository
        self._blobs = blobs
        self._container = container
        self._age = age

    def remove(self, check: Callable[[], None]) -> Iterator[int]:
        """Delete the scratch blobs of runs that ended `age` ago: a page for each number that this gives.

        `check` is called in between, and may raise.
        """
        for names in self._pages(check):
            yield self._blobs.delete(self._container, names)

    def count(self, check: Callable[[], None]) -> int:
        """How many there are."""
        return sum(len(names) for names in self._pages(check))

    def _pages(self, check: Callable[[], None]) -> Iterator[list[str]]:
        try:
            found = self._runs(check)
            while runs := list(islice(found, RUNS)):
                for run in self._repository.ended_runs(runs, self._age):
                    yield from self._of_run(run, check)
        except ContainerNotFound:
            return

    def _of_run(self, run: tuple[str, int], check: Callable[[], None]) -> Iterator[list[str]]:
        for page in self._blobs.list_pages(self._container, scratch_blobs.prefix(*run)):
            check()
            # Looked at after the page was read: what a retry that came meanwhile writes is on no such page.
            if not self._repository.ended_runs([run], self._age):
                return
            if page:
                yield [item.name for item in page]

    def _runs(self, check: Callable[[], None]) -> Iterator[tuple[str, int]]:
        for job in self._blobs.list_level(self._container):
            check()
            if isinstance(job, BlobItem):
                continue
            for below in self._blobs.list_level(self._container, job):
                if isinstance(below, str) and (run := scratch_blobs.run(below)):
                    yield run
