"""The queue boundary: nothing that arrives is dropped silently, and nothing blocks the queue.

Extraction, parsing and processing fail separately. A message that can never be processed is recorded and
consumed, and the job or task that it names is failed. A message that could not be processed this time is
handed back to the host by raising.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import ValidationError

from interfaces.errors import ServiceUnavailable, field_errors
from interfaces.queues import JobMessage, QueueMessage, TaskMessage
from repositories.jobs import JobRepository
from repositories.recovery import PoisonMessage, RecoveryRepository
from repositories.stages import StageRepository

from .observing import Observer
from .planning import Planner
from .redaction import describe, redact, trace
from .relay import Relay

logger = logging.getLogger(__name__)

RAW_CHARACTERS = 1000
GIVE_UP_AFTER = 3
"""So many messages about the same work may raise errors and be given up before the work itself is failed."""

M = TypeVar("M", bound=QueueMessage)

_JOB_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_TASK_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})-(\d{1,9})-(\d{1,4})-(\d{1,9})(?!\d)")
_LARGEST = {"run": 2**31 - 1, "stage": 2**15 - 1, "first": 2**31 - 1, "last": 2**31 - 1}


@dataclass(frozen=True)
class Arrival:
    """A message as the host delivers it."""

    queue: str
    message_id: str
    dequeue_count: int
    body: bytes


class Malformed(Exception):
    """The message can never be processed; the text says why."""


class Boundary:
    """Takes messages in, and deals with those that nobody can process."""

    def __init__(
        self,
        recovery: RecoveryRepository,
        jobs: JobRepository,
        stages: StageRepository,
        relay: Relay,
        planner: Planner,
        observer: Observer,
    ) -> None:
        self._recovery = recovery
        self._jobs = jobs
        self._stages = stages
        self._relay = relay
        self._planner = planner
        self._observer = observer

    def receive(self, arrival: Arrival, model: type[M], process: Callable[[M], None]) -> None:
        """Parse and process a message. Raises what `process` raises, so that the host delivers it again."""
        correlation_id = str(uuid4())
        arrival = unwrap(arrival)
        try:
            message = parse(arrival.body, model)
        except Malformed as error:
            self._reject(arrival, str(error), correlation_id)
            return
        with self._observer.message(arrival.queue, arrival.message_id, arrival.dequeue_count, message):
            self._process(arrival, message, process, correlation_id)

    def _process(
        self, arrival: Arrival, message: M, process: Callable[[M], None], correlation_id: str
    ) -> None:
        try:
            process(message)
        except Exception as error:
            logger.error(
                "%s message %s (delivery %d, correlation %s) not processed: %s\n%s",
                arrival.queue,
                arrival.message_id,
                arrival.dequeue_count,
                message.correlation_id or correlation_id,
                _excerpt(arrival.body),
                trace(error),
            )
            if not isinstance(error, ServiceUnavailable):
                self._note_raised(arrival, message, describe(error), correlation_id)
            raise

    def given_up(self, arrival: Arrival, model: type[JobMessage] | type[TaskMessage]) -> None:
        """Deal with a message from a poison queue: the host delivered it too often.

        Well-formed: its work is woken again. Work is failed only for errors of its own, which were noted when
        its messages raised them: an outage makes the host give up on messages of all work (docs/adr/0009).
        """
        correlation_id = str(uuid4())
        arrival = unwrap(arrival)
        try:
            message = parse(arrival.body, model)
        except Malformed as error:
            self._reject(arrival, str(error), correlation_id)
            return
        poison = _about(arrival, message, "delivered too often without being processed", correlation_id)
        raised, why = self._recovery.times_raised(poison)
        if raised <= GIVE_UP_AFTER:
            if self._recovery.record(poison, "dispatched_again"):
                self._recovery.dispatch_again(
                    message.job_id, message.run, message.stage, poison.first, poison.last
                )
                self._relay.drain(message.job_id)
        else:
            self._fail(replace(poison, reason=why))
            self._recovery.record(poison, "failed")
        logger.error("%s message %s given up: %s", arrival.queue, arrival.message_id, poison.raw)

    def _note_raised(self, arrival: Arrival, message: QueueMessage, reason: str, correlation_id: str) -> None:
        """Note an error that is not an outage. That it can be noted shows that the database is there."""
        try:
            self._recovery.record(_about(arrival, message, reason, correlation_id), "raised")
        except ServiceUnavailable as error:
            logger.warning("%s message %s: not noted: %s", arrival.queue, arrival.message_id, describe(error))

    def _reject(self, arrival: Arrival, reason: str, correlation_id: str) -> None:
        poison = recover_ids(
            PoisonMessage(
                queue=arrival.queue,
                message_id=arrival.message_id,
                reason=reason,
                raw=_excerpt(arrival.body),
                bytes=len(arrival.body),
                dequeue_count=arrival.dequeue_count,
                correlation_id=correlation_id,
            ),
            arrival.body,
        )
        logger.error(
            "%s message %s (%d bytes, delivery %d, correlation %s) is malformed: %s: %s",
            arrival.queue,
            arrival.message_id,
            len(arrival.body),
            arrival.dequeue_count,
            correlation_id,
            reason,
            poison.raw,
        )
        # Failing is idempotent and recording is not repeated: fail first, so that a crash between the
        # two leaves the message on the queue.
        self._fail(poison)
        self._recovery.record(poison, "failed" if poison.job_id else "recorded")

    def _fail(self, poison: PoisonMessage) -> None:
        if poison.job_id is None:
            return
        current = self._jobs.current_stage(poison.job_id)
        if current is None:
            return
        named = (poison.run or current[0], poison.stage or current[1])
        if named < current:
            # It is about what is past: nothing is left to fail.
            return
        run, stage = current
        error = redact(f"a message about it cannot be processed: {poison.reason}")
        failed = None
        if named == current and poison.first is not None and poison.last is not None:
            failed = self._recovery.fail_tasks(poison.job_id, run, stage, poison.first, poison.last, error)
        if failed is None:
            # It names no task, or one that is not there.
            self._jobs.fail(poison.job_id, error, run=run, stage=stage)
        self._stages.sweep(poison.job_id, run, stage)
        self._planner.advance(poison.job_id, run, stage)
        self._relay.drain(poison.job_id)


def _about(arrival: Arrival, message: QueueMessage, reason: str, correlation_id: str) -> PoisonMessage:
    """What is recorded of a message that is well-formed."""
    return PoisonMessage(
        queue=arrival.queue,
        message_id=arrival.message_id,
        reason=reason,
        raw=_excerpt(arrival.body),
        bytes=len(arrival.body),
        dequeue_count=arrival.dequeue_count,
        correlation_id=message.correlation_id or correlation_id,
        job_id=message.job_id,
        run=message.run,
        stage=message.stage,
        first=message.first if isinstance(message, TaskMessage) else None,
        last=message.last if isinstance(message, TaskMessage) else None,
    )


def unwrap(arrival: Arrival) -> Arrival:
    """The message with its body decoded from base64, as all of ours are sent.

    host.json sets `messageEncoding` to `none`, because the host would put a message that is not base64
    into the poison queue, and could not deliver it from there either: it would stay, unexplained. What is
    not base64 of text is taken as it is, so that plain JSON is understood and everything else is recorded.
    """
    try:
        decoded = base64.b64decode(arrival.body, validate=True)
        # A job's id happens to be base64 too, of something that is no text.
        decoded.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return arrival
    return replace(arrival, body=decoded)


def parse(body: bytes, model: type[M]) -> M:
    """The message in `body`. Raises `Malformed`, naming the field, without quoting what was sent."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8 at byte {error.start}") from error
    try:
        # Parsed by Pydantic itself, which bounds depth and size of numbers.
        message = model.model_validate_json(text)
    except ValidationError as error:
        raise Malformed("; ".join(f"{e.field}: {e.reason}" for e in field_errors(error))) from error
    if isinstance(message, TaskMessage) and message.first > message.last:
        raise Malformed("first: is greater than last")
    return message


