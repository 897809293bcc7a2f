-- The engine's own tables. Needs no extension: what needs PostGIS or pgstac comes in migrations of its own.
--
-- Everything is schema-qualified, because PgBouncer in transaction mode keeps no search_path.
-- Tasks, items, counters and dispatches carry no foreign keys: a stage's rows are inserted by the
-- hundred thousand in one statement, and they are only ever removed together with their run.

CREATE TYPE app.job_status AS ENUM
    ('queued', 'processing', 'cancelling', 'completed', 'completed_with_errors', 'failed', 'cancelled');
CREATE TYPE app.stage_status AS ENUM
    ('processing', 'failing', 'completed', 'completed_with_errors', 'failed', 'cancelled');
CREATE TYPE app.task_status AS ENUM ('queued', 'processing', 'completed', 'failed', 'cancelled');
CREATE TYPE app.failure_policy AS ENUM ('fail_job', 'continue');

-- One number for each claim of a stage's planning; a write counts only with the newest.
CREATE SEQUENCE app.fences;

CREATE TABLE app.jobs (
    job_id           text PRIMARY KEY CHECK (job_id ~ '^[0-9a-f]{64}$'),
    job_type         text NOT NULL,
    parameters       jsonb NOT NULL,
    status           app.job_status NOT NULL DEFAULT 'queued',
    run              integer NOT NULL DEFAULT 1 CHECK (run >= 1),
    -- total_stages + 1 means that all stages have ended and only the job's result is missing.
    stage            smallint NOT NULL DEFAULT 1 CHECK (stage >= 1),
    total_stages     smallint NOT NULL CHECK (total_stages >= 1),
    result           jsonb,
    error            text,
    correlation_id   text NOT NULL DEFAULT '',
    -- Who plans the current stage. A crashed planner's lease ends, and the reconciler wakes another.
    plan_fence       bigint,
    plan_lease_until timestamptz,
    plan_attempts    smallint NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    queued_at        timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    completed_at     timestamptz,
    CHECK (stage <= total_stages + 1),
    CHECK ((status IN ('completed', 'completed_with_errors', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
    CHECK (status <> 'failed' OR error IS NOT NULL),
    CHECK (status NOT IN ('completed', 'completed_with_errors') OR result IS NOT NULL)
);
CREATE INDEX jobs_live ON app.jobs (job_id) WHERE status IN ('queued', 'processing', 'cancelling');
CREATE INDEX jobs_running ON app.jobs (job_type) WHERE status IN ('processing', 'cancelling');
CREATE INDEX jobs_newest ON app.jobs (created_at DESC, job_id DESC);
CREATE INDEX jobs_ended ON app.jobs (completed_at, job_id, run) WHERE completed_at IS NOT NULL;

-- Runs that are no longer their job's current one, and runs whose removal has begun.
CREATE TABLE app.past_runs (
    job_id         text NOT NULL,
    run            integer NOT NULL,
    status         app.job_status NOT NULL,
    result         jsonb,
    error          text,
    correlation_id text NOT NULL,
    queued_at      timestamptz NOT NULL,
    started_at     timestamptz,
    completed_at   timestamptz NOT NULL,
    -- From then on the run is gone for every reader, and its rows are removed page by page; this one last.
    removed_at     timestamptz,
    PRIMARY KEY (job_id, run)
);
CREATE INDEX past_runs_ended ON app.past_runs (completed_at, job_id, run) WHERE removed_at IS NULL;
CREATE INDEX past_runs_removed ON app.past_runs (removed_at, job_id, run) WHERE removed_at IS NOT NULL;

CREATE TABLE app.stages (
    job_id              text NOT NULL REFERENCES app.jobs ON DELETE CASCADE,
    run                 integer NOT NULL,
    stage               smallint NOT NULL,
    stage_key           text NOT NULL,
    task_type           text NOT NULL,
    status              app.stage_status NOT NULL DEFAULT 'processing',
    task_count          integer NOT NULL CHECK (task_count >= 0),
    batch_size          integer NOT NULL CHECK (batch_size >= 1),
    -- Parameters that all tasks of the stage share; a task's own are laid over them at the claim.
    parameters          jsonb NOT NULL DEFAULT '{}',
    on_failure          app.failure_policy NOT NULL,
    max_failed_fraction double precision CHECK (max_failed_fraction BETWEEN 0 AND 1),
    max_attempts        smallint NOT NULL CHECK (max_attempts >= 1),
    error               text,
    -- Tasks from here on wait until the ones before, the canary, have completed. Null: nothing waits.
    held_from           integer CHECK (held_from > 0 AND held_from < task_count),
    -- When the policy was broken: from then on nothing of it is claimed.
    failing_at          timestamptz,
    result              jsonb,
    created_at          timestamptz NOT NULL DEFAULT now(),
    completed_at        timestamptz,
    -- The end after which the leavings of attempts that did not complete were removed.
    cleaned_at          timestamptz,
    PRIMARY KEY (job_id, run, stage)
);
CREATE INDEX stages_uncleaned ON app.stages (completed_at)
    WHERE completed_at IS NOT NULL AND (cleaned_at IS NULL OR cleaned_at < completed_at);
CREATE INDEX stages_live_of_type ON app.stages (task_type) WHERE status IN ('processing', 'failing');

CREATE TABLE app.tasks (
    job_id          text NOT NULL,
    run             integer NOT NULL,
    stage           smallint NOT NULL,
    task_index      integer NOT NULL CHECK (task_index >= 0),
    status          app.task_status NOT NULL DEFAULT 'queued',
    parameters      jsonb NOT NULL,
    attempt         smallint NOT NULL DEFAULT 0,
    -- Whether it may be what kills its process. 1: it was lost once, together with others. 2: twice, or
    -- alone; it is a suspect, of which a process runs one at a time (docs/adr/0004).
    suspicion       smallint NOT NULL DEFAULT 0 CHECK (suspicion BETWEEN 0 AND 2),
    fence           bigint,
    lease_until     timestamptz,
    worker          text,
    due_at          timestamptz NOT NULL DEFAULT now(),
    result          jsonb,
    -- {"url", "bytes", "sha256"} of a result too large to be kept here.
    result_location jsonb,
    error           text,
    -- One object for each attempt that did not complete: attempt, outcome, error, worker, started_at, ended_at.
    attempts        jsonb,
    started_at      timestamptz,
    completed_at    timestamptz,
    PRIMARY KEY (job_id, run, stage, task_index),
    CHECK (status <> 'processing' OR (fence IS NOT NULL AND lease_until IS NOT NULL)),
    CHECK (status <> 'completed' OR result IS NOT NULL OR result_location IS NOT NULL),
    CHECK (status <> 'failed' OR error IS NOT NULL)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
-- Both shrink as tasks end, so that probing for the last unfinished one never walks finished rows.
CREATE INDEX tasks_unfinished ON app.tasks (job_id, run, stage, task_index) WHERE status IN ('queued', 'processing');
CREATE INDEX tasks_processing ON app.tasks (job_id, run, stage, task_index) WHERE status = 'processing';
CREATE INDEX tasks_suspect ON app.tasks (worker) WHERE status = 'processing' AND suspicion = 2;
CREATE INDEX tasks_failed ON app.tasks (job_id, run, stage, task_index) WHERE status = 'failed';

-- Progress only; nothing is decided by it. Several rows a stage, so that workers do not queue for one.
CREATE TABLE app.stage_counters (
    job_id     text NOT NULL,
    run        integer NOT NULL,
    stage      smallint NOT NULL,
    slot       smallint NOT NULL,
    queued     integer NOT NULL DEFAULT 0,
    processing integer NOT NULL DEFAULT 0,
    completed  integer NOT NULL DEFAULT 0,
    failed     integer NOT NULL DEFAULT 0,
    cancelled  integer NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, run, stage, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What tasks found for the next stage. An item counts only if the attempt with its fence completed.
CREATE TABLE app.stage_items (
    job_id     text NOT NULL,
    run        integer NOT NULL,
    stage      smallint NOT NULL,
    task_index integer NOT NULL,
    fence      bigint NOT NULL,
    seq        integer NOT NULL,
    item       jsonb NOT NULL,
    PRIMARY KEY (job_id, run, stage, task_index, fence, seq)
);

-- Messages that must reach a queue. A row lives until its work was taken up, not only until it was sent.
CREATE TABLE app.outbox (
    dispatch_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text NOT NULL CHECK (queue IN ('jobs', 'tasks')),
    job_id       text NOT NULL,
    run          integer NOT NULL,
    stage        smallint NOT NULL,
    first        integer,
    last         integer,
    not_before   timestamptz NOT NULL DEFAULT now(),
    -- Held by a sender until then; a sender that died loses its hold.
    taken_until  timestamptz,
    sends        smallint NOT NULL DEFAULT 0,
    sent_at      timestamptz,
    -- When to look whether anybody took up the work, and to send again if not.
    redeliver_at timestamptz,
    -- The limited type that it waits for, and must not be sent before.
    parked       text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((queue = 'tasks') = (first IS NOT NULL AND last IS NOT NULL)),
    CHECK (first <= last),
    CHECK (parked IS NULL OR sent_at IS NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX outbox_pending ON app.outbox (dispatch_id) WHERE sent_at IS NULL AND parked IS NULL;
-- Whoever committed dispatches sends its own, however many of others wait.
CREATE INDEX outbox_pending_of_job ON app.outbox (job_id, dispatch_id) WHERE sent_at IS NULL AND parked IS NULL;
CREATE INDEX outbox_parked ON app.outbox (parked, dispatch_id) WHERE parked IS NOT NULL;
CREATE INDEX outbox_sent ON app.outbox (redeliver_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_of_stage ON app.outbox (job_id, run, stage, first);

-- How many jobs of a type, or tasks of a type, may run at once. No row: any number.
CREATE TABLE app.concurrency_limits (
    limited_type text PRIMARY KEY CHECK (limited_type ~ '^(job|task):.'),
    at_most      integer NOT NULL CHECK (at_most >= 0),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- Append-only history of every transition.
CREATE TABLE app.job_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id   text NOT NULL,
    run      integer NOT NULL,
    stage    smallint,
    event    text NOT NULL,
    -- The tasks concerned, as ranges of indexes: a batch of 100 is one range.
    tasks    int4multirange,
    detail   jsonb NOT NULL DEFAULT '{}',
    worker   text,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX job_events_of_job ON app.job_events (job_id, event_id);

CREATE TABLE app.poison_messages (
    poison_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue          text NOT NULL,
    message_id     text NOT NULL,
    reason         text NOT NULL,
    raw            text NOT NULL,
    bytes          integer NOT NULL,
    dequeue_count  integer NOT NULL,
    job_id         text,
    run            integer,
    stage          smallint,
    first          integer,
    last           integer,
    correlation_id text NOT NULL,
    action         text NOT NULL DEFAULT 'recorded',
    recorded_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (queue, message_id)
);
CREATE INDEX poison_messages_of_job ON app.poison_messages (job_id) WHERE job_id IS NOT NULL;

-- What the last look into the poison queues saw; each message should have its row in poison_messages.
CREATE TABLE app.poison_queue_sightings (
    queue      text NOT NULL,
    message_id text NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, message_id)
);
