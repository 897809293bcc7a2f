"""What the protocol's SQL is to do, as plain Python: the reference that the state machine compares with.

Each method is one committed transaction. It answers what the repository should answer and records the
events that the history should gain. Time is three booleans: a lease is over, a plan's lease is over, a
task is due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .protocol_rows import UNFINISHED, Job, Stage, Task

TERMINAL = {"completed", "completed_with_errors", "failed", "cancelled"}
MAX_ATTEMPTS = 3
MAX_PLANS = 4
TOTAL_STAGES = 2

StageKey = tuple[str, int, int]
"""(job_id, run, stage)."""
TaskKey = tuple[str, int, int, int]
Event = tuple[str, int, int | None, str, tuple[int, ...]]
"""(job_id, run, stage, event, task indexes)."""
Untouchable = frozenset[object]
"""Task keys and job ids whose rows another transaction holds: SKIP LOCKED passes them by."""
NOTHING: Untouchable = frozenset()
UNSEEN = "failures that another transaction has not committed"
"""Among what is untouchable: a policy is not judged by them."""
SWEEPING = "another transaction sweeps the same job"


@dataclass
class Model:
    """The whole database. Fences are numbers of its own, in the order in which claims are made."""

    jobs: dict[str, Job] = field(default_factory=dict)
    stages: dict[StageKey, Stage] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    fences: int = 0
    issued: dict[object, int] = field(default_factory=dict)
    """Fences that the last step handed out, by task or stage."""
    worker: str = ""
    """Who does the next step."""
    lost_plans: set[tuple[str, str]] = field(default_factory=set)
    """Processes, and jobs whose plan they lost."""

    def _fence(self, key: object) -> int:
        self.fences += 1
        self.issued[key] = self.fences
        return self.fences

    def _record(
        self, job_id: str, run: int, stage: int | None, event: str, tasks: Iterable[int] = ()
    ) -> None:
        self.events.append((job_id, run, stage, event, tuple(sorted(tasks))))

    def current(self, key: StageKey, *statuses: str) -> Job | None:
        """The job, if it is at that run and stage and in one of these states."""
        job = self.jobs.get(key[0])
        return job if job and (job.run, job.stage) == key[1:] and job.status in statuses else None

    # Jobs

    def submit(self, job_id: str, rerun: bool) -> tuple[bool, int, str]:
        job = self.jobs.get(job_id)
        if job is None:
            job = self.jobs[job_id] = Job()
            self._record(job_id, 1, 1, "submitted")
            return True, 1, "queued"
        again = {"failed", "cancelled"} | ({"completed", "completed_with_errors"} if rerun else set())
        if job.status not in again:
            return False, job.run, job.status
        self.jobs[job_id] = Job(run=job.run + 1)
        self._record(job_id, job.run + 1, 1, "run_submitted")
        return True, job.run + 1, "queued"

    def cancel(self, job_id: str) -> tuple[bool, str] | None:
        job = self.jobs.get(job_id)
        if job is None:
            return None
        if job.status not in UNFINISHED:
            return False, job.status
        job.status = "cancelling"
        self._record(job_id, job.run, job.stage, "job_cancelling")
        return True, "cancelling"

    def _end(self, job_id: str, status: str) -> None:
        job = self.jobs[job_id]
        job.status = status
        job.release_plan()
        self._record(job_id, job.run, None, f"job_{status}")

    def fail(self, job_id: str, run: int | None, stage: int | None) -> bool:
        job = self.jobs.get(job_id)
        if job is None or job.status not in UNFINISHED:
            return False
        if run not in (None, job.run) or stage not in (None, job.stage):
            return False
        row = self.stages.get((job_id, job.run, job.stage))
        if row is None:
            self._end(job_id, "failed")
        elif row.status == "processing":
            row.status = "failing"
            self._record(job_id, job.run, job.stage, "stage_failing")
        return True

    def retry(self, job_id: str) -> tuple[bool, int, str, int] | None:
        job = self.jobs.get(job_id)
        if job is None:
            return None
        if job.status not in ("failed", "cancelled", "completed_with_errors"):
            return False, job.stage, job.status, 0
        rows = {key[2]: row for key, row in self.stages.items() if key[:2] == (job_id, job.run)}
        first = min(
            (n for n, row in rows.items() if row.count("failed") + row.count("cancelled")), default=None
        )
        target = job.stage if first is None else first
        for later in [n for n in rows if n > target]:
            del self.stages[job_id, job.run, later]
        queued = []
        if first is not None:
            for index, task in enumerate(rows[first].tasks):
                if task.status in ("failed", "cancelled"):
                    rows[first].tasks[index] = Task(history=task.history)
                    queued.append(index)
        self.jobs[job_id] = Job("processing", job.run, target)
        self._record(job_id, job.run, target, "job_retried", queued)
        if target in rows:
            rows[target].status = "processing"
        return True, target, "processing", len(queued)

    # Planning

    def claim_plan(self, key: StageKey) -> bool:
        job = self.current(key, "queued", "processing")
        if job is None or key in self.stages or (job.plan_fence is not None and not job.plan_over):
            return False
        if job.plan_fence is not None:
            self._lose_plan(key[0])
        if job.plan_attempts >= MAX_PLANS:
            self._end(key[0], "failed")
            return False
        if job.status == "queued":
            self._record(*key, "job_started")
        job.status, job.plan_fence, job.plan_over = "processing", self._fence(key), False
        job.plan_attempts += 1
        job.plan_worker, job.plan_shared = self.worker, False
        if job.plan_attempts + job.plan_spared + job.plan_interruptions > 1:
            self._record(*key, "plan_repeated")
        return True

    def release_plan(self, key: StageKey, fence: int) -> None:
        job = self.jobs[key[0]]
        if job.plan_fence == fence:
            job.release_plan()
            job.plan_attempts -= 1
            job.plan_interruptions += 1
            self._record(key[0], job.run, job.stage, "plan_interrupted")

    def extend_plan(self, key: StageKey, fence: int) -> bool:
        job = self.jobs[key[0]]
        held = job.plan_fence == fence
        job.plan_over = job.plan_over and not held
        return held

    def fan_out(self, key: StageKey, fence: int, count: int, fraction: float | None) -> int | None:
        job = self.current(key, "processing")
        if job is None or job.plan_fence != fence or key in self.stages:
            return None
        job.release_plan()
        job.plan_attempts = job.plan_spared = job.plan_interruptions = 0
        self.stages[key] = Stage([Task() for _ in range(count)], fraction)
        self._record(*key, "stage_planned")
        return count

    def complete(self, key: StageKey, fence: int) -> bool:
        job = self.current(key, "processing")
        if job is None or job.plan_fence != fence:
            return False
        rows = [row for stage, row in self.stages.items() if stage[:2] == key[:2]]
        errors = any(row.status == "completed_with_errors" for row in rows)
        self._end(key[0], "completed_with_errors" if errors else "completed")
        return True

    # Tasks

    def claimable(self, key: StageKey, first: int, last: int, suspects: bool) -> list[int]:
        """Tasks of the range that are due; or the suspects that are."""
        row = self.stages.get(key)
        if row is None or row.status != "processing" or self.current(key, "processing") is None:
            return []
        named = list(enumerate(row.tasks))[first : last + 1]
        if suspects:
            return [i for i, t in named if t.suspicion == 2 and t.status == "queued" and t.due]
        return [i for i, t in named if t.suspicion < 2 and t.status == "queued" and t.due]

    def claim(
        self, key: StageKey, first: int, last: int, skipped: Untouchable = NOTHING
    ) -> list[tuple[int, int]]:
        taken = [i for i in self.claimable(key, first, last, suspects=False) if (*key, i) not in skipped]
        if not taken and not self._runs_suspect():
            suspects = self.claimable(key, first, last, suspects=True)[:1]
            taken = [i for i in suspects if (*key, i) not in skipped]
        for index in taken:
            task = self.stages[key].tasks[index]
            task.status, task.attempt, task.lease_over = "processing", task.attempt + 1, False
            task.fence, task.worker = self._fence((*key, index)), self.worker
        if taken:
            self._record(*key, "tasks_claimed", taken)
        return [(index, self.stages[key].tasks[index].attempt) for index in taken]

    def _running(self) -> list[Task]:
        return [task for row in self.stages.values() for task in row.tasks if task.status == "processing"]

    def _runs_suspect(self) -> bool:
        return any(task.worker == self.worker and task.suspicion == 2 for task in self._running())

    def held(self, key: TaskKey, fence: int) -> Task | None:
        """The task, if this attempt still owns it."""
        row = self.stages.get(key[:3])
        task = row.tasks[key[3]] if row and key[3] < len(row.tasks) else None
        return task if task and task.status == "processing" and task.fence == fence else None

    def extend(self, key: TaskKey, fence: int) -> bool:
        task = self.held(key, fence)
        if task is not None:
            task.lease_over = False
        return task is not None

    def finish(
        self, key: StageKey, reports: list[tuple[int, int, str, float]], skipped: Untouchable = NOTHING
    ) -> dict[int, str]:
        """Reports are (task index, fence, outcome, delay); the outcome may be `retry` or `deferred`."""
        row, job = self.stages.get(key), self.jobs[key[0]]
        if row is None or (job.run, job.stage) != key[1:]:
            return {}
        accepted, events = {}, dict[str, list[int]]()
        for index, fence, outcome, delay in reports:
            task = self.held((*key, index), fence)
            if task is None:
                continue
            status, again = outcome, {"retry": "retried"}.get(outcome, outcome)
            if outcome in ("retry", "deferred"):
                may_retry = job.status == row.status == "processing"
                swept = outcome == "deferred" or job.status == "cancelling"
                status = "queued" if may_retry else "cancelled" if swept else "failed"
            elif outcome == "cancelled" and job.status != "cancelling":
                status = "failed"
            task.attempt -= outcome == "deferred"
            task.due = status != "queued" or delay == 0
            in_a_row = outcome == "deferred" and task.history[-1:] == ["deferred"]
            self._leave(task, status, None if status == "completed" or in_a_row else outcome)
            accepted[index] = status
            events.setdefault(again if status == "queued" else status, []).append(index)
        for event, indexes in events.items():
            self._record(*key, f"tasks_{event}", indexes)
        self._check_policy(key, "failed" in accepted.values() and UNSEEN not in skipped)
        return accepted

    def _leave(self, task: Task, status: str, history: str | None) -> None:
        task.status, task.lease_over = status, False
        task.fence = task.fence if status == "completed" else None
        if history:
            task.history.append(history)

    def _check_policy(self, key: StageKey, failed: bool) -> None:
        row = self.stages.get(key)
        if failed and row is not None and row.status == "processing" and row.broken:
            row.status = "failing"
            self._record(*key, "stage_failing")

    def fail_tasks(self, key: StageKey, first: int, last: int, skipped: Untouchable = NOTHING) -> int | None:
        row = self.stages.get(key)
        if self.current(key, "processing") is None or row is None:
            return None
        named = list(enumerate(row.tasks))[first : last + 1]
        ended = [(index, task) for index, task in named if task.status in UNFINISHED]
        if not ended:
            return 0 if named else None
        for _, task in ended:
            self._leave(task, "failed", None)
        self._record(*key, "tasks_failed", [index for index, _ in ended])
        self._check_policy(key, UNSEEN not in skipped)
        return len(ended)

    # The end of a stage

    def finish_stage(self, key: StageKey) -> bool:
        row = self.stages.get(key)
        job = self.current(key, "processing", "cancelling")
        if job is None or (row is not None and row.unfinished):
            return False
        if row is None:
            if job.status == "cancelling":
                self._end(key[0], "cancelled")
                return True
            return False
        if job.status == "cancelling":
            row.status = "cancelled"
        elif row.status == "failing" or row.broken:
            row.status = "failed"
        else:
            row.status = "completed_with_errors" if row.count("failed") else "completed"
        self._record(*key, f"stage_{row.status}")
        if row.status in ("cancelled", "failed"):
            self._end(key[0], row.status)
        else:
            self.jobs[key[0]] = Job("processing", job.run, job.stage + 1)
        return True

    def sweep(self, key: StageKey, skipped: Untouchable = NOTHING) -> int:
        row, job = self.stages.get(key), self.current(key, "processing", "cancelling")
        self._check_policy(key, row is not None)
        if row is None or job is None or (job.status == "processing" and row.status != "failing"):
            return 0
        if SWEEPING in skipped:
            return 0
        swept = [index for index, task in enumerate(row.tasks) if task.status == "queued"]
        for index in swept:
            self._leave(row.tasks[index], "cancelled", None)
        if swept:
            self._record(*key, "tasks_cancelled", swept)
        return len(swept)

    # Recovery

    def reconcile_leases(self, skipped: Untouchable = NOTHING) -> list[StageKey]:
        moved = []
        held = Counter(task.worker for task in self._running())
        held.update(worker for worker, _ in self.lost_plans | self._held_plans())
        alive = {task.worker for task in self._running() if not task.lease_over}
        for key, row in sorted(self.stages.items()):
            by_status: dict[str, list[int]] = {}
            for index, task in enumerate(row.tasks):
                ended = task.status == "processing" and task.worker not in alive
                if ended and (*key, index) not in skipped:
                    status = self._lose_lease(key, task, shared=held[task.worker] > 1)
                    by_status.setdefault(status, []).append(index)
                    moved.append(key)
            for indexes in by_status.values():
                self._record(*key, "leases_lost", indexes)
            self._check_policy(key, "failed" in by_status)
        return moved

    def _lose_lease(self, key: StageKey, task: Task, shared: bool) -> str:
        """What a process held alone pays with an attempt; of several, none of them twice."""
        cancelling, failing = self.jobs[key[0]].status == "cancelling", self.stages[key].status == "failing"
        spared = shared and task.suspicion < 2 and not cancelling and not failing
        spent = task.attempt >= MAX_ATTEMPTS and not spared
        status = "cancelled" if cancelling else "failed" if failing or spent else "queued"
        self._leave(task, status, "lease_lost")
        task.attempt -= spared
        task.suspicion = task.suspicion + 1 if spared else 2
        task.due = True
        return status

    def _planner_holds_more(self, job_id: str) -> bool:
        worker = self.jobs[job_id].plan_worker
        others = {job for holder, job in self._held_plans() if holder == worker} - {job_id}
        return any(task.worker == worker for task in self._running()) or bool(others)

    def _held_plans(self) -> set[tuple[str, str]]:
        """Processes, and jobs whose plan they hold."""
        return {(job.plan_worker, key) for key, job in self.jobs.items() if job.plan_fence is not None}

    def _lose_plan(self, job_id: str) -> None:
        """What died with others is held against the plan from the third time on."""
        job = self.jobs[job_id]
        spared = job.plan_spared < 2 and (job.plan_shared or self._planner_holds_more(job_id))
        self.lost_plans.add((job.plan_worker, job_id))
        job.release_plan()
        job.plan_attempts -= spared
        job.plan_spared += spared
        self._record(job_id, job.run, job.stage, "plan_lease_lost")

    def reconcile_plans(self, skipped: Untouchable = NOTHING) -> list[StageKey]:
        live = {key: job for key, job in self.jobs.items() if job.status in UNFINISHED}
        planned = {key: job for key, job in live.items() if job.plan_fence is not None}
        over = {key for key, job in planned.items() if job.plan_over}
        for job_id, job in planned.items():
            lost = [task.worker for task in self._running() if task.lease_over]
            lost += [self.jobs[other].plan_worker for other in over - {job_id}]
            job.plan_shared = job.plan_shared or (job.plan_worker in lost and job_id not in skipped)
        moved = []
        for job_id in sorted(over - skipped):
            self._lose_plan(job_id)
            moved.append((job_id, self.jobs[job_id].run, self.jobs[job_id].stage))
        return moved

    def advance_stalled(self) -> None:
        """What the reconciler does about stages: sweep those that take no more claims, advance the ended."""
        for job_id in sorted(self.jobs):
            job = self.jobs[job_id]
            key = (job_id, job.run, job.stage)
            self.sweep(key)
            self.finish_stage(key)
