"""The job queue's work: plan a stage and fan it out, or make the job's result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from interfaces.allow_lists import AllowLists
from interfaces.contracts import JobId, JobParameters, JsonObject, StageResult, enforce_contract
from interfaces.errors import InvalidParameters, ServiceUnavailable
from interfaces.jobs import ClaimedPlan
from interfaces.plans import CompleteJob, FailJob, FanOut, StageDefinition, StagePlan
from interfaces.queues import JobMessage, TaskMessage
from interfaces.settings import Settings
from interfaces.workflows import JobController, JobTypes, TaskResults, TaskTypes
from repositories.jobs import JobRepository
from repositories.stages import NewStage, StageRepository, TooManyTasks

from .batching import Batching
from .leases import LeaseKeeper
from .observing import Observer
from .patience import patient
from .redaction import describe, trace
from .relay import Relay

logger = logging.getLogger(__name__)


class Planner:
    """Carries out what controllers plan."""

    def __init__(
        self,
        settings: Settings,
        job_types: JobTypes,
        task_types: TaskTypes,
        jobs: JobRepository,
        stages: StageRepository,
        relay: Relay,
        leases: LeaseKeeper,
        observer: Observer,
        worker: str,
    ) -> None:
        self._settings = settings
        self._allowed = AllowLists(settings)
        self._job_types = job_types
        self._task_types = task_types
        self._jobs = jobs
        self._stages = stages
        self._relay = relay
        self._leases = leases
        self._observer = observer
        self._worker = worker

    def process(self, message: JobMessage) -> TaskMessage | None:
        """Plan the stage that the message names, if it is due.

        Answers a batch that whoever called should run at once (docs/adr/0003): it is dispatched like any
        other, but its message is not sent yet.

        Raises `ServiceUnavailable` when the work should be delivered again; every other error is the
        workflow's own and fails the job with its text.
        """
        plan = self._jobs.claim_plan(
            message.job_id,
            message.run,
            message.stage,
            worker=self._worker,
            lease=self._settings.lease,
            max_attempts=self._settings.max_plan_attempts,
        )
        if plan is None:
            logger.info("job %s run %d stage %d: nothing to plan", message.job_id, message.run, message.stage)
            return None
        try:
            with self._observer.planning(plan), self._leases.planning(plan):
                return self._try(plan)
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a workflow raises fails its job, loudly
            logger.error("job %s: stage %d not planned: %s", plan.job_id, plan.stage, trace(error))
            self._fail(plan, f"stage {plan.stage}: {describe(error, self._settings.max_error_characters)}")
            return None

    def advance(self, job_id: JobId, run: int, stage: int) -> TaskMessage | None:
        """Move the job on if this stage has ended, and plan what follows at once; answers as `process`.

        The dispatch that was committed with the move is only the safety net: a crash before the next
        stage is planned leaves it to the relay.
        """
        if not self._stages.finish(job_id, run, stage, self._worker):
            return None
        self._observer.stage_ended(job_id, run, stage)
        try:
            return self.process(JobMessage(job_id=job_id, run=run, stage=stage + 1))
        except ServiceUnavailable as error:
            logger.warning("job %s stage %d left to its message: %s", job_id, stage + 1, describe(error))
            self._relay.drain(job_id)
            return None

    def _try(self, plan: ClaimedPlan) -> TaskMessage | None:
        try:
            return self._carry_out(plan)
        except ServiceUnavailable as error:
            # With patience: what took this connection may have taken the next one too, and a plan that is not
            # given back looks like one whose planner died.
            patient(self._settings)(self._jobs.release_plan, plan, describe(error))
            raise

    def _carry_out(self, plan: ClaimedPlan) -> TaskMessage | None:
        controller = self._job_types.get(plan.job_type)
        parameters = parse(controller, plan.parameters)
        finished = self._stages.results(plan.job_id, plan.run)
        if plan.stage > plan.total_stages:
            result = checked(controller).aggregate(
                parameters, finished, lambda stage: self._stages.outcomes(plan.job_id, plan.run, stage)
            )
            self._complete(plan, result)
            return None
        if plan.stage > len(controller.stages):
            self._fail(plan, f"job type {plan.job_type} has no stage {plan.stage} any more")
            return None
        # What was allowed when it was submitted, or when the run that is repeated was, may not be any more.
        self._allowed.check(parameters, "parameters")
        previous = finished[plan.stage - 2] if plan.stage > 1 else None
        answer = checked(controller).plan(plan.stage, parameters, previous)
        if isinstance(answer, CompleteJob):
            self._complete(plan, dict(answer.result))
            return None
        if isinstance(answer, FailJob):
            self._fail(plan, answer.reason)
            return None
        return self._fan_out(plan, controller.stages[plan.stage - 1], answer)

    def _fan_out(self, plan: ClaimedPlan, definition: StageDefinition, fan_out: FanOut) -> TaskMessage | None:
        task_type = self._task_types.get(definition.task_type)
        fraction = fan_out.max_failed_fraction
        stage = NewStage(
            stage_key=definition.key,
            task_type=definition.task_type,
            on_failure=fan_out.on_failure or definition.on_failure,
            max_failed_fraction=definition.max_failed_fraction if fraction is None else fraction,
            max_attempts=task_type.retry.max_attempts,
            canary=fan_out.canary,
        )
        batching = Batching.of(task_type, fan_out, self._settings)
        try:
            count = self._stages.fan_out(
                plan,
                fan_out,
                stage,
                worker=self._worker,
                limit=self._settings.max_tasks_per_stage,
                batch_size=batching.size,
                patience=self._settings.lease,
            )
        except TooManyTasks as error:
            self._fail(plan, str(error))
            return None
        if count is None:
            logger.info("job %s run %d stage %d: overtaken", plan.job_id, plan.run, plan.stage)
            return None
        logger.info("job %s run %d stage %d: %d tasks", plan.job_id, plan.run, plan.stage, count)
        if count == 0:
            return self.advance(plan.job_id, plan.run, plan.stage)
        if batching.run_at_once(count) and not fan_out.canary:
            return TaskMessage(
                job_id=plan.job_id,
                run=plan.run,
                stage=plan.stage,
                first=0,
                last=count - 1,
                correlation_id=plan.correlation_id,
            )
        self._relay.drain(plan.job_id)
        return None

    def _complete(self, plan: ClaimedPlan, result: JsonObject) -> None:
        if self._jobs.complete(plan, result):
            logger.info("job %s run %d: completed", plan.job_id, plan.run)
            if plan.limited:
                # Another job of the type may start now.
                self._relay.drain()

    def _fail(self, plan: ClaimedPlan, error: str) -> None:
        if self._jobs.fail(plan.job_id, error, run=plan.run, stage=plan.stage):
            logger.warning("job %s run %d: failed: %s", plan.job_id, plan.run, error)


def parse(controller: JobController[Any], parameters: JsonObject) -> JobParameters:
    """Stored parameters as the controller's model.

    Raises `InvalidParameters` where a release changed the model since they were stored.
    """
    try:
        # From JSON text, because a strict model takes "2024-01-01" for a date only there.
        parsed: JobParameters = controller.parameters_model.model_validate_json(json.dumps(parameters))
    except ValidationError as error:
        raise InvalidParameters.from_validation(error, prefix="parameters") from error
    return parsed


@dataclass(frozen=True)
class Checked:
    """A controller's functions, held to their contracts."""

    plan: Callable[[int, JobParameters, StageResult | None], StagePlan]
    aggregate: Callable[[JobParameters, list[StageResult], TaskResults], JsonObject]


@lru_cache(maxsize=256)
def checked(controller: JobController[Any]) -> Checked:
    """Made once for each controller: the validators cost more than most plans."""

    def plan(stage: int, parameters: JobParameters, previous: StageResult | None) -> StagePlan:
        answer: StagePlan = controller.plan(stage, parameters, previous)
        return answer

    def aggregate(parameters: JobParameters, finished: list[StageResult], results: TaskResults) -> JsonObject:
        result: JsonObject = controller.aggregate(parameters, finished, results)
        return result

    name = type(controller).__name__
    plan.__qualname__, aggregate.__qualname__ = f"{name}.plan", f"{name}.aggregate"
    return Checked(enforce_contract(plan), enforce_contract(aggregate))
