-- What operators look back on, what an attempt said, what planning takes, and what follows the jobs of a schedule.

-- What each minute was like (docs/api.md, `monitor/history`); kept for a week.
CREATE TABLE app.samples (
    -- The beginning of the minute: whoever comes second within it adds nothing.
    at                    timestamptz PRIMARY KEY,
    -- Null: the queue could not be looked at.
    jobs_messages         integer,
    jobs_oldest_seconds   double precision,
    jobs_poison           integer,
    tasks_messages        integer,
    tasks_oldest_seconds  double precision,
    tasks_poison          integer,
    outbox_messages       integer NOT NULL,
    outbox_oldest_seconds double precision NOT NULL,
    tasks_queued          bigint NOT NULL,
    tasks_processing      bigint NOT NULL,
    -- By outcome, since the beginning: what happened between two samples is their difference, also where some between
    -- them are missing.
    attempts              jsonb NOT NULL,
    jobs                  jsonb NOT NULL
);

-- The lines that attempts logged: a row for an attempt that logged any, written with its outcome.
CREATE TABLE app.task_logs (
    job_id     text NOT NULL,
    run        integer NOT NULL,
    stage      smallint NOT NULL,
    task_index integer NOT NULL,
    -- Tells attempts apart: numbers of those that did not count come again.
    fence      bigint NOT NULL,
    attempt    smallint NOT NULL,
    outcome    text NOT NULL,
    -- The most severe line, as Python numbers levels: 20 INFO, 30 WARNING, 40 ERROR, 50 CRITICAL.
    severity   smallint NOT NULL,
    -- How many were left out, the oldest first.
    dropped    integer NOT NULL,
    -- Objects of at, level, logger and message, the oldest first.
    lines      jsonb NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, run, stage, task_index, fence)
);

-- How long a run was planned: until its stages were made and its result was, and by planners that died.
ALTER TABLE app.jobs
    ADD COLUMN plan_began_at timestamptz,
    -- When the planner was last heard of, which tells how long one worked that died.
    ADD COLUMN plan_heard_at timestamptz,
    ADD COLUMN plan_seconds double precision NOT NULL DEFAULT 0;
ALTER TABLE app.past_runs ADD COLUMN plan_seconds double precision NOT NULL DEFAULT 0;

ALTER TABLE app.schedules
    -- Who is told of each run that the clock starts, and what follows it, as at a submission.
    ADD COLUMN callback_url text CHECK (callback_url ~ '^https?://[^/?#]+'),
    ADD COLUMN callback_events text[],
    ADD COLUMN follower jsonb,
    -- Why it cannot tick, and until when nobody looks at it again, so that it keeps no other from its turn.
    ADD COLUMN error text,
    ADD COLUMN rests_until timestamptz;
