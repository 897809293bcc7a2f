"""Submitting and steering jobs: what a person asks for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import rfc8785
from pydantic import BaseModel, JsonValue, ValidationError

from interfaces.access import current_caller
from interfaces.allow_lists import AllowLists
from interfaces.callbacks import CallbackRequest
from interfaces.contracts import JobId, JsonObject
from interfaces.costs import DryRun
from interfaces.errors import (
    Conflict,
    FieldError,
    InvalidParameters,
    InvalidRequest,
    PayloadTooLarge,
    RoleNeeded,
)
from interfaces.follow_ups import LONGEST_CHAIN, RESULT_DOCUMENT, FollowUps, Then
from interfaces.jobs import Changed, JobTypeInfo, Link, NewJob, StageInfo, Submitted
from interfaces.settings import Settings
from interfaces.states import JobStatus
from interfaces.templates import TemplateError, check
from interfaces.tracing import current_traceparent
from interfaces.workflows import JobController, JobTypes
from repositories.jobs import JobRepository
from repositories.stages import SWEEP_PAGE, StageRepository

from .callbacks import Callbacks
from .foreseeing import Foresight
from .identity import job_id
from .planning import Planner
from .relay import Relay

SWEEP_SECONDS = 1.0
"""How long whoever cancels a job waits for its tasks to be cancelled, beyond the first ten thousand."""


class Submission:
    """Validates what is asked, gives it its id, and writes it down once."""

    def __init__(
        self,
        settings: Settings,
        job_types: JobTypes,
        jobs: JobRepository,
        stages: StageRepository,
        relay: Relay,
        planner: Planner,
        foresight: Foresight,
        callbacks: Callbacks,
    ) -> None:
        self._settings = settings
        self._allowed = AllowLists(settings)
        self._job_types = job_types
        self._jobs = jobs
        self._stages = stages
        self._relay = relay
        self._planner = planner
        self._foresight = foresight
        self._callbacks = callbacks

    def submit(
        self,
        job_type: str,
        parameters: object,
        *,
        rerun: bool,
        correlation_id: str,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> Submitted:
        """Insert the job, or find that it is there.

        Who is told of its run, and what follows it, are no part of its identity. Raises `UnknownJobType`,
        `InvalidParameters`, `PayloadTooLarge`, `InvalidRequest` for what is asked for besides.
        """
        job = replace(self.prepare(job_type, parameters), correlation_id=correlation_id, rerun=rerun)
        return self._submit(job, callback, then)

    def _submit(self, job: NewJob, callback: CallbackRequest | None, then: Then | None) -> Submitted:
        submitted = self._jobs.submit(
            replace(
                job,
                traceparent=current_traceparent(),
                callback=self._callbacks.checked(callback) if callback is not None else None,
                then=link(self._checked(then)) if then is not None else None,
            )
        )
        if submitted.created:
            self._relay.drain(submitted.job_id)
        return submitted

    def prepare(self, job_type: str, parameters: object, field: str = "") -> NewJob:
        """What is submitted: validated and complete with defaults, under its id.

        Raises as `submit` does; errors name their fields below `field`.
        """
        try:
            controller, normal = self._asked(job_type, parameters)
            return NewJob(job_id(job_type, normal), job_type, normal, total_stages=len(controller.stages))
        except InvalidParameters as error:
            if not field:
                raise
            errors = [
                FieldError(field=field if e.field == "(body)" else f"{field}.{e.field}", reason=e.reason)
                for e in error.errors
            ]
            named = "; ".join(f"{e.field}: {e.reason}" for e in errors) or f"{field}: {error.detail}"
            raise InvalidParameters(named, errors=errors) from error

    def check_template(self, job_type: str, parameters: JsonObject, roots: Sequence[str], field: str) -> None:
        """Look at parameters of which some are filled in later: all that can be known of them now.

        Raises `UnknownJobType`, `InvalidRequest` and `InvalidParameters` naming the field.
        """
        controller = self._controller(job_type)
        try:
            later = {name for name, value in parameters.items() if check(value, roots, name)}
        except TemplateError as error:
            place = f"{field}.{error.field}"
            reason = FieldError(field=place, reason=error.reason)
            raise InvalidRequest(f"{place}: {error.reason}", errors=[reason]) from None
        known = {name: value for name, value in parameters.items() if name not in later}
        try:
            self.prepare(job_type, known, field)
        except InvalidParameters as error:
            # What is said of a field that is there only later, or of all together, may not hold then.
            told = [e for e in error.errors if e.field.removeprefix(f"{field}.").split(".")[0] not in later]
            told = [e for e in told if not (later and e.field == field)]
            if told or not later:
                text = "; ".join(f"{e.field}: {e.reason}" for e in told) or error.detail
                raise InvalidParameters(text, errors=told) from None
        unknown = later.difference(controller.parameters_model.model_fields)
        if unknown:
            place = f"{field}.{min(unknown)}"
            reason = FieldError(field=place, reason="Extra inputs are not permitted")
            raise InvalidParameters(f"{place}: {reason.reason}", errors=[reason])

    def _checked(self, then: Then) -> Then:
        """What follows, if it can. Raises `InvalidRequest`, `UnknownJobType`, `InvalidParameters`."""
        for depth, (field, one) in enumerate(then.chain(), 1):
            if depth > LONGEST_CHAIN:
                reason = f"a chain has at most {LONGEST_CHAIN} jobs after the first"
                raise InvalidRequest(f"{field}: {reason}", errors=[FieldError(field=field, reason=reason)])
            try:
                self.check_template(one.job_type, one.parameters, RESULT_DOCUMENT, f"{field}.parameters")
            except InvalidParameters as error:
                # These are not the parameters of the job that is submitted.
                raise InvalidRequest(error.detail, errors=error.errors) from error
            self.callback(one, field)
        return then

    def callback(self, asked: FollowUps, field: str = "") -> CallbackRequest | None:
        """Who is to be told. Raises `InvalidRequest` for an address that is not allowed."""
        below = f"{field}." if field else ""
        request = asked.callback()
        if request is not None:
            return self._callbacks.checked(request, f"{below}callback_url")
        if asked.callback_events is not None:
            place, reason = f"{below}callback_events", "is given without a callback_url"
            raise InvalidRequest(f"{place}: {reason}", errors=[FieldError(field=place, reason=reason)])
        return None

    def check_follow_ups(self, asked: FollowUps) -> None:
        """Look at what is asked for beside a job, as far as it can be known. Raises as `submit` does."""
        self.callback(asked)
        if asked.then is not None:
            self._checked(asked.then)

    def dry_run(
        self,
        job_type: str,
        parameters: object,
        *,
        rerun: bool,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> DryRun:
        """What `submit` would do, which is not done. Raises as it does."""
        controller, normal = self._asked(job_type, parameters)
        if callback is not None:
            self._callbacks.checked(callback)
        if then is not None:
            self._checked(then)
        return self._foresight.dry_run(job_id(job_type, normal), controller, normal, rerun=rerun)

    def rerun(
        self,
        job_id: JobId,
        *,
        correlation_id: str,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> Submitted:
        """Start a new run of an ended job. Raises `Conflict` while it is live, and as `submit` does."""
        job_type, parameters = self._jobs.request(job_id)
        job = replace(
            self.prepare(job_type, parameters), correlation_id=correlation_id, rerun=True, new_run_only=True
        )
        submitted = self._submit(job, callback, then)
        if submitted.job_id != job_id:
            # A release changed the defaults: the same request has another id now.
            return submitted
        if not submitted.created:
            raise Conflict(f"the job is {submitted.status}; only an ended job can be run again")
        return submitted

    def cancel(self, job_id: JobId) -> Changed:
        """Stop the job: nothing more is claimed after this returns. Raises `Conflict` when it has ended."""
        changed = self._jobs.cancel(job_id)
        if not changed.changed:
            if changed.status in (JobStatus.CANCELLING, JobStatus.CANCELLED):
                return changed
            raise Conflict(f"the job is {changed.status} already; there is nothing to cancel")
        place = (job_id, changed.run, changed.stage)
        if self._stages.sweep(*place, within=SWEEP_SECONDS) >= SWEEP_PAGE:
            # What is left is gone on with by a message.
            self._relay.drain(job_id)
        self._planner.advance(*place)
        return changed

    def retry(self, job_id: JobId, *, correlation_id: str) -> Changed:
        """Queue the failed and cancelled tasks of an ended job again. Raises `Conflict` for other states."""
        changed = self._jobs.retry(job_id, correlation_id, current_traceparent())
        if not changed.changed:
            raise Conflict(
                f"the job is {changed.status}; only failed, cancelled or partly failed jobs are retried"
            )
        # Where nothing had to be queued again, the stage has ended and the job can move at once.
        self._planner.advance(job_id, changed.run, changed.stage)
        self._relay.drain(job_id)
        return changed

    def types(self) -> list[JobTypeInfo]:
        """Every job type, with the JSON Schema of its parameters."""
        return [
            JobTypeInfo(
                job_type=controller.job_type,
                description=controller.description,
                needed_role=controller.parameters_model.needed_role.label,
                parameters_schema=controller.parameters_model.model_json_schema(),
                stages=[
                    StageInfo(number=n, key=s.key, task_type=s.task_type, on_failure=s.on_failure)
                    for n, s in enumerate(controller.stages, 1)
                ],
            )
            for controller in self._job_types.all()
        ]

    def _controller(self, job_type: str) -> JobController[Any]:
        """The controller, if the caller may ask for such jobs. What timers submit was asked for before.

        Raises `UnknownJobType`, `RoleNeeded`.
        """
        controller = self._job_types.get(job_type)
        caller, needed = current_caller(), controller.parameters_model.needed_role
        if caller is not None and not caller.principal.may(needed):
            raise RoleNeeded(f"{job_type}: {caller.principal.needs(needed)}")
        return controller

    def _asked(self, job_type: str, parameters: object) -> tuple[JobController[Any], JsonObject]:
        controller = self._controller(job_type)
        if not isinstance(parameters, dict):
            reason = f"must be a JSON object, not {type(parameters).__name__}"
            raise InvalidParameters(
                f"parameters: {reason}", errors=[FieldError(field="parameters", reason=reason)]
            )
        return controller, self._normalised(controller.parameters_model, parameters)

    def _normalised(self, model: type[BaseModel], parameters: dict[str, object]) -> JsonObject:
        """Parameters validated and complete with defaults, as JSON."""
        try:
            text = json.dumps(parameters, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
            size = len(text.encode())
        except (ValueError, RecursionError) as error:
            raise InvalidParameters(f"parameters: {error}") from error
        if size > self._settings.max_parameters_bytes:
            raise PayloadTooLarge(f"parameters exceed {self._settings.max_parameters_bytes} bytes of JSON")
        try:
            parsed = model.model_validate_json(text)
        except ValidationError as error:
            raise InvalidParameters.from_validation(error) from error
        self._allowed.check(parsed)
        return parsed.model_dump(mode="json")


def link(then: Then, depth: int = 1) -> Link:
    """What follows a run, as it is kept."""
    request: JsonValue = then.model_dump(mode="json", exclude_none=True)
    assert isinstance(request, dict)
    return Link(digest=hashlib.sha256(rfc8785.dumps(request)).hexdigest(), request=request, depth=depth)
