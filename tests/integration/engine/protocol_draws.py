"""How Hypothesis draws the next step: mostly about what is, sometimes about what was or never will be."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import strategies as st

from interfaces.jobs import ClaimedTask

from .protocol_model import TERMINAL, TOTAL_STAGES, Model, StageKey
from .protocol_session import Token, Tokens, stage_of
from .protocol_steps import (
    Cancel,
    Claim,
    ClaimPlan,
    Complete,
    Extend,
    ExtendPlan,
    Fail,
    FailTasks,
    FanOut,
    Finish,
    FinishStage,
    Holding,
    Planning,
    ReconcileLeases,
    ReconcilePlans,
    ReleasePlan,
    Retry,
    Step,
    Submit,
    Sweep,
)

JOBS = [hashlib.sha256(bytes([n])).hexdigest() for n in range(2)]
UNKNOWN = hashlib.sha256(b"no such job").hexdigest()
MOST_TASKS = 4
LATER = 3600.0
FRACTIONS = st.sampled_from([None, 1.0, 0.5])
OUTCOMES = ["completed", "completed", "completed", "failed", "retry", "deferred", "cancelled", None]

EVERY_KIND: list[type[Any]] = [
    *(Submit, Cancel, Retry, Fail),
    *(ClaimPlan, ReleasePlan, ExtendPlan, FanOut, Complete),
    *(Claim, Extend, Finish, FinishStage, Sweep, FailTasks),
    *(ReconcileLeases, ReconcilePlans),
]


def _offset(*others: int) -> st.SearchStrategy[int]:
    """Mostly 0: messages are mostly about what is."""
    return st.sampled_from([0, 0, 0, 0, 0, 0, *others])


@st.composite
def keys(draw: st.DrawFn, model: Model) -> StageKey:
    """A job's run and stage as a message may name them: mostly the current ones, also stale or made up."""
    job_id = draw(st.sampled_from([*JOBS, JOBS[0], UNKNOWN]))
    job = model.jobs.get(job_id)
    run, stage = (job.run, job.stage) if job else (1, 1)
    return job_id, max(1, run - draw(_offset(1, -1))), max(1, stage - draw(_offset(1, -1)))


def latest(tokens: list[Token]) -> st.SearchStrategy[Token]:
    """Mostly the newest."""
    return st.sampled_from([*tokens, *tokens[-1:] * 5, *tokens[-2:]])


@st.composite
def steps(draw: st.DrawFn, model: Model, tokens: Tokens) -> Any:
    """A step of any kind, of which some need a right that was once handed out."""
    possible = [
        kind
        for kind in EVERY_KIND
        if not (issubclass(kind, Planning) and not tokens.plans)
        and not (issubclass(kind, Holding) and not tokens.batches)
    ]
    kind = draw(st.sampled_from(possible))
    if issubclass(kind, Planning):
        token = draw(latest(tokens.plans))
        if kind is FanOut and stage_of(token.real)[2] > TOTAL_STAGES:
            # There is no such stage to plan: the planner makes the job's result.
            kind = Complete
        if kind is FanOut:
            return FanOut(token, draw(st.integers(0, MOST_TASKS)), draw(FRACTIONS))
        return kind(token)
    if issubclass(kind, Holding):
        batch = tuple(draw(st.sampled_from([*tokens.batches, *tokens.batches[-3:] * 3])))
        if kind is Finish:
            outcomes = st.lists(st.sampled_from(OUTCOMES), min_size=len(batch), max_size=len(batch))
            return Finish(batch, tuple(draw(outcomes)), draw(st.sampled_from([0.0, 0.0, LATER])))
        return kind(batch)
    if kind in (ReconcileLeases, ReconcilePlans):
        return kind()
    key = draw(keys(model))
    if kind is Submit:
        return Submit(draw(st.sampled_from(JOBS)), draw(st.booleans()))
    if kind in (Cancel, Retry):
        return kind(key[0])
    if kind is Fail:
        return Fail(key[0], *draw(st.sampled_from([key[1:], (None, None)])))
    if kind in (Claim, FailTasks):
        first = draw(st.sampled_from([0, 0, 0, 1, 2]))
        return kind(key, first, first + draw(st.integers(0, MOST_TASKS)))
    return kind(key)


