"""Says in plain words why a job is where it is, and what a person can do about it.

Facts go in, text comes out: nothing is asked here. Each thing that can keep a job has its own function, which
answers reasons or none; their order is that of importance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from interfaces.breakers import BreakerState, BreakerStatus
from interfaces.explanations import Dispatches, Explanation, JobFacts, Reason, Repair
from interfaces.states import JobStatus, StageStatus

from .responses import path

SOON = "within 15 s"
"""The timers of relay and reconciler."""
OVERDUE = timedelta(seconds=60)
"""What the timers would have mended and did not for so long shows that none runs."""
STANDSTILL = "nothing_moves"


def explain(facts: JobFacts, breakers: Sequence[BreakerStatus]) -> Explanation:
    """Why the job is where it is; `breakers` are those of the process that answers."""
    ended = facts.status.is_terminal
    reasons = [reason for source in (ENDED if ended else LIVE) for reason in source(facts)]
    if not ended:
        reasons += _breakers(facts, breakers)
    moves = not (ended or _held_back(facts) or any(reason.code == STANDSTILL for reason in reasons))
    return Explanation(
        job_id=facts.job_id,
        run=facts.run,
        status=facts.status,
        stage=min(facts.stage, facts.total_stages),
        total_stages=facts.total_stages,
        at=facts.now,
        summary=_summary(facts, reasons, moves),
        moves=moves,
        reasons=reasons,
        repairs=[*_repairs(facts, reasons)],
    )


def _ended(facts: JobFacts) -> Iterator[Reason]:
    text = {
        JobStatus.COMPLETED: "all stages completed",
        JobStatus.COMPLETED_WITH_ERRORS: "all stages ended, but not all tasks completed",
        JobStatus.CANCELLED: "somebody cancelled it",
    }.get(facts.status, facts.error or "it failed")
    yield Reason(code=str(facts.status), text=text, since=facts.completed_at)


def _failures(facts: JobFacts) -> Iterator[Reason]:
    for found in facts.failures:
        which = f"{_tasks(found.tasks)} of stage {found.stage} failed, the first is task {found.first_index}"
        yield Reason(code="tasks_failed", text=f"{which}: {found.error}", tasks=found.tasks)


def _stopping(facts: JobFacts) -> Iterator[Reason]:
    stage, tasks = facts.current, facts.running.tasks
    left = []
    if stage is not None and stage.queued:
        left.append(f"{_tasks(stage.queued)} that wait {_is(stage.queued)} cancelled {SOON}")
    if tasks:
        left.append(f"{_tasks(tasks)} in work {_is(tasks)} waited for")
    awaited = ", and ".join(["nothing new is begun", *(left or [f"it ends {SOON}"])])
    if facts.status is JobStatus.CANCELLING:
        text = f"it is being cancelled: {awaited}"
        yield Reason(code="cancelling", text=text, tasks=tasks, since=facts.updated_at)
    elif stage is not None and stage.status is StageStatus.FAILING:
        text = f"stage {facts.stage} is failing ({stage.error}): {awaited}"
        yield Reason(code="failing", text=text, tasks=tasks, since=stage.failing_at)


def _stops(facts: JobFacts) -> bool:
    """What waits is not run any more, whatever it waited for."""
    failing = facts.current is not None and facts.current.status is StageStatus.FAILING
    return failing or facts.status is JobStatus.CANCELLING


def _planning(facts: JobFacts) -> Iterator[Reason]:
    if facts.current is not None or facts.status is JobStatus.CANCELLING:
        return
    what, until = _plan(facts), facts.plan_lease_until
    if until is not None and until >= facts.now:
        who = f"worker {facts.plan_worker} {what}, attempt {facts.plan_attempts}"
        yield _reason("planning", f"{who}; its lease is good until {{until}}", facts, until=until)
    elif until is not None:
        text = f"the worker that {what} stopped renewing its lease, which ended {{until}}; another is woken"
        yield _reason("planner_lost", f"{text} {SOON}", facts, until=until)
    if facts.interrupted is not None:
        times = _number(facts.plan_interruptions, "time")
        error = facts.interrupted.detail.get("error")
        text = f"whoever {what} was interrupted {times}, last {{since}}, and it is tried again: {error}"
        yield _reason("planning_interrupted", text, facts, since=facts.interrupted.at)


def _running(facts: JobFacts) -> Iterator[Reason]:
    running = facts.running
    live = running.tasks - running.ended
    if live and facts.status is not JobStatus.CANCELLING:
        who = f"{_tasks(live)} in work on {_number(running.workers, 'worker')}"
        text = f"{who}, the longest since {{since}}; leases until {{until}}"
        yield _reason(
            "tasks_running", text, facts, live, since=running.longest_since, until=running.last_lease_until
        )
    if running.ended:
        whose = f"the leases of {_tasks(running.ended)} ended, the first {{until}}"
        text = f"{whose}: their worker was killed or hangs, and they are taken from it {SOON}"
        yield _reason("leases_ended", text, facts, running.ended, until=running.first_lease_until)


def _waiting(facts: JobFacts) -> Iterator[Reason]:
    limit = facts.current.max_attempts if facts.current else 0
    for found in [] if _stops(facts) else facts.waiting:
        who = f"{_tasks(found.tasks)} to be tried again at {{until}}"
        if found.outcome == "deferred":
            code, counts = "tasks_put_off", "put off, which does not count as an attempt"
        else:
            code, counts = "tasks_wait_to_retry", f"attempt {found.attempt} of {limit} was the last"
        text = f"{who}; {counts}" + (f"; it ended with: {found.error}" if found.error else "")
        yield _reason(code, text, facts, found.tasks, until=found.first_due_at)


def _messages(facts: JobFacts) -> Iterator[Reason]:
    for found in [] if _stops(facts) else facts.dispatches:
        tasks: int | None = found.tasks or None
        if found.state == "parked":
            yield _limited(facts, found)
        elif found.state == "pending":
            text = f"{_messages_of(found, tasks)} not sent yet, since {{since}}: the relay sends it {SOON}"
            yield _reason("waits_to_be_sent", text, facts, tasks, since=found.since)
        elif found.state == "later" and not facts.waiting:
            text = f"{_messages_of(found, tasks)} for later: {{until}}"
            yield _reason("waits_for_its_time", text, facts, tasks, until=found.first_not_before)
        elif found.state == "sent" and (left := _not_taken_up(facts)) != 0:
            again = f", sent {found.sends} times" if found.sends > 1 else ""
            text = f"{_messages_of(found, left)} in the queue since {{since}}{again}: a free worker takes it"
            lost = "had it been lost, it is sent again {until}"
            yield _reason(
                "waits_for_a_worker", f"{text}; {lost}", facts, left, found.since, found.redeliver_at
            )


def _limited(facts: JobFacts, found: Dispatches) -> Reason:
    limit = next(one for one in facts.limits if one.limited_type == found.parked)
    who = f"{_tasks(found.tasks)} must wait" if found.tasks else "the job must wait to begin"
    most = "any number" if limit.at_most is None else f"at most {limit.at_most:,}"
    line = f"{_number(found.ahead, 'message')} of others {_is(found.ahead)} before it"
    text = (
        f"{who}, since {{since}}: of {found.parked} {most} may run at once and {limit.running:,} do; {line}"
    )
    return _reason("limit_reached", text, facts, found.tasks or None, since=found.since)


def _held_back(facts: JobFacts) -> bool:
    """By a limit of none, and nothing of it is in work that was begun before."""
    shut = {limit.limited_type for limit in facts.limits if limit.at_most == 0}
    waits = bool(facts.dispatches) and all(found.parked in shut for found in facts.dispatches)
    return waits and not (facts.running.tasks or facts.plan_lease_until or _stops(facts))


def _held(facts: JobFacts) -> Iterator[Reason]:
    stage = facts.current
    if stage is not None and stage.held_from is not None and not _stops(facts):
        held = stage.task_count - stage.held_from
        canary = f"the first {stage.held_from:,}, the canary, have completed"
        yield Reason(code="held_by_canary", text=f"{_tasks(held)} held back until {canary}", tasks=held)


def _poison(facts: JobFacts) -> Iterator[Reason]:
    if facts.poison is not None:
        found = facts.poison
        which = f"message {found.poison_id} of queue {found.queue}, about this run"
        text = f"{which}, could not be processed ({{since}}): {found.reason}; {found.action}"
        yield _reason("poison_message", text, facts, since=found.recorded_at)


def _followers(facts: JobFacts) -> Iterator[Reason]:
    for found in facts.followers:
        if found.state == "submitted":
            text = f"{found.job_type} followed it: run {found.next_run} of job {found.next_job_id}"
        elif found.state == "waiting":
            text = f"{found.job_type} follows it {SOON}"
        else:
            text = f"{found.job_type} does not follow it: {found.error}"
        yield _reason(f"follower_{found.state}", text, facts, since=found.due_at)


def _callbacks(facts: JobFacts) -> Iterator[Reason]:
    """They keep no job; whoever waits for one wants to know where it is."""
    found = facts.callbacks
    error = f"; the last attempt: {found.error}" if found.error else ""
    if found.pending:
        text = f"{_number(found.pending, 'callback')} to be sent, the next {{until}}{error}"
        yield _reason("callbacks_pending", text, facts, until=found.due_at)
    if found.dead:
        text = f"{_number(found.dead, 'callback')} given up, the last {{since}}{error}"
        yield _reason("callbacks_dead", text, facts, since=found.dead_at)


def _stalled(facts: JobFacts) -> Iterator[Reason]:
    """What a timer mends, and what it should have mended long ago."""
    stage = facts.current
    if _stops(facts):
        pass
    elif facts.running.tasks == 0 and stage is not None and not stage.queued:
        text = f"all tasks of stage {facts.stage} have ended; the next step is taken {SOON}"
        yield _reason("advances", text, facts, since=facts.updated_at)
    elif _forgotten(facts):
        text = f"no message speaks for what is left of it; the reconciler makes new ones {SOON}"
        yield _reason("dispatched_anew", text, facts, since=facts.updated_at)
    late = [moment for moment in _owed(facts) if facts.now - moment > OVERDUE]
    if late:
        text = "the timers should have moved it {since}: no worker runs, or none reaches database and queues"
        yield _reason(STANDSTILL, text, facts, since=min(late))


def _forgotten(facts: JobFacts) -> bool:
    planned = facts.current is not None and facts.current.status is not StageStatus.PROCESSING
    return not (facts.dispatches or facts.running.tasks or facts.plan_lease_until or planned)


def _owed(facts: JobFacts) -> Iterator[datetime]:
    """When the timers should have done something, at the latest."""
    running = facts.running
    if facts.plan_lease_until is not None:
        yield facts.plan_lease_until
    if running.ended and running.ended == running.tasks and running.last_lease_until is not None:
        yield running.last_lease_until
    for found in facts.dispatches:
        if found.state == "pending":
            yield max(found.since, found.first_not_before)
        elif found.state == "sent" and found.redeliver_at is not None:
            yield found.redeliver_at
    if not running.tasks and (_stops(facts) or not (facts.dispatches or facts.plan_lease_until)):
        yield max(facts.updated_at, facts.last_event.at if facts.last_event else facts.updated_at)


def _breakers(facts: JobFacts, breakers: Sequence[BreakerStatus]) -> Iterator[Reason]:
    for breaker in breakers:
        if breaker.state is not BreakerState.CLOSED:
            until = " until {until}" if breaker.open_until else ""
            what = f"{breaker.dependency} failed {_number(breaker.failures, 'time')} in a row"
            text = f"{what}, as this process knows: it is left alone{until}, and what needs it is put off"
            yield _reason("breaker_open", text, facts, until=breaker.open_until)


LIVE: tuple[Callable[[JobFacts], Iterator[Reason]], ...] = (
    _stopping,
    _planning,
    _running,
    _waiting,
    _messages,
    _held,
    _failures,
    _poison,
    _stalled,
)
ENDED: tuple[Callable[[JobFacts], Iterator[Reason]], ...] = (
    _ended,
    _failures,
    _poison,
    _followers,
    _callbacks,
)


def _summary(facts: JobFacts, reasons: Sequence[Reason], moves: bool) -> str:
    where = f"Run {facts.run} is {facts.status}"
    if facts.status.is_terminal:
        return f"{where}: {reasons[0].text}."
    if facts.stage > facts.total_stages:
        where += ", all its stages have ended"
    else:
        where += f" at stage {facts.stage} of {facts.total_stages}"
        if facts.current is not None:
            ended = facts.current.completed + facts.current.failed + facts.current.cancelled
            where += f" ({facts.current.stage_key}: {ended:,} of {_tasks(facts.current.task_count)} ended)"
    standstill = [reason for reason in reasons if reason.code == STANDSTILL]
    first = "".join(f": {reason.text}" for reason in [*standstill, *reasons][:1])
    return f"{where}{first}. " + ("It goes on by itself." if moves else "It does not go on by itself.")


def _repairs(facts: JobFacts, reasons: Sequence[Reason]) -> Iterator[Repair]:
    codes = {reason.code for reason in reasons}
    job, ended = facts.job_id, facts.status.is_terminal
    if ended and facts.status is not JobStatus.COMPLETED:
        yield Repair(text=_retry(facts), method="POST", href=path("jobs", job, "retry"))
    if ended:
        yield Repair(text="run the whole job again", method="POST", href=path("jobs", job, "rerun"))
    for limit in facts.limits if "limit_reached" in codes else []:
        kind, _, name = limit.limited_type.partition(":")
        href = path("db", "limits", kind, name)
        yield Repair(text=f"raise or remove the limit of {name}", method="PUT", href=href)
    if "poison_message" in codes:
        yield Repair(text="see the recorded messages", method="GET", href=path("monitor", "poison"))
    if codes & {STANDSTILL, "breaker_open", "tasks_put_off", "planning_interrupted"}:
        text = "see which part of the app does not answer"
        yield Repair(text=text, method="GET", href=path("health"))
    if "callbacks_dead" in codes:
        href = path("callbacks", state="dead", job_id=job)
        yield Repair(
            text="see the callbacks that were given up, and send them again", method="GET", href=href
        )
    if "tasks_failed" in codes:
        href = path("db", "tasks", job, status="failed")
        yield Repair(text="see the failed tasks with their attempts", method="GET", href=href)
    if not ended and facts.status is not JobStatus.CANCELLING:
        yield Repair(text="stop it", method="POST", href=path("jobs", job, "cancel"))


def _retry(facts: JobFacts) -> str:
    if facts.failures:
        return "run the failed tasks again, once what failed them is mended"
    if facts.status is JobStatus.CANCELLED:
        return "go on with what it had left; what has completed stays"
    return "take it up where it failed, once the cause is mended"


def _plan(facts: JobFacts) -> str:
    return "makes the job's result" if facts.stage > facts.total_stages else f"plans stage {facts.stage}"


def _not_taken_up(facts: JobFacts) -> int | None:
    """How many tasks wait for messages that were sent; None: the plan does. 0: nothing does.

    The row of a message outlives its work for a while, so that what waits is counted, not what was sent.
    """
    stage = facts.current
    if stage is None:
        return None if facts.plan_lease_until is None else 0
    others = sum(found.tasks for found in facts.dispatches if found.state != "sent")
    held = stage.task_count - stage.held_from if stage.held_from is not None else 0
    return max(0, stage.queued - others - held)


def _messages_of(found: Dispatches, tasks: int | None) -> str:
    """As "a message (30 tasks) is", or "4 messages (120 tasks) are"."""
    what = f" ({_tasks(tasks)})" if tasks else " that wakes its planner"
    return f"a message{what} is" if found.messages == 1 else f"{found.messages:,} messages{what} are"


def _reason(
    code: str,
    text: str,
    facts: JobFacts,
    tasks: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Reason:
    """`{since}` and `{until}` in the text become times, with how far they are from now."""
    for name, moment in (("{since}", since), ("{until}", until)):
        text = text.replace(name, _when(moment, facts.now) if moment else "an unknown time", 1)
    return Reason(code=code, text=text, tasks=tasks, since=since, until=until)


def _when(moment: datetime, now: datetime) -> str:
    seconds = round((moment - now).total_seconds())
    distance = _distance(abs(seconds))
    from_now = f"in {distance}" if seconds > 0 else f"{distance} ago"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({from_now})"


def _distance(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _tasks(count: int) -> str:
    return _number(count, "task")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
