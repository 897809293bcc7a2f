"""The steps of the protocol: each predicts with the model what it will do, and does it in a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from interfaces.errors import JobNotFound
from interfaces.jobs import ClaimedPlan, ClaimedTask, NewJob, TaskReport
from interfaces.plans import Tasks
from interfaces.states import FailurePolicy, TaskStatus
from repositories.stages import NewStage

from .protocol_model import MAX_ATTEMPTS, MAX_PLANS, NOTHING, TOTAL_STAGES, Model, StageKey, Untouchable
from .protocol_session import Session, Token, stage_of

LEASE = timedelta(minutes=10)
"""Longer than an example takes: leases end when a rule says so."""

Answer = object


def refused(answer: Answer) -> bool:
    """Whether a step's answer says that nothing was to be done."""
    return not (answer[0] if isinstance(answer, tuple) else answer)


class Step(Protocol):
    """One transaction of the protocol."""

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        """What the step answers; the model moves on."""

    def perform(self, session: Session) -> Answer:
        """The same, really."""


@dataclass(frozen=True)
class Submit:
    job_id: str
    rerun: bool

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.submit(self.job_id, self.rerun)

    def perform(self, session: Session) -> Answer:
        done = session.jobs.submit(
            NewJob(self.job_id, "job", {}, total_stages=TOTAL_STAGES, rerun=self.rerun)
        )
        return done.created, done.run, str(done.status)


@dataclass(frozen=True)
class Cancel:
    job_id: str

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.cancel(self.job_id)

    def perform(self, session: Session) -> Answer:
        try:
            done = session.jobs.cancel(self.job_id)
        except JobNotFound:
            return None
        return done.changed, str(done.status)


@dataclass(frozen=True)
class Retry:
    job_id: str

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.retry(self.job_id)

    def perform(self, session: Session) -> Answer:
        try:
            done = session.jobs.retry(self.job_id, "")
        except JobNotFound:
            return None
        return done.changed, done.stage, str(done.status), done.tasks_queued


@dataclass(frozen=True)
class Fail:
    job_id: str
    run: int | None
    stage: int | None

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.fail(self.job_id, self.run, self.stage)

    def perform(self, session: Session) -> Answer:
        return session.jobs.fail(self.job_id, "broken", run=self.run, stage=self.stage)


@dataclass(frozen=True)
class ClaimPlan:
    key: StageKey

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.claim_plan(self.key)

    def perform(self, session: Session) -> Answer:
        job_id, run, stage = self.key
        plan = session.jobs.claim_plan(
            job_id, run, stage, worker=session.name, lease=LEASE, max_attempts=MAX_PLANS
        )
        session.claimed = [] if plan is None else [plan]
        return plan is not None


@dataclass(frozen=True)
class Planning:
    """What whoever holds, or held, the right to plan a stage does with it."""

    token: Token

    @property
    def plan(self) -> ClaimedPlan:
        assert isinstance(self.token.real, ClaimedPlan)
        return self.token.real


@dataclass(frozen=True)
class ReleasePlan(Planning):
    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        model.release_plan(stage_of(self.plan), self.token.fence)
        return None

    def perform(self, session: Session) -> Answer:
        session.jobs.release_plan(self.plan, "the database was away")
        return None


@dataclass(frozen=True)
class ExtendPlan(Planning):
    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.extend_plan(stage_of(self.plan), self.token.fence)

    def perform(self, session: Session) -> Answer:
        held = session.jobs.extend_plans([self.plan], LEASE)
        return held == {(self.plan.job_id, self.plan.plan_fence)}


@dataclass(frozen=True)
class FanOut(Planning):
    """`fraction` is None where one failed task fails the job."""

    count: int
    fraction: float | None

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.fan_out(stage_of(self.plan), self.token.fence, self.count, self.fraction)

    def perform(self, session: Session) -> Answer:
        policy = FailurePolicy.FAIL_JOB if self.fraction is None else FailurePolicy.CONTINUE
        return session.stages.fan_out(
            self.plan,
            Tasks([{"i": index} for index in range(self.count)]),
            NewStage("stage", "work", policy, self.fraction, MAX_ATTEMPTS, canary=0),
            worker=session.name,
            limit=100,
            batch_size=lambda n: 2,
            patience=LEASE,
        )


