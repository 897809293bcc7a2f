"""Where a worker may die beside the way of a job: putting off, removing, steering limits, mending."""

from __future__ import annotations

from tests.chaos.crash_places import (
    ADVANCED,
    ARCHIVE,
    BLOBS,
    BREAKER,
    INVARIANTS,
    LIMITS,
    MESSAGE_LEASE,
    OUTBOX,
    PROCESSOR,
    QUEUES,
    RECLAIMED,
    RECOVERY,
    RETENTION,
    SEND,
    SENT_AGAIN,
    STAGES,
    TASKS,
    UPLOAD,
)
from tests.chaos.crash_places import JOBS as JOB
from tests.chaos.crash_steps import CrashPoint, after, before, during

CLOSED_AGAIN = "the next process knows of no outage, and learns of it by itself"
GOES_ON = "the next pass goes on with the removal"
BEGUN_ANEW = "the next pass begins anew with this run"
LOOKED_AGAIN = "the next pass looks into the stage again"
AT_NEXT_OCCASION = "the rule is applied at the next occasion"
ASIDE = "azure.storage.queue.aio:QueueClient.send_message"
GIVES_UP_SOON = {**MESSAGE_LEASE, "CRASH_DEQUEUE_COUNT": "1"}
GIVES_UP_LATER = {**MESSAGE_LEASE, "CRASH_DEQUEUE_COUNT": "2"}
"""A poison message that its worker died of is delivered once more: the host passes over those that were
delivered too often, and moves them nowhere."""
SENDS_ONCE = {"REDELIVERY_SECONDS": "60", "REDELIVERY_MAX_SECONDS": "60"}
"""So that one message at a time is about a piece of work."""

DEFERRAL = (
    CrashPoint(
        "put off: storage found away, nothing written",
        "put off",
        after(f"{BREAKER}._to_blame", moved=True),
        RECLAIMED,
    ),
    CrashPoint("put off: before the commit", "put off", before(f"{TASKS}.finish"), RECLAIMED),
    CrashPoint(
        "put off: committed, its message not sent",
        "put off",
        after(f"{TASKS}.finish"),
        "the relay's timer sends it, for when it is due",
    ),
    CrashPoint(
        "put off: its message sent, not marked", "put off", before(f"{OUTBOX}.mark_sent", 3), SENT_AGAIN
    ),
    CrashPoint(
        "put off: its message marked",
        "put off",
        after(f"{OUTBOX}.mark_sent", 3),
        "the message is on its way, and comes when it is due",
    ),
    CrashPoint(
        "put off unopened: before the commit",
        "put off",
        before(f"{TASKS}.postpone"),
        "nobody takes the tasks up: their dispatch is sent again",
    ),
    CrashPoint(
        "put off unopened: committed, its message not sent",
        "put off",
        after(f"{TASKS}.postpone", moved=True),
        "the relay's timer sends it, for when it is due",
    ),
    CrashPoint(
        "put off, of a limited type: its slot freed, what waits not let go",
        "put off, limited",
        before(f"{TASKS}.unpark"),
        "the reconciler lets it go",
    ),
    CrashPoint(
        "put off, of a limited type: what waits let go, nothing sent",
        "put off, limited",
        after(f"{TASKS}.unpark", moved=True),
        "the relay sends the messages",
    ),
    CrashPoint(
        "put off: cancelled, not swept",
        "put off, cancelled",
        after(f"{JOB}.cancel"),
        "the reconciler sweeps and ends the job",
    ),
    CrashPoint(
        "put off: cancelled and swept, not ended",
        "put off, cancelled",
        after(f"{STAGES}.sweep"),
        "the reconciler ends the job",
    ),
    CrashPoint("breaker: before a call tries", "put off", before(f"{BLOBS}.ping", 2), CLOSED_AGAIN),
    CrashPoint(
        "breaker: storage is back, not noted", "put off", before(f"{BREAKER}._answered"), CLOSED_AGAIN
    ),
    CrashPoint("breaker: storage is back, noted", "put off", after(f"{BREAKER}._answered"), RECLAIMED),
)