def recover_ids(poison: PoisonMessage, body: bytes) -> PoisonMessage:
    """What the message names, as far as that can be told: by JSON, else by pattern."""
    text = body.decode("utf-8", errors="replace")
    found = _ids_from_json(text)
    if "job_id" not in found:
        if task := _TASK_ID.search(text):
            job_id, run, stage, index = task.groups()
            found = {"job_id": job_id, "run": int(run), "stage": int(stage)}
            found |= {"first": int(index), "last": int(index)}
        elif job := _JOB_ID.search(text):
            found = {"job_id": job.group()}
    return replace(poison, **found)


def _ids_from_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    job_id = value.get("job_id")
    if isinstance(job_id, str) and _JOB_ID.fullmatch(job_id):
        found["job_id"] = job_id
    for key, largest in _LARGEST.items():
        number = value.get(key)
        if type(number) is int and 0 <= number <= largest:
            found[key] = number
    if not found.get("first", 0) <= found.get("last", 0) or ("first" in found) != ("last" in found):
        found.pop("first", None)
        found.pop("last", None)
    return found if "job_id" in found else {}


def _excerpt(body: bytes) -> str:
    # Redacted before it is cut, so that the cut cannot hide what a secret is recognised by.
    text = body[: RAW_CHARACTERS * 8].decode("utf-8", errors="replace")
    return redact(text, limit=2 * len(text) + RAW_CHARACTERS)[:RAW_CHARACTERS]
