"""Functions of the product at which a worker may die, and what makes up for it, by names for the lists."""

from __future__ import annotations

JOBS = "repositories.jobs:JobRepository"
STAGES = "repositories.stages:StageRepository"
TASKS = "repositories.tasks:TaskRepository"
OUTBOX = "repositories.outbox:OutboxRepository"
RECOVERY = "repositories.recovery:RecoveryRepository"
SEND = "azure.storage.queue:QueueClient.send_message"
TRANSACTION = "psycopg.transaction:Transaction"
LISTENER = "local.functions_host.queue_listener:QueueListener"
PROCESSOR = "local.functions_host.queue_processor:QueueProcessor"
OUTPUT = "local.functions_host.outputs:QueueOutput"
GREETER = "controllers.hello_world:HelloWorld"
EXECUTOR = "engine.execution:Executor"
RETENTION = "repositories.retention:RetentionRepository"
ARCHIVE = "engine.archive:RunArchive"
BLOBS = "repositories.blobs:AzureBlobRepository"
UPLOAD = "azure.storage.blob:BlobClient.upload_blob"
BREAKER = "repositories.breakers:Breaker"
LIMITS = "repositories.limits:LimitRepository"
QUEUES = "repositories.queues:AzureQueueRepository"
CALLBACKS = "repositories.callbacks.repository:CallbackRepository"
POST = "repositories.callbacks.sender:_Session._post"
SUBMIT = "repositories.submitting:submit"
FOLLOWERS = "repositories.follow_ups:FollowerRepository"
SCHEDULES = "repositories.follow_ups:ScheduleRepository"
INVARIANTS = "repositories.invariants:Invariants"

SENT_AGAIN = "the dead sender's hold ends, and the relay sends it; a second message finds nothing to do"
RECLAIMED = "the leases end, the tasks are queued again and run by another attempt"
ADVANCED = "the reconciler sees that nothing is unfinished, and advances"
REPLANNED = "the planner's lease ends, and the stage is planned by another, once"
REPEATED = "the message comes back when the host's lease of it ends, and finds nothing to do"

# The queue's own lease of a message is ten minutes, and only what is malformed waits for it.
MESSAGE_LEASE = {"CRASH_MESSAGE_LEASE_SECONDS": "4"}
