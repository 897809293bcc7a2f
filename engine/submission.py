"""Submitting and steering jobs: what a person asks for."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from interfaces.containers import HOST_CONTAINERS, Written
from interfaces.contracts import JobId, JsonObject
from interfaces.costs import DryRun
from interfaces.errors import Conflict, FieldError, InvalidParameters, PayloadTooLarge
from interfaces.jobs import Changed, JobTypeInfo, StageInfo, Submitted
from interfaces.settings import Settings
from interfaces.states import JobStatus
from interfaces.tracing import current_traceparent
from interfaces.workflows import JobController, JobTypes
from repositories.jobs import JobRepository
from repositories.stages import SWEEP_PAGE, StageRepository

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
    ) -> None:
        self._settings = settings
        self._job_types = job_types
        self._jobs = jobs
        self._stages = stages
        self._relay = relay
        self._planner = planner
        self._foresight = foresight

    def submit(self, job_type: str, parameters: object, *, rerun: bool, correlation_id: str) -> Submitted:
        """Insert the job, or find that it is there.

        Raises `UnknownJobType`, `InvalidParameters`, `PayloadTooLarge`.
        """
        controller, normal = self._asked(job_type, parameters)
        submitted = self._jobs.submit(
            job_id(job_type, normal),
            job_type,
            normal,
            total_stages=len(controller.stages),
            correlation_id=correlation_id,
            rerun=rerun,
            traceparent=current_traceparent(),
        )
        if submitted.created:
            self._relay.drain(submitted.job_id)
        return submitted

    def dry_run(self, job_type: str, parameters: object, *, rerun: bool) -> DryRun:
        """What `submit` would do, which is not done. Raises as it does."""
        controller, normal = self._asked(job_type, parameters)
        return self._foresight.dry_run(job_id(job_type, normal), controller, normal, rerun=rerun)

    def rerun(self, job_id: JobId, *, correlation_id: str) -> Submitted:
        """Start a new run of an ended job. Raises `Conflict` while it is live."""
        job_type, parameters = self._jobs.request(job_id)
        submitted = self.submit(job_type, parameters, rerun=True, correlation_id=correlation_id)
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
                parameters_schema=controller.parameters_model.model_json_schema(),
                stages=[
                    StageInfo(number=n, key=s.key, task_type=s.task_type, on_failure=s.on_failure)
                    for n, s in enumerate(controller.stages, 1)
                ],
            )
            for controller in self._job_types.all()
        ]

    def _asked(self, job_type: str, parameters: object) -> tuple[JobController[Any], JsonObject]:
        controller = self._job_types.get(job_type)
        if not isinstance(parameters, dict):
            reason = f"must be a JSON object, not {type(parameters).__name__}"
            raise InvalidParameters(
                f"parameters: {reason}", errors=[FieldError(field="parameters", reason=reason)]
            )
        return controller, self._normalised(controller.parameters_model, parameters)

    def _normalised(self, model: type, parameters: dict[str, object]) -> JsonObject:
        """Parameters validated and complete with defaults, as JSON."""
        try:
            text = json.dumps(parameters, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
            size = len(text.encode())
        except (ValueError, RecursionError) as error:
            raise InvalidParameters(f"parameters: {error}") from error
        if size > self._settings.max_parameters_bytes:
            raise PayloadTooLarge(f"parameters exceed {self._settings.max_parameters_bytes} bytes of JSON")
        try:
            normal: JsonObject = model.model_validate_json(text).model_dump(mode="json")  # type: ignore[attr-defined]
        except ValidationError as error:
            raise InvalidParameters.from_validation(error) from error
        self._refuse_own_containers(model, normal)
        return normal

    def _refuse_own_containers(self, model: type, parameters: JsonObject) -> None:
        """What a job writes there would be removed as scratch, or taken for results."""
        settings = self._settings
        own = {
            settings.scratch_container: "scratch blobs",
            settings.results_container: "results",
            settings.retention_archive_container: "the archive of runs",
        }
        for field, info in model.model_fields.items():  # type: ignore[attr-defined]
            name = parameters.get(field)
            if not isinstance(name, str) or not any(isinstance(mark, Written) for mark in info.metadata):
                continue
            holds = "the host's data" if name.startswith(HOST_CONTAINERS) else own.get(name)
            if holds is not None:
                reason = f"{name} is this app's own container of {holds}; choose another one"
                raise InvalidParameters(f"{field}: {reason}", errors=[FieldError(field=field, reason=reason)])
