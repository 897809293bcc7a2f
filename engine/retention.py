"""Removes what ended long ago, in small steps that running work does not notice (docs/adr/0005)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from operator import attrgetter
from time import monotonic

from interfaces.blobs import BlobRepository
from interfaces.errors import (
    ContainerNotFound,
    DependencyUnavailable,
    FieldError,
    InvalidRequest,
    OrchestratorError,
)
from interfaces.retention import Attempt, Cleanup, EndedStage, Leavings, OldRun
from interfaces.settings import Settings
from repositories.retention import KINDS, RetentionRepository

from . import result_blobs
from .archive import RunArchive
from .redaction import describe
from .scratch_sweep import ScratchSweep

logger = logging.getLogger(__name__)

CLEANUP_SECONDS = 20.0
"""How long a request may take: whoever asks waits for the answer, and asks again when more is left."""
NO_LIMIT = 10**9


class OutOfTime(Exception):
    """What is left is done the next time."""


class Retention:
    """Any number of these may run at the same time, and each may end anywhere: another goes on from there."""

    def __init__(
        self,
        settings: Settings,
        repository: RetentionRepository,
        blobs: BlobRepository,
        leavings: Sequence[Leavings] = (),
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._blobs = blobs
        self._leavings = leavings
        self._archive = RunArchive(settings, repository, blobs)

    def run(self) -> Cleanup:
        """Remove what the settings no longer keep, and the leavings of what has ended.

        A run or stage that cannot be removed now keeps no other: what was wrong with the first is raised at
        the end. Raises `ServiceUnavailable`, `AccessDenied`, `Conflict`; what was done by then stays done.
        """
        days = self._settings.retention_days
        # An archive begun in time may take as long as the host lets it: the largest run must pass too.
        longest = self._settings.function_timeout.total_seconds() * 0.8
        seconds = self._settings.retention_seconds
        sweep = _Sweep(self._repository, self._blobs, self._settings, seconds, longest)
        more = self._pass(sweep, seconds, days, NO_LIMIT)
        if self._settings.audit_days:
            sweep.sweep_audit(self._repository.days_ago(self._settings.audit_days))
        sweep.raise_failure()
        return _answer(sweep.counted, days, dry_run=False, more=more)

    def cleanup(self, older_than_days: int | None, *, dry_run: bool, limit: int) -> Cleanup:
        """Remove at most `limit` runs that ended so many days ago (by default those the setting names).

        With `dry_run` they are only counted. Takes little more than 20 s; `more` says whether to ask again.
        Raises `InvalidRequest`, `ServiceUnavailable`, `AccessDenied`.
        """
        days = older_than_days or self._settings.retention_days
        if not days:
            reason = "is required: the setting RETENTION_DAYS keeps everything"
            raise InvalidRequest(
                f"older_than_days: {reason}", errors=[FieldError(field="older_than_days", reason=reason)]
            )
        sweep = _Sweep(self._repository, self._blobs, self._settings, CLEANUP_SECONDS, CLEANUP_SECONDS)
        more = self._count(sweep, days, limit) if dry_run else self._pass(sweep, CLEANUP_SECONDS, days, limit)
        sweep.raise_failure()
        return _answer(sweep.counted, days, dry_run=dry_run, more=more)

    def _pass(self, sweep: _Sweep, seconds: float, days: int, limit: int) -> bool:
        """Remove leavings, and at most `limit` runs (with 0 days none); answers whether more is left."""
        more = sweep.clean_stages(seconds / 2)
        try:
            sweep.clean_leavings(self._leavings)
            sweep.finish_removals()
            if days:
                more |= self._remove(sweep, self._repository.days_ago(days), limit)
        except OutOfTime:
            return True
        return more

    def _count(self, sweep: _Sweep, days: int, limit: int) -> bool:
        try:
            return sweep.count(self._repository.days_ago(days), limit)
        except OutOfTime:
            return True

    def _remove(self, sweep: _Sweep, before: datetime, limit: int) -> bool:
        """Remove old runs, at most so many; answers whether there are more of them."""
        sweep.sweep_leftovers(before)
        old_runs = self._repository.old_runs(before)
        if not self._archive.wanted:
            for old in islice(old_runs, limit):
                with sweep.apart(_run(old)):
                    sweep.remove(old)
            return next(old_runs, None) is not None
        self._archive.prepare()
        for old in islice(old_runs, limit):
            sweep.check_time()
            with sweep.apart(_run(old)):
                if self._archive.write(old, sweep.check_archive):
                    sweep.remove(old)
        return next(old_runs, None) is not None


class _Sweep:
    """One pass: counts what it removes, and stops between two steps when its time is over."""

    def __init__(
        self,
        repository: RetentionRepository,
        blobs: BlobRepository,
        settings: Settings,
        seconds: float,
        archive_seconds: float,
    ) -> None:
        self._repository = repository
        self._blobs = blobs
        self._results = settings.results_container
        # Longer than any handler that began before its stage ended can still write.
        self._age = settings.function_timeout + settings.lease
        self._scratch = ScratchSweep(repository, blobs, settings.scratch_container, self._age)
        self._end = monotonic() + seconds
        self._archive_end = monotonic() + archive_seconds
        self.counted: Counter[str] = Counter()
        self._failure: OrchestratorError | None = None

    @contextmanager
    def apart(self, what: str) -> Iterator[None]:
        """What is wrong with this one, as a blob that cannot be deleted, is kept from the others.

        Raises `DependencyUnavailable`: then nothing can be deleted now.
        """
        try:
            yield
        except DependencyUnavailable:
            raise
        except OrchestratorError as error:
            logger.error("%s not removed: %s", what, describe(error))
            self._failure = self._failure or error

    def raise_failure(self) -> None:
        """Raise the first that was kept from the others."""
        if self._failure is not None:
            raise self._failure

    def check_time(self) -> None:
        """Raise when the time is over."""
        if monotonic() > self._end:
            raise OutOfTime

    def check_archive(self) -> None:
        """Raise when an archive that is being written has to be given up."""
        if monotonic() > self._archive_end:
            raise OutOfTime

    def count(self, before: datetime, limit: int) -> bool:
        """Count what would be removed; answers whether more than `limit` runs are old."""
        self.counted["blobs"] += self._scratch.count(self.check_time)
        # What earlier calls began to remove is finished first by the next one.
        for old in self._repository.unswept():
            self._count(old)
        old_runs = self._repository.old_runs(before)
        for old in islice(old_runs, limit):
            self._count(old)
            self.counted["runs"] += 1
            self.counted["jobs"] += old.is_current
        return next(old_runs, None) is not None

    def remove(self, old: OldRun) -> None:
        """Take a run out of sight, then remove all that is left of it."""
        self.check_time()
        gone = self._repository.remove(old)
        if gone is None:
            logger.info("job %s run %d is in use and stays", old.job_id, old.run)
            return
        self.counted["runs"] += 1
        self.counted["jobs"] += gone == "job"
        self._sweep(old)

    def finish_removals(self) -> None:
        """Go on with the removals that others began."""
        for old in self._repository.unswept():
            with self.apart(_run(old)):
                self._sweep(old)

    def sweep_leftovers(self, before: datetime) -> None:
        """Remove old rows that belong to no run."""
        while self._repository.sweep_leftovers(before):
            self.check_time()

    def sweep_audit(self, before: datetime) -> None:
        """Remove what says who did what so long ago."""
        while self._repository.sweep_audit(before) and monotonic() < self._end:
            pass

    def clean_stages(self, seconds: float) -> bool:
        """Remove what abandoned attempts left in stages that have ended; answers whether more is left."""
        whole, self._end = self._end, min(self._end, monotonic() + seconds)
        failed: set[EndedStage] = set()
        try:
            while self._repository.pass_clean_stages(self._age):
                self.check_time()
            # Those that failed are found again each time.
            while stages := set(self._repository.uncleaned_stages(self._age, 100 + len(failed))) - failed:
                for stage in sorted(stages, key=attrgetter("completed_at")):
                    self.check_time()
                    failed.add(stage)
                    with self.apart(f"leavings of stage {stage.stage} of job {stage.job_id}"):
                        self._clean(stage)
                        failed.remove(stage)
        except OutOfTime:
            return True
        finally:
            self._end = whole
        return False

    def clean_leavings(self, leavings: Sequence[Leavings]) -> None:
        """Finish what handlers left unfinished, and remove the scratch blobs of runs that have ended."""
        for left in leavings:
            with self.apart(type(left).__name__):
                if cleaned := left.clean(self._age, self.check_time):
                    logger.info("%s dealt with %d leavings", type(left).__name__, cleaned)
        with self.apart("scratch blobs"):
            for removed in self._scratch.remove(self.check_time):
                self.counted["blobs"] += removed

    def _sweep(self, old: OldRun) -> None:
        # The blobs first: once the rows are gone, nothing leads to them.
        for page in self._blob_pages(result_blobs.prefix(old.job_id, old.run)):
            self.counted["blobs"] += self._blobs.delete(self._results, page)
        for kind in KINDS:
            for removed in self._repository.sweep(old, kind):
                self.counted[kind] += removed
                self.check_time()
        if not self._repository.forget(old):
            logger.info("job %s run %d is being removed by another process too", old.job_id, old.run)

    def _count(self, old: OldRun) -> None:
        self.check_time()
        self.counted.update(self._repository.count(old))
        for page in self._blob_pages(result_blobs.prefix(old.job_id, old.run)):
            self.counted["blobs"] += len(page)

    def _clean(self, stage: EndedStage) -> None:
        if stage.listing:
            prefix = result_blobs.prefix(stage.job_id, stage.run, stage.stage)
            for page in self._blob_pages(prefix):
                self._delete_abandoned(stage, page)
        for attempt in self._repository.abandoned_items(stage):
            for removed in self._repository.sweep_attempt(stage, attempt):
                self.counted["items"] += removed
                self.check_time()
        self._repository.cleaned(stage)

    def _delete_abandoned(self, stage: EndedStage, names: list[str]) -> None:
        attempts = {Attempt(*found): name for name in names if (found := result_blobs.attempt(name))}
        abandoned = self._repository.abandoned(stage, list(attempts))
        if abandoned:
            doomed = [attempts[attempt] for attempt in abandoned]
            self.counted["blobs"] += self._blobs.delete(self._results, doomed)

    def _blob_pages(self, prefix: str) -> Iterator[list[str]]:
        """Names in the container of results, a page at a time."""
        try:
            for page in self._blobs.list_pages(self._results, prefix):
                self.check_time()
                if page:
                    yield [item.name for item in page]
        except ContainerNotFound:
            return


def _run(old: OldRun) -> str:
    return f"run {old.run} of job {old.job_id}"


def _answer(counted: Counter[str], days: int, *, dry_run: bool, more: bool) -> Cleanup:
    kinds = ("jobs", "runs", "tasks", "items", "events", "blobs")
    if any(counted.values()) and not dry_run:
        what = ", ".join(f"{counted[kind]} {kind}" for kind in kinds if counted[kind])
        logger.info("retention removed %s%s", what, "; more is left" if more else "")
    return Cleanup(
        older_than_days=days, dry_run=dry_run, more=more, **{kind: counted[kind] for kind in kinds}
    )
