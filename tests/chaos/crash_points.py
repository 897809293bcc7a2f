"""Where a worker may die: every commit, send and delete of the engine, and what must happen then.

Each point names a function of the product and a moment of its call. A commit is one call of a repository,
so `before` it nothing was written, and `after` it all of it was. Points that are the same state of the
world are named once: after one step is before the next.
"""

from __future__ import annotations

from tests.chaos.crash_places import (
    ADVANCED,
    EXECUTOR,
    GREETER,
    JOBS,
    LISTENER,
    MESSAGE_LEASE,
    OUTBOX,
    OUTPUT,
    PROCESSOR,
    RECLAIMED,
    RECOVERY,
    REPEATED,
    REPLANNED,
    SEND,
    SENT_AGAIN,
    STAGES,
    TASKS,
    TRANSACTION,
)
from tests.chaos.crash_steps import CrashPoint, after, before
from tests.chaos.crash_upkeep_points import BOUNDARIES, DEFERRAL, OPERATORS, REMOVAL, RULES

SUBMISSION = (
    CrashPoint(
        "submit: before the commit",
        "brief",
        before(f"{JOBS}.submit"),
        "nothing is known of the job; whoever got no answer submits it again",
    ),
    CrashPoint(
        "submit: after the commit, nothing sent",
        "brief",
        after(f"{JOBS}.submit"),
        "the relay's timer sends the job's message; submitting again makes no second run",
    ),
    CrashPoint("send: dispatches taken", "brief", after(f"{OUTBOX}.take", moved=True), SENT_AGAIN),
    CrashPoint("send: before the job's message", "many", before(SEND), SENT_AGAIN),
    CrashPoint("send: after the job's message, not marked", "many", after(SEND), SENT_AGAIN),
    CrashPoint("send: among the tasks' messages", "many", after(SEND, 6), SENT_AGAIN),
    CrashPoint(
        "send: marked",
        "many",
        after(f"{OUTBOX}.mark_sent"),
        "the message is on its way and wakes another worker",
    ),
    CrashPoint(
        "send: marked, the tasks' messages",
        "many",
        after(f"{OUTBOX}.mark_sent", 2),
        "the messages are on their way and wake another worker",
    ),
    CrashPoint(
        "relay: the reconciler's dispatches taken",
        "many",
        after(f"{OUTBOX}.take", moved=True),
        SENT_AGAIN,
        also_at=after(f"{TASKS}.claim", moved=True),
    ),
)

HOST = (
    CrashPoint(
        "message: received, its function not started",
        "many",
        after(f"{LISTENER}._receive", moved=True),
        "nobody takes the work up: its dispatch is sent again",
    ),
    CrashPoint("message: before its delete", "many", before(f"{PROCESSOR}._delete"), REPEATED),
    CrashPoint("message: after its delete", "many", after(f"{PROCESSOR}._delete"), "its work was done"),
    CrashPoint(
        "message: before its release", "unsure", before(f"{PROCESSOR}._release"), "its dispatch is sent again"
    ),
    CrashPoint(
        "message: after its release", "unsure", after(f"{PROCESSOR}._release"), "it comes back by itself"
    ),
    CrashPoint("wake: before the repeated message", "many", before(f"{OUTPUT}.send"), REPEATED),
    CrashPoint("wake: after the repeated message", "many", after(f"{OUTPUT}.send"), REPEATED),
)

