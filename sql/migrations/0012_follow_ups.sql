-- Jobs that are submitted by the clock, and jobs that follow others (docs/schedules.md, docs/adr/0016).

CREATE TABLE app.schedules (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    cron       text NOT NULL,
    time_zone  text NOT NULL,
    job_type   text NOT NULL,
    -- As they were asked for: what depends on the tick is filled in when it comes.
    parameters jsonb NOT NULL,
    enabled    boolean NOT NULL DEFAULT true,
    -- The next tick, or the first of those that were missed.
    next_at    timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedules_due ON app.schedules (next_at) WHERE enabled;

-- One row for each tick, written with the submission that it made.
CREATE TABLE app.schedule_ticks (
    name         text NOT NULL,
    tick_at      timestamptz NOT NULL,
    fired_at     timestamptz NOT NULL DEFAULT now(),
    -- The first of the ticks that nobody was there for, where there were any before this one.
    missed_since timestamptz,
    job_id       text,
    run          integer,
    -- False: the job was at work on it still, or its parameters do not ask for another run.
    created      boolean,
    -- Why nothing could be submitted.
    error        text,
    PRIMARY KEY (name, tick_at),
    CHECK ((job_id IS NULL) = (error IS NOT NULL))
);
CREATE INDEX schedule_ticks_fired ON app.schedule_ticks (fired_at);

-- What is to be submitted when a run has ended, with results of it.
CREATE TABLE app.followers (
    follower_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      text NOT NULL,
    run         integer NOT NULL,
    -- Of the request's canonical JSON: asking twice for the same is asking once.
    digest      text NOT NULL,
    request     jsonb NOT NULL,
    -- How many runs of the chain are before it.
    depth       smallint NOT NULL CHECK (depth >= 1),
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'submitted', 'skipped', 'failed')),
    -- The end that it is to follow, and has not yet.
    due_at      timestamptz,
    next_job_id text,
    next_run    integer,
    -- Why it was skipped, or could not be submitted.
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    settled_at  timestamptz,
    UNIQUE (job_id, run, digest),
    CHECK ((state = 'submitted') = (next_job_id IS NOT NULL)),
    CHECK (due_at IS NULL OR state = 'waiting')
);
CREATE INDEX followers_due ON app.followers (due_at) WHERE due_at IS NOT NULL;