def _owns(model: Model, token: Token) -> bool:
    task = token.real
    return (
        isinstance(task, ClaimedTask)
        and model.held((*stage_of(task), task.task_index), token.fence) is not None
    )


@st.composite
def useful_steps(draw: st.DrawFn, model: Model, tokens: Tokens) -> Step:
    """A step that a job in its state needs to get further, done by somebody who may do it."""
    job_id = draw(st.sampled_from([*JOBS, JOBS[0]]))
    count, fraction = draw(st.integers(0, MOST_TASKS)), draw(FRACTIONS)
    return draw(st.sampled_from(_useful(model, tokens, job_id, count, fraction)))


@st.composite
def tempting_steps(draw: st.DrawFn, model: Model, tokens: Tokens) -> Step:
    """A step that must be refused as things are, and would do harm: by whom a guard keeps out."""
    job_id = draw(st.sampled_from([*JOBS, JOBS[0]]))
    job = model.jobs.get(job_id)
    if job is None:
        return Cancel(job_id)
    key = (job_id, job.run, job.stage)
    tempting: list[Step] = [
        Claim(key, 0, MOST_TASKS),
        FinishStage(key),
        ClaimPlan(key),
        Cancel(job_id),
        Retry(job_id),
    ]
    if job.status != "processing":
        tempting += [Claim(key, 0, MOST_TASKS)] * 4
    for token in tokens.plans[-2:]:
        if stage_of(token.real) == key and token.fence != job.plan_fence:
            tempting += [Complete(token)] * 3 if job.stage > TOTAL_STAGES else [FanOut(token, 1, None)] * 3
    for batch in tokens.batches[-2:]:
        if stage_of(batch[0].real) == key and not any(_owns(model, token) for token in batch):
            late = Finish(tuple(batch), ("completed",) * len(batch), 0.0)
            tempting += [late, late, Extend(tuple(batch))]
    return draw(st.sampled_from(tempting))


def likely_steps(model: Model, tokens: Tokens) -> st.SearchStrategy[Step]:
    """Useful, tempting and any steps: few sequences of the latter alone get far, or near harm."""
    useful = useful_steps(model, tokens)
    return st.one_of(useful, useful, tempting_steps(model, tokens), steps(model, tokens))


def _useful(model: Model, tokens: Tokens, job_id: str, n: int, fraction: float | None) -> list[Step]:
    job = model.jobs.get(job_id)
    if job is None:
        return [Submit(job_id, rerun=False)]
    if job.status in TERMINAL:
        return [Retry(job_id), Submit(job_id, rerun=True)]
    key = (job_id, job.run, job.stage)
    row = model.stages.get(key)
    if row is None:
        useful = _useful_planning(key, [t for t in tokens.plans if t.fence == job.plan_fence], n, fraction)
        return [*useful, ReconcilePlans(), ReconcilePlans()] if job.plan_over else useful
    if not row.unfinished:
        return [FinishStage(key)]
    takes_claims = job.status == row.status == "processing"
    useful = [Claim(key, 0, n), Claim(key, 0, n)] if takes_claims else [Sweep(key)]
    if any(task.lease_over for task in row.tasks):
        useful += [ReconcileLeases(), ReconcileLeases()]
    for batch in tokens.batches:
        if any(_owns(model, token) for token in batch):
            outcomes = [OUTCOMES[(n + index) % len(OUTCOMES)] for index in range(len(batch))]
            useful += [Finish(tuple(batch), tuple(outcomes), 0.0), Extend(tuple(batch))]
    return useful


def _useful_planning(key: StageKey, held: list[Token], n: int, fraction: float | None) -> list[Step]:
    if not held:
        return [ClaimPlan(key)]
    done = Complete(held[0]) if key[2] > TOTAL_STAGES else FanOut(held[0], n, fraction)
    return [done, done, ExtendPlan(held[0])]