PLANNING = (
    CrashPoint(
        "plan: before the claim",
        "brief",
        before(f"{JOBS}.claim_plan"),
        "nobody plans the stage: its dispatch is sent again",
    ),
    CrashPoint("plan: claimed", "brief", after(f"{JOBS}.claim_plan", moved=True), REPLANNED),
    CrashPoint("plan: inside the controller", "brief", before(f"{GREETER}.plan"), REPLANNED),
    CrashPoint("plan: before its lease is renewed", "slow plan", before(f"{JOBS}.extend_plans"), REPLANNED),
    CrashPoint("plan: its lease renewed", "slow plan", after(f"{JOBS}.extend_plans"), REPLANNED),
    CrashPoint(
        "plan: before it is given back",
        "unsure",
        before(f"{JOBS}.release_plan"),
        "its lease ends all the same",
    ),
    CrashPoint(
        "plan: given back", "unsure", after(f"{JOBS}.release_plan"), "the dispatch that is left is sent again"
    ),
    CrashPoint(
        "plan: stage 2 claimed by who ended stage 1", "many", after(f"{JOBS}.claim_plan", 2), REPLANNED
    ),
    CrashPoint(
        "fan-out: between two rows of the COPY",
        "many",
        before("repositories.stages:_task_json", 5),
        REPLANNED,
    ),
    CrashPoint("fan-out: rows written, not sealed", "many", after(f"{STAGES}._insert_tasks"), REPLANNED),
    CrashPoint("fan-out: sealed, before the COMMIT", "many", before(f"{TRANSACTION}.__exit__"), REPLANNED),
    CrashPoint(
        "fan-out: committed, nothing sent",
        "many",
        after(f"{STAGES}.fan_out"),
        "the relay sends the tasks' messages",
    ),
    CrashPoint(
        "fan-out: committed, to be run at once",
        "brief",
        after(f"{STAGES}.fan_out"),
        "the relay sends the message that was to be spared",
    ),
    CrashPoint(
        "fan-out: of discovered items, not sealed",
        "discover",
        after(f"{STAGES}._insert_tasks", 2),
        "the second stage is planned anew, with each item once",
    ),
    CrashPoint(
        "fan-out: of discovered items, committed", "discover", after(f"{STAGES}.fan_out", 2), SENT_AGAIN
    ),
    CrashPoint("fan-out: of no tasks, committed", "empty", after(f"{STAGES}.fan_out"), ADVANCED),
    CrashPoint("plan: before the job is failed", "refused", before(f"{JOBS}.fail"), REPLANNED),
    CrashPoint("plan: the job failed", "refused", after(f"{JOBS}.fail"), "the job has failed, once"),
    CrashPoint("result: inside the controller", "brief", before(f"{GREETER}.aggregate"), REPLANNED),
    CrashPoint("result: before the commit", "brief", before(f"{JOBS}.complete"), REPLANNED),
    CrashPoint("result: after the commit", "brief", after(f"{JOBS}.complete"), "the job has completed, once"),
    CrashPoint("result: of a plan that completes the job", "early", before(f"{JOBS}.complete"), REPLANNED),
)

