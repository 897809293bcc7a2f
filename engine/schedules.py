"""Schedules: jobs that the clock submits, each tick once (docs/schedules.md).

A tick is taken in the transaction that submits its job: whoever else comes, and whoever comes after a crash,
finds it taken or not there at all. Of ticks that nobody was there for, the last one is made up for.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from interfaces.contracts import JsonObject
from interfaces.errors import Conflict, FieldError, InvalidRequest, NotFound
from interfaces.follow_ups import TICK_DOCUMENT, TICK_PARTS, DueSchedule, NewSchedule, Schedule, Tick
from interfaces.jobs import NewJob
from interfaces.templates import TemplateError, filled
from repositories.follow_ups import ScheduleRepository

from .cron import BadSchedule, Cron
from .redaction import describe, trace
from .relay import Relay
from .submission import Submission, link

logger = logging.getLogger(__name__)

Position = list[JsonValue]

REST = timedelta(hours=1)
"""How long a schedule that cannot be read is left alone."""
PAGE = 100
"""Schedules that are fired at one firing of the timer; what is left is fired at the next."""


class Schedules:
    """Makes, shows, switches and fires schedules. Safe to fire from any number of processes."""

    def __init__(self, repository: ScheduleRepository, submission: Submission, relay: Relay) -> None:
        self._repository = repository
        self._submission = submission
        self._relay = relay

    def create(self, new: NewSchedule) -> Schedule:
        """Add a schedule. Raises `InvalidRequest` naming the field, `UnknownJobType`, `Conflict`."""
        self._submission.check_template(new.job_type, new.parameters, TICK_DOCUMENT, "parameters")
        cron = _cron(new.cron, new.time_zone)
        # What every tick has is known, so that only the values are not.
        example = _tick_document(datetime(2024, 2, 29, 12, tzinfo=UTC), cron)
        parameters = _filled(new.parameters, example, "parameters")
        self._submission.prepare(new.job_type, parameters, "parameters")
        self._submission.check_follow_ups(new)
        made = self._repository.create(new, cron.following(self._repository.now()))
        if made is None:
            raise Conflict(f"there is a schedule {new.name} already")
        return made

    def listed(self, *, after: Position | None, limit: int) -> tuple[list[Schedule], Position | None]:
        """Schedules with their last tick, by name."""
        return self._repository.page(after=after, limit=limit)

    def one(self, name: str) -> tuple[Schedule, list[Tick]]:
        """A schedule, and its last ticks, the newest first. Raises `NotFound`."""
        found = self._repository.one(name)
        if found is None:
            raise _unknown(name)
        return found, self._repository.ticks(name)

    def switch(self, name: str, *, enabled: bool) -> Schedule:
        """Enable or disable it. Ticks that come meanwhile are not made up for. Raises `NotFound`."""
        found, _ = self.one(name)
        following = found.next_at
        if enabled:
            # Only then: what cannot be read can still be disabled.
            following = _cron(found.cron, found.time_zone).following(self._repository.now())
        switched = self._repository.switch(name, enabled=enabled, next_at=following)
        if switched is None:
            raise _unknown(name)
        return switched

    def delete(self, name: str) -> None:
        """Forget it and its ticks; the jobs that it submitted stay. Raises `NotFound`."""
        if not self._repository.delete(name):
            raise _unknown(name)

    def fire(self) -> int:
        """Submit the jobs of all ticks that are due; answers how many there were."""
        fired = 0
        for due in self._repository.due(PAGE):
            fired += self._fire(due)
        return fired

    def _fire(self, due: DueSchedule) -> bool:
        try:
            cron = Cron(due.cron, due.time_zone)
            tick, following = max(cron.last(due.now), due.next_at), cron.following(due.now)
        except BadSchedule as error:
            # As when a time zone is no more. Others go on, and its tick is made up for once it can be read.
            logger.error("schedule %s: %s", due.name, error)
            self._repository.rest(due, str(error), REST)
            return False
        job: NewJob | None = None
        reason: str | None = None
        try:
            parameters = _filled(due.parameters, _tick_document(tick, cron), "parameters")
            asked = due.follow_ups()
            job = replace(
                self._submission.prepare(due.job_type, parameters, "parameters"),
                correlation_id=f"schedule:{due.name}:{tick.astimezone(UTC):%Y%m%dT%H%M%SZ}",
                rerun=True,
                callback=self._submission.callback(asked),
                then=link(asked.then) if asked.then else None,
            )
        except Exception as refused:  # noqa: BLE001 - whatever a model raises is that tick's failure, and no other's
            # As after a release that changed the job type. The next tick tries again.
            reason = describe(refused)
            logger.error("schedule %s: nothing submitted: %s", due.name, trace(refused))
        submitted = self._repository.fire(due, tick, following, job, reason)
        if submitted is not None and submitted.created:
            self._relay.drain(submitted.job_id)
        return submitted is not None or reason is not None


def _tick_document(tick: datetime, cron: Cron) -> JsonObject:
    local = tick.astimezone(cron.zone)
    values = (
        tick.astimezone(UTC).isoformat(),
        local.isoformat(),
        *(local.strftime(form) for form in ("%Y-%m-%d", "%Y", "%m", "%d", "%H", "%M")),
    )
    return {"tick": dict(zip(TICK_PARTS, values, strict=True))}


def _filled(template: JsonObject, document: JsonObject, field: str) -> JsonObject:
    try:
        return filled(template, document, field)
    except TemplateError as error:
        raise InvalidRequest(
            str(error), errors=[FieldError(field=error.field, reason=error.reason)]
        ) from None


def _cron(expression: str, time_zone: str) -> Cron:
    try:
        return Cron(expression, time_zone)
    except BadSchedule as error:
        raise InvalidRequest(
            str(error), errors=[FieldError(field=error.field, reason=error.reason)]
        ) from None


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no schedule {name[:100]}")
