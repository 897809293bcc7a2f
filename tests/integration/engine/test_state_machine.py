"""Any sequence of steps, by several workers at once, does to the database what it does to the model.

Refusals are compared like everything else: a step that must not be possible answers so, leaves every row
as it was, and leaves no event. Two steps at once must do what they do one after the other, in some order;
a step that is rolled back, as when its process dies before the commit, does nothing.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from itertools import combinations
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg.rows import dict_row
from pydantic import SecretStr

from engine.observing import Observer
from engine.reconciliation import Reconciler
from interfaces.jobs import ClaimedPlan
from interfaces.settings import Settings
from interfaces.tracing import NO_TRACING
from repositories.outbox import OutboxRepository
from repositories.signals import SignalRepository
from tests.doubles.memory_queues import MemoryQueues

from . import protocol_database as database
from .protocol_draws import EVERY_KIND, JOBS, MOST_TASKS, likely_steps
from .protocol_model import NOTHING, SWEEPING, TERMINAL, TOTAL_STAGES, UNSEEN, Model, StageKey, Untouchable
from .protocol_session import Session, Token, Tokens, fence_of, key_of
from .protocol_steps import (
    Answer,
    Cancel,
    Claim,
    ClaimPlan,
    Complete,
    FailTasks,
    FanOut,
    Finish,
    FinishStage,
    ReconcileLeases,
    ReconcilePlans,
    ReleasePlan,
    Retry,
    Step,
    Submit,
    Sweep,
    refused,
)

POLL_SECONDS = 0.002
STUCK_SECONDS = 20.0
HOLD = timedelta(minutes=10)


class ProtocolMachine(RuleBasedStateMachine):
    """Three sessions on one database, and the model beside it."""

    def __init__(self, url: str, seen: Counter[tuple[type, str]]) -> None:
        super().__init__()
        self._seen = seen
        options = Settings(database_url=SecretStr(url), database_pool_size=2)
        self.admin = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self.sessions = [Session(options, f"worker-{n}") for n in range(3)]
        self.outbox = OutboxRepository(self.sessions[2].database)
        self.reconciler = Reconciler(
            options,
            self.sessions[2].recovery,
            self.sessions[2].stages,
            MemoryQueues(),
            SignalRepository(self.sessions[2].database),
            Observer(NO_TRACING, self.sessions[2].stages),
            "reconciler",
        )
        self.thread = ThreadPoolExecutor(1)
        self.model = Model()
        self.tokens = Tokens()
        self.fences: dict[int, int] = {}
        self.failed = False
        database.forget_everything(self.admin)
        self.newest = database.snapshot(self.admin, 0)[1]

    # The rules

    @initialize(
        count=st.integers(1, MOST_TASKS),
        fraction=st.sampled_from([None, 1.0, 0.5]),
        planner_dies=st.booleans(),
    )
    def a_job_is_planned(self, count: int, fraction: float | None, planner_dies: bool) -> None:
        key = (JOBS[0], 1, 1)
        self._do(Submit(JOBS[0], rerun=False))
        self._do(ClaimPlan(key))
        if planner_dies:
            database.end_of_plan_leases(self.admin, self.model)
            self._do(ReconcilePlans())
            self._do(ClaimPlan(key))
        self._do(FanOut(self.tokens.plans[-1], count, fraction))

    @rule(data=st.data(), worker=st.integers(0, 1))
    def one_step(self, data: st.DataObject, worker: int) -> None:
        self._do(data.draw(likely_steps(self.model, self.tokens)), worker)

    @rule(data=st.data(), worker=st.integers(0, 1))
    def another_step(self, data: st.DataObject, worker: int) -> None:
        self._do(data.draw(likely_steps(self.model, self.tokens)), worker)

    @rule(commits=st.booleans(), job_id=st.sampled_from(JOBS))
    def nothing_is_claimed_once_a_job_is_cancelled(self, commits: bool, job_id: str) -> None:
        claim = Claim(self._current(job_id), 0, MOST_TASKS)
        self._race(Cancel(job_id), claim, commits)
        if commits:
            self._do(claim)

    @rule(commits=st.booleans(), job_id=st.sampled_from(JOBS))
    def a_stage_is_finished_while_its_job_is_retried(self, commits: bool, job_id: str) -> None:
        """The first look of whoever finishes it sees no unfinished task; the second must."""
        if job_id in self.model.jobs and self.model.jobs[job_id].status in TERMINAL:
            self._race(Retry(job_id), FinishStage(self._current(job_id)), commits)

    @rule(parity=st.integers(0, 1), noticed=st.booleans())
    def leases_end(self, parity: int, noticed: bool) -> None:
        database.end_of_leases(self.admin, self.model, parity)
        database.end_of_plan_leases(self.admin, self.model)
        self._check([])
        if noticed:
            self._do(ReconcileLeases())

    @rule(data=st.data(), commits=st.booleans())
    def two_steps_at_once(self, data: st.DataObject, commits: bool) -> None:
        likely = likely_steps(self.model, self.tokens)
        self._race(data.draw(likely), data.draw(likely), commits)

    @rule(fate=st.sampled_from(["sent", "judged", "judged", "not sent", "died"]))
    def the_relay_takes_dispatches(self, fate: str) -> None:
        taken = [dispatch.dispatch_id for dispatch in self.outbox.take(None, 10, HOLD)]
        if fate == "sent":
            self.outbox.mark_sent(taken, HOLD, HOLD)
        elif fate == "judged":
            # Time to look whether anybody took the work up.
            self.outbox.mark_sent(taken, timedelta(0), timedelta(0))
            self.sessions[2].recovery.vanished_messages()
        elif fate == "not sent":
            self.outbox.release(taken)
        self._check([])

    @rule()
    def an_hour_passes_before_the_reconciler_runs(self) -> None:
        database.hour_passes(self.admin, self.model)
        self.reconciler.run()
        self.model.reconcile_plans()
        self.model.reconcile_leases()
        self.model.advance_stalled()
        self._check([], late=True)

    def teardown(self) -> None:
        """From every state that was reached, every job ends."""
        try:
            if not self.failed:
                for _ in range(30):
                    if all(job.status in TERMINAL for job in self.model.jobs.values()):
                        break
                    self._go_on()
                else:
                    raise AssertionError(f"not ended: {self.model.jobs}")
        finally:
            self.admin.close()
            self.thread.shutdown()
            for session in self.sessions:
                session.database.close()

    # How a step is done, and judged

    def _do(self, step: Step, worker: int = 0) -> None:
        session = self.sessions[worker]
        session.claimed = []
        answer = step.perform(session)
        self._check([(step, answer)], worker)

    def _race(self, first: Step, second: Step, commits: bool) -> None:
        """The second step begins while the first has not committed, and may have to wait for it."""
        holder, other = self.sessions[:2]
        holder.claimed, other.claimed = [], []
        with holder.database.holding() as connection:
            before = first.perform(holder)
            running = self.thread.submit(second.perform, other)
            # Not for some time: what happens must depend on the steps alone, or Hypothesis cannot repeat it.
            while not running.done() and not database.somebody_waits(self.admin):
                wait([running], POLL_SECONDS)
            if commits:
                connection.commit()
        after = running.result(STUCK_SECONDS)
        if commits:
            self._check([(first, before), (second, after)], 0, 1, racing=True)
        else:
            holder.claimed = []
            self._check([(second, after)], 1, racing=True)

    def _check(
        self, done: list[tuple[Step, Answer]], *workers: int, racing: bool = False, late: bool = False
    ) -> None:
        """The steps answered, and left the database, as the model does in some order."""
        self.failed = True
        found, self.newest = database.snapshot(self.admin, self.newest)
        claimed = [claim for worker in workers for claim in self.sessions[worker].claimed]
        names = [self.sessions[worker].name for worker in workers]
        actors = [(*what, name) for what, name in zip(done, names, strict=True)]
        expected = []
        for model in _histories(self.model, actors, racing):
            fences = dict(self.fences)
            fences |= {model.issued[key_of(c)]: fence_of(c) for c in claimed if key_of(c) in model.issued}
            expected.append(database.expected(model, fences))
            if expected[-1] == found:
                self._adopt(model, fences, done, workers)
                break
        else:
            raise AssertionError(f"did {done}\nfound    {found}\nexpected {expected}\nafter {self.model}")
        if not late:
            database.stand_still(self.admin)
        assert database.problems(self.admin) == []
        self.failed = False

    def _adopt(
        self, model: Model, fences: dict[int, int], done: list[tuple[Step, Answer]], workers: tuple[int, ...]
    ) -> None:
        for worker in workers:
            batch = [Token(model.issued[key_of(claim)], claim) for claim in self.sessions[worker].claimed]
            if batch and isinstance(batch[0].real, ClaimedPlan):
                self.tokens.plans += batch
            elif batch:
                self.tokens.batches.append(batch)
        for step, answer in done:
            self._seen[type(step), "refused" if refused(answer) else "done"] += 1
        self.model, self.fences = model, fences
        model.events.clear()
        model.issued.clear()

    def _current(self, job_id: str) -> StageKey:
        job = self.model.jobs.get(job_id)
        return (job_id, job.run, job.stage) if job else (job_id, 1, 1)

    def _go_on(self) -> None:
        self.an_hour_passes_before_the_reconciler_runs()
        for job_id, job in self.model.jobs.items():
            key = (job_id, job.run, job.stage)
            if job.status in TERMINAL:
                continue
            if key not in self.model.stages:
                plans = len(self.tokens.plans)
                self._do(ClaimPlan(key))
                for plan in self.tokens.plans[plans:]:
                    self._do(Complete(plan) if key[2] > TOTAL_STAGES else FanOut(plan, 2, None))
            elif self.model.stages[key].unfinished:
                batches = len(self.tokens.batches)
                self._do(Claim(key, 0, MOST_TASKS))
                for batch in self.tokens.batches[batches:]:
                    self._do(Finish(tuple(batch), ("completed",) * len(batch), 0.0))
            else:
                self._do(FinishStage(key))


def _histories(model: Model, done: list[tuple[Step, Answer, str]], racing: bool) -> Iterator[Model]:
    """What the model may be after these steps, in any order in which they answer what they answered."""
    if not done:
        yield copy.deepcopy(model)
    for n, (step, answer, worker) in enumerate(done):
        for skipped in _skipped(model, step, answer) if racing else [NOTHING]:
            after = copy.deepcopy(model)
            after.worker = worker
            if step.predict(after, skipped) == answer:
                yield from _histories(after, done[:n] + done[n + 1 :], racing)


def _skipped(model: Model, step: Step, answer: Answer) -> Iterable[Untouchable]:
    """What the step may have left out: rows that the other holds locked, and what that did not commit."""
    if isinstance(step, Finish | FailTasks):
        return [NOTHING, frozenset({UNSEEN})]
    if isinstance(step, Sweep):
        return [NOTHING, frozenset({SWEEPING})]
    if isinstance(step, Claim) and isinstance(answer, list):
        taken = {index for index, _ in answer}
        due = [i for s in (False, True) for i in model.claimable(step.key, step.first, step.last, suspects=s)]
        return [frozenset((*step.key, index) for index in due if index not in taken)]
    held: list[object] = []
    if isinstance(step, ReconcileLeases):
        rows = model.stages.items()
        held = [(*key, n) for key, row in rows for n, task in enumerate(row.tasks) if task.lease_over]
    elif isinstance(step, ReconcilePlans):
        held = [job_id for job_id, job in model.jobs.items() if job.plan_fence is not None]
    return (frozenset(some) for n in range(len(held) + 1) for some in combinations(held, n))


def _explore(url: str, **budget: Any) -> Counter[tuple[type, str]]:
    """Run the machine; answers how often each kind of step was done, and refused."""
    seen: Counter[tuple[type, str]] = Counter()
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        lambda: ProtocolMachine(url, seen),  # type: ignore[arg-type]  # the docstring allows a function
        settings=settings(deadline=None, suppress_health_check=checks, **budget),
    )
    return seen


def _every(*kinds: type) -> set[tuple[type, str]]:
    return {(kind, how) for kind in kinds for how in ("done", "refused")}


def test_the_database_does_what_the_model_does(database_url: str) -> None:
    seen = _explore(database_url, max_examples=20, stateful_step_count=40)
    # The rest of the kinds come up too, but not for certain in so few examples.
    usual = _every(Submit, Cancel, Retry, ClaimPlan, FanOut, Claim, Finish, FinishStage, ReconcilePlans)
    assert usual - set(seen) - {(ReconcilePlans, "refused")} == set()


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_the_database_does_what_the_model_does_however_long_one_looks(database_url: str) -> None:
    seen = _explore(database_url, max_examples=400, stateful_step_count=80)
    assert _every(*EVERY_KIND) - set(seen) - {(ReleasePlan, "done")} == set()