EXECUTION = (
    CrashPoint(
        "claim: before the commit",
        "many",
        before(f"{TASKS}.claim", 3),
        "nobody takes the tasks up: their dispatch is sent again",
    ),
    CrashPoint("claim: after the commit", "many", after(f"{TASKS}.claim", 3, moved=True), RECLAIMED),
    CrashPoint("claim: of a stage run at once", "brief", after(f"{TASKS}.claim", moved=True), RECLAIMED),
    CrashPoint("handler: before it begins", "many", after("engine.leases:Held.start", 4), RECLAIMED),
    CrashPoint("handler: inside", "many", after("services.hello:_sleep", 2), RECLAIMED),
    CrashPoint(
        "handler: inside, of a stage run at once", "brief", after("services.hello:_sleep", 20), RECLAIMED
    ),
    CrashPoint(
        "handler: inside, after errors that were retried",
        "retries",
        before(f"{EXECUTOR}._completed", 3),
        RECLAIMED,
    ),
    CrashPoint(
        "discover: between two pages",
        "discover",
        after(f"{TASKS}.add_items", 2),
        "what this attempt found does not count; the next one finds all of it",
    ),
    CrashPoint(
        "discover: before a page",
        "discover",
        before(f"{TASKS}.add_items", 3),
        "the next attempt finds all of it",
    ),
    CrashPoint(
        "discover: found all, not completed",
        "discover",
        before(f"{TASKS}.finish"),
        "what this attempt found does not count; the next one finds all of it",
    ),
    CrashPoint(
        "large result: before its blob is written",
        "large",
        before("repositories.blobs:AzureBlobRepository.write"),
        RECLAIMED,
    ),
    CrashPoint(
        "large result: its blob written, the row not",
        "large",
        after("repositories.blobs:AzureBlobRepository.write"),
        "the next attempt writes a blob of its own, and the row names that one",
    ),
    CrashPoint("heartbeat: before the renewal", "slow", before(f"{TASKS}.extend"), RECLAIMED),
    CrashPoint("heartbeat: after the renewal", "slow", after(f"{TASKS}.extend"), RECLAIMED),
    CrashPoint("timeout: before it is reported", "hung", before(f"{EXECUTOR}._report_timeout"), RECLAIMED),
    CrashPoint(
        "timeout: reported", "hung", after(f"{EXECUTOR}._report_timeout"), "the next attempt is on its way"
    ),
    CrashPoint("complete: before the commit", "many", before(f"{TASKS}.finish", 4), RECLAIMED),
    CrashPoint("complete: after the commit of one", "many", after(f"{TASKS}.finish", 4), "it counts, once"),
    CrashPoint("complete: between completing and advancing", "one", after(f"{TASKS}.finish"), ADVANCED),
    CrashPoint(
        "retry: committed, its message not sent",
        "retries",
        after(f"{TASKS}.finish"),
        "the relay's timer sends it when it is due",
    ),
    CrashPoint(
        "complete: between completing and advancing, of a stage run at once",
        "brief",
        after(f"{TASKS}.finish"),
        ADVANCED,
    ),
    CrashPoint(
        "canary: completed, not judged",
        "canary",
        before(f"{STAGES}.judge_canary", 2),
        "the reconciler judges it",
    ),
    CrashPoint(
        "canary: the rest let go, nothing sent",
        "canary",
        after(f"{STAGES}.judge_canary", moved=True),
        "the relay sends the messages",
    ),
    CrashPoint("limit: a slot held by the dead", "limited", after(f"{TASKS}.claim", moved=True), RECLAIMED),
    CrashPoint(
        "limit: a slot freed, what waits not let go",
        "limited",
        before(f"{TASKS}.unpark"),
        "the reconciler lets it go",
    ),
    CrashPoint(
        "limit: what waits let go, nothing sent",
        "limited",
        after(f"{TASKS}.unpark", moved=True),
        "the relay sends the messages",
    ),
    CrashPoint(
        "limit: a job ended, the next one not begun",
        "limited",
        after(f"{JOBS}.complete"),
        "the reconciler lets the next one go",
    ),
    CrashPoint(
        "failure: written, before the sweep", "failing", before(f"{STAGES}.sweep"), "the reconciler sweeps"
    ),
    CrashPoint("failure: swept, not advanced", "failing", after(f"{STAGES}.sweep"), ADVANCED),
    CrashPoint(
        "failure: of a stage that goes on", "lenient", after(f"{TASKS}.finish", 5), "each error counts, once"
    ),
    CrashPoint(
        "advance: after the commit",
        "one",
        after(f"{STAGES}.finish", moved=True),
        "the dispatch committed with it wakes the planner of the next stage",
    ),
    CrashPoint(
        "advance: the last stage, its result not made",
        "one",
        after(f"{STAGES}.finish", 2, moved=True),
        "the dispatch committed with it wakes whoever makes the result",
    ),
)