REMOVAL = (
    CrashPoint("leftovers: before the commit", "removed", before(f"{RETENTION}.sweep_leftovers"), BEGUN_ANEW),
    CrashPoint(
        "leftovers: after the commit",
        "removed",
        after(f"{RETENTION}.sweep_leftovers", moved=True),
        BEGUN_ANEW,
    ),
    CrashPoint("archive: before it is written", "removed", before(f"{BLOBS}.write_stream"), BEGUN_ANEW),
    CrashPoint("archive: between two results", "removed", before(f"{ARCHIVE}._result", 2), BEGUN_ANEW),
    CrashPoint("archive: sent, never answered", "removed", during(UPLOAD), "it is replaced by the same"),
    CrashPoint(
        "archive: written, its run not removed",
        "removed",
        after(f"{BLOBS}.write_stream"),
        "it is replaced by the same",
    ),
    CrashPoint(
        "archive: of the job's last run, not removed",
        "removed",
        after(f"{BLOBS}.write_stream", 2),
        "it is replaced by the same",
    ),
    CrashPoint("removal: before the commit", "removed", before(f"{RETENTION}.remove"), BEGUN_ANEW),
    CrashPoint(
        "removal: an earlier run out of sight", "removed", after(f"{RETENTION}.remove", moved=True), GOES_ON
    ),
    CrashPoint("removal: before the job's", "removed", before(f"{RETENTION}.remove", 2), BEGUN_ANEW),
    CrashPoint(
        "removal: the job out of sight", "removed", after(f"{RETENTION}.remove", 2, moved=True), GOES_ON
    ),
    CrashPoint("removal: before its results are deleted", "removed", before(f"{BLOBS}.delete"), GOES_ON),
    CrashPoint(
        "removal: deletion of its results sent, never answered",
        "removed",
        during("azure.storage.blob:ContainerClient.delete_blobs"),
        GOES_ON,
    ),
    CrashPoint("removal: its results deleted, not its rows", "removed", after(f"{BLOBS}.delete"), GOES_ON),
    CrashPoint(
        "removal: between two pages of tasks", "removed", after(f"{RETENTION}._pages", moved=True), GOES_ON
    ),
    CrashPoint(
        "removal: its tasks deleted, not their items",
        "removed",
        after(f"{RETENTION}._pages", 2, moved=True),
        GOES_ON,
    ),
    CrashPoint(
        "removal: between two pages of items", "removed", after(f"{RETENTION}._pages", 3, moved=True), GOES_ON
    ),
    CrashPoint(
        "removal: between two pages of events",
        "removed",
        after(f"{RETENTION}._pages", 5, moved=True),
        GOES_ON,
    ),
    CrashPoint("removal: all swept, not forgotten", "removed", before(f"{RETENTION}.forget"), GOES_ON),
    CrashPoint(
        "removal: an earlier run forgotten", "removed", after(f"{RETENTION}.forget", moved=True), BEGUN_ANEW
    ),
    CrashPoint("removal: the job swept, not forgotten", "removed", before(f"{RETENTION}.forget", 2), GOES_ON),
    CrashPoint(
        "removal: the job forgotten",
        "removed",
        after(f"{RETENTION}.forget", 2, moved=True),
        "nothing is left",
    ),
    CrashPoint(
        "removal: gone on with by another, who dies too",
        "removed",
        after(f"{RETENTION}._pages", moved=True),
        GOES_ON,
        also_at=after(f"{RETENTION}.remove", moved=True),
    ),
    CrashPoint(
        "tidying: before clean stages are noted",
        "untidy",
        before(f"{RETENTION}.pass_clean_stages"),
        LOOKED_AGAIN,
    ),
    CrashPoint(
        "tidying: clean stages noted",
        "untidy",
        after(f"{RETENTION}.pass_clean_stages", moved=True),
        LOOKED_AGAIN,
    ),
    CrashPoint("tidying: before a result is deleted", "untidy", before(f"{BLOBS}.delete"), LOOKED_AGAIN),
    CrashPoint("tidying: a result deleted, no items", "untidy", after(f"{BLOBS}.delete"), LOOKED_AGAIN),
    CrashPoint(
        "tidying: between two pages of items",
        "untidy",
        after(f"{RETENTION}._pages", moved=True),
        LOOKED_AGAIN,
    ),
    CrashPoint("tidying: all deleted, not noted", "untidy", before(f"{RETENTION}.cleaned"), LOOKED_AGAIN),
    CrashPoint("tidying: noted", "untidy", after(f"{RETENTION}.cleaned"), "nobody looks again"),
)

OPERATORS = (
    CrashPoint(
        "limit set: before the commit",
        "held",
        before(f"{LIMITS}.set"),
        "nothing has changed; it is set again",
    ),
    CrashPoint(
        "limit set: after the commit, nothing sent",
        "held",
        after(f"{LIMITS}.set"),
        "the relay sends what may run now",
    ),
    CrashPoint(
        "invariants: a look into the poison queues, before it is noted",
        "looked at",
        before(f"{INVARIANTS}._note"),
        "the next look notes all",
    ),
    CrashPoint(
        "invariants: one poison queue noted, not the other",
        "looked at",
        after(f"{INVARIANTS}._note"),
        "the next look notes all",
    ),
)