@dataclass(frozen=True)
class Complete(Planning):
    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.complete(stage_of(self.plan), self.token.fence)

    def perform(self, session: Session) -> Answer:
        return session.jobs.complete(self.plan, {"ok": True})


@dataclass(frozen=True)
class Claim:
    key: StageKey
    first: int
    last: int

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.claim(self.key, self.first, self.last, skipped)

    def perform(self, session: Session) -> Answer:
        claimed = session.tasks.claim(*self.key, self.first, self.last, worker=session.name, lease=LEASE)
        session.claimed = list(claimed)
        return [(task.task_index, task.attempt) for task in claimed]


@dataclass(frozen=True)
class Holding:
    """What whoever holds, or held, a batch of tasks does with it."""

    batch: tuple[Token, ...]

    @property
    def tasks(self) -> list[ClaimedTask]:
        return [token.real for token in self.batch if isinstance(token.real, ClaimedTask)]

    @property
    def key(self) -> StageKey:
        return stage_of(self.tasks[0])


@dataclass(frozen=True)
class Extend(Holding):
    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        held = zip(self.tasks, self.batch, strict=True)
        return {t.task_index for t, token in held if model.extend((*self.key, t.task_index), token.fence)}

    def perform(self, session: Session) -> Answer:
        return {task_key[3] for task_key in session.tasks.extend(self.tasks, LEASE)}


@dataclass(frozen=True)
class Finish(Holding):
    """An outcome for each task of the batch; None keeps it back."""

    outcomes: tuple[str | None, ...]
    delay: float

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        told = zip(self.tasks, self.batch, self.outcomes, strict=False)
        reports = [(t.task_index, token.fence, outcome, self.delay) for t, token, outcome in told if outcome]
        return model.finish(self.key, reports, skipped)

    def perform(self, session: Session) -> Answer:
        reports = [
            TaskReport(
                task_index=task.task_index,
                fence=task.fence,
                outcome=None if outcome in ("retry", "deferred") else TaskStatus(outcome),
                deferred=outcome == "deferred",
                result="{}" if outcome == "completed" else None,
                error=None if outcome == "completed" else outcome,
                delay_seconds=self.delay,
            )
            for task, outcome in zip(self.tasks, self.outcomes, strict=False)
            if outcome
        ]
        accepted = session.tasks.finish(*self.key, session.name, reports)
        return {index: str(status) for index, status in accepted.items()}


@dataclass(frozen=True)
class FinishStage:
    key: StageKey

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.finish_stage(self.key)

    def perform(self, session: Session) -> Answer:
        return session.stages.finish(*self.key, session.name)


@dataclass(frozen=True)
class Sweep:
    key: StageKey

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.sweep(self.key, skipped)

    def perform(self, session: Session) -> Answer:
        return session.stages.sweep(*self.key)


@dataclass(frozen=True)
class FailTasks:
    """What a message that cannot be processed does to the tasks that it names."""

    key: StageKey
    first: int
    last: int

    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return model.fail_tasks(self.key, self.first, self.last, skipped)

    def perform(self, session: Session) -> Answer:
        return session.recovery.fail_tasks(*self.key, self.first, self.last, "poison")


@dataclass(frozen=True)
class ReconcileLeases:
    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return sorted(model.reconcile_leases(skipped))

    def perform(self, session: Session) -> Answer:
        return sorted(session.recovery.ended_leases(LEASE, LEASE))


@dataclass(frozen=True)
class ReconcilePlans:
    def predict(self, model: Model, skipped: Untouchable = NOTHING) -> Answer:
        return sorted(model.reconcile_plans(skipped))

    def perform(self, session: Session) -> Answer:
        return sorted(session.recovery.dead_planners())