STEERING = (
    CrashPoint(
        "cancel: before the commit",
        "cancelled",
        before(f"{JOBS}.cancel"),
        "the job goes on until asked again",
    ),
    CrashPoint(
        "cancel: after the commit",
        "cancelled",
        after(f"{JOBS}.cancel"),
        "the reconciler sweeps and ends the job",
    ),
    CrashPoint(
        "cancel: swept, not ended", "cancelled", after(f"{STAGES}.sweep"), "the reconciler ends the job"
    ),
    CrashPoint(
        "retry of a job: before the commit", "retried", before(f"{JOBS}.retry"), "nothing has changed"
    ),
    CrashPoint(
        "retry of a job: after the commit", "retried", after(f"{JOBS}.retry"), "the relay sends the messages"
    ),
    CrashPoint("re-run: before the commit", "rerun", before(f"{JOBS}.submit"), "nothing has changed"),
    CrashPoint(
        "re-run: after the commit", "rerun", after(f"{JOBS}.submit"), "the relay sends the job's message"
    ),
)

RECONCILIATION = (
    CrashPoint(
        "reconcile: before ended leases",
        "many",
        before(f"{RECOVERY}.ended_leases"),
        "the rule is applied at the next occasion",
        also_at=after(f"{TASKS}.claim", moved=True),
    ),
    CrashPoint(
        "reconcile: ended leases queued again, nothing sent",
        "many",
        after(f"{RECOVERY}.ended_leases", moved=True),
        "the relay sends the messages",
        also_at=after(f"{TASKS}.claim", 2, moved=True),
    ),
    CrashPoint(
        "reconcile: dead planners replaced, nothing sent",
        "brief",
        after(f"{RECOVERY}.dead_planners", moved=True),
        "the relay sends the job's message",
        also_at=after(f"{JOBS}.claim_plan", moved=True),
    ),
    CrashPoint(
        "reconcile: a stalled stage advanced",
        "one",
        after(f"{STAGES}.finish", moved=True),
        "the dispatch committed with it wakes the planner of the next stage",
        also_at=after(f"{TASKS}.finish"),
    ),
    CrashPoint(
        "reconcile: a failing stage swept",
        "failing",
        after(f"{STAGES}.sweep", moved=True),
        ADVANCED,
        also_at=before(f"{STAGES}.sweep"),
    ),
    CrashPoint(
        "reconcile: vanished messages pending again",
        "many",
        after(f"{RECOVERY}.vanished_messages", moved=True),
        "the relay sends them",
        also_at=after(f"{LISTENER}._receive", moved=True),
    ),
)

BOUNDARY = (
    CrashPoint(
        "malformed: before its task is failed",
        "malformed",
        before(f"{RECOVERY}.fail_tasks"),
        "the message comes back and is dealt with",
        environment=MESSAGE_LEASE,
    ),
    CrashPoint(
        "malformed: its task failed, not recorded",
        "malformed",
        after(f"{RECOVERY}.fail_tasks"),
        "the message comes back, fails nothing more and is recorded",
        environment=MESSAGE_LEASE,
    ),
    CrashPoint(
        "malformed: recorded, not deleted",
        "malformed",
        after(f"{RECOVERY}.record"),
        "the message comes back and is not recorded again",
        environment=MESSAGE_LEASE,
    ),
    CrashPoint(
        "given up: recorded, its work not woken",
        "given up",
        after(f"{RECOVERY}.record"),
        "the dispatch of the work itself is sent again",
        environment=MESSAGE_LEASE,
    ),
    CrashPoint(
        "given up: its work woken",
        "given up",
        after(f"{RECOVERY}.dispatch_again"),
        "the relay sends it; a second message finds nothing to do",
        environment=MESSAGE_LEASE,
    ),
)

CRASH_POINTS = (
    *SUBMISSION,
    *HOST,
    *PLANNING,
    *EXECUTION,
    *STEERING,
    *RECONCILIATION,
    *BOUNDARY,
    *DEFERRAL,
    *REMOVAL,
    *OPERATORS,
    *RULES,
    *BOUNDARIES,
)
BY_NAME = {point.name: point for point in CRASH_POINTS}