RULES = (
    CrashPoint(
        "reconcile: before work that no dispatch speaks for",
        "forgotten",
        before(f"{RECOVERY}.undispatched"),
        AT_NEXT_OCCASION,
    ),
    CrashPoint(
        "reconcile: forgotten work dispatched, nothing sent",
        "forgotten",
        after(f"{RECOVERY}.undispatched", moved=True),
        "the relay sends the messages",
    ),
    CrashPoint(
        "reconcile: freed limits let go, nothing sent",
        "limited",
        after(f"{RECOVERY}.freed_limits", moved=True),
        "the relay sends the messages",
        also_at=before(f"{TASKS}.unpark"),
    ),
    CrashPoint(
        "reconcile: before counters are counted anew",
        "miscounted",
        before(f"{RECOVERY}.drifted_counters"),
        AT_NEXT_OCCASION,
    ),
    CrashPoint(
        "reconcile: counters counted anew",
        "miscounted",
        after(f"{RECOVERY}.drifted_counters", moved=True),
        "they add up",
    ),
)

BOUNDARIES = (
    CrashPoint("send: the job's message sent, never answered", "many", during(SEND), SENT_AGAIN),
    CrashPoint("send: a task's message sent, never answered", "many", during(SEND, 6), SENT_AGAIN),
    CrashPoint(
        "message: its delete sent, never answered",
        "many",
        during("azure.storage.queue.aio:QueueClient.delete_message"),
        "it is gone, or comes back and finds nothing to do",
    ),
    CrashPoint("send: refused, not let go of", "no queue", before(f"{OUTBOX}.release"), SENT_AGAIN),
    CrashPoint(
        "send: refused, let go of",
        "no queue",
        after(f"{OUTBOX}.release"),
        "the relay tries again, and makes it",
    ),
    CrashPoint(
        "send: before the queue is made anew", "no queue", before(f"{QUEUES}.ensure"), "the relay makes it"
    ),
    CrashPoint("send: the queue made anew", "no queue", after(f"{QUEUES}.ensure"), "the relay sends"),
    CrashPoint(
        "large result: its container missing",
        "no container",
        before(f"{BLOBS}.ensure_container"),
        RECLAIMED,
    ),
    CrashPoint(
        "large result: its container made, nothing written",
        "no container",
        after(f"{BLOBS}.ensure_container"),
        RECLAIMED,
    ),
    CrashPoint("complete: by the clock, before the commit", "mixed", before(f"{TASKS}.finish"), RECLAIMED),
    CrashPoint(
        "complete: by the clock, while the rest runs",
        "mixed",
        after(f"{TASKS}.finish"),
        "what is written counts",
    ),
    CrashPoint(
        "poison: before it is moved",
        "unsure",
        before(f"{PROCESSOR}.move_to_poison_queue"),
        "its dispatch is sent again; the message comes back, and is moved then",
        environment=GIVES_UP_SOON,
    ),
    CrashPoint(
        "poison: moved, not deleted",
        "unsure",
        after(ASIDE, 2),
        "it is moved twice, and each of them wakes its work",
        environment=GIVES_UP_SOON,
    ),
    CrashPoint(
        "given up for good: before its task is failed",
        "given up for good",
        before(f"{RECOVERY}.fail_tasks"),
        "the message comes back and is dealt with",
        environment={**GIVES_UP_LATER, **SENDS_ONCE},
    ),
    CrashPoint(
        "given up for good: its task failed, not recorded",
        "given up for good",
        after(f"{RECOVERY}.fail_tasks"),
        "the stage is swept and advanced",
        environment={**GIVES_UP_SOON, **SENDS_ONCE},
    ),
    CrashPoint(
        "given up for good: one of its messages recorded, not deleted",
        "given up for good",
        after(f"{RECOVERY}.record", 8),
        "the message comes back and is not recorded again",
        environment={**GIVES_UP_SOON, **SENDS_ONCE},
    ),
    CrashPoint(
        "malformed: before the job it names is failed",
        "malformed plan",
        before(f"{JOB}.fail"),
        "the message comes back and is dealt with",
        environment=MESSAGE_LEASE,
    ),
    CrashPoint(
        "malformed: the job it names failed, not swept",
        "malformed plan",
        after(f"{JOB}.fail"),
        ADVANCED,
        environment=MESSAGE_LEASE,
    ),
)
