-- Who is told when a stage or a run ends, and what must still be told them (docs/callbacks.md, docs/adr/0016).

-- URLs are checked here too: what makes no callback would keep a run from ending.

-- By type of job. `events` are kinds of events: completed, failed, cancelled, stage.
CREATE TABLE app.subscriptions (
    subscription_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Null: jobs of every type.
    job_type        text,
    url             text NOT NULL CHECK (url ~ '^https?://[^/?#]+'),
    events          text[] NOT NULL,
    -- What callbacks are signed with. No endpoint shows it.
    secret          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- By `callback_url` at a submission: of the run that it started, or found.
CREATE TABLE app.run_subscribers (
    job_id     text NOT NULL,
    run        integer NOT NULL,
    url        text NOT NULL CHECK (url ~ '^https?://[^/?#]+'),
    events     text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, run, url)
);

-- One row for each event and subscriber, written in the transaction of the event. It says all that is sent, so that it
-- needs neither job nor run any more. No foreign keys: the end of a job waits for nobody who deletes a subscription.
CREATE TABLE app.callbacks (
    callback_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The same for every subscriber and each attempt.
    event_id        text NOT NULL,
    event_type      text NOT NULL,
    job_id          text NOT NULL,
    run             integer NOT NULL,
    data            jsonb NOT NULL,
    occurred_at     timestamptz NOT NULL,
    -- Null: by callback_url.
    subscription_id uuid,
    url             text NOT NULL,
    -- With its port. Hosts take turns, so that none waits for another.
    host            text NOT NULL GENERATED ALWAYS AS (substring(url FROM '^https?://([^/?#]+)')) STORED,
    due_at          timestamptz NOT NULL DEFAULT now(),
    -- Held by a sender until then; a sender that died loses its hold. Only the newest holder's outcome counts.
    taken_until     timestamptz,
    fence           bigint,
    attempts        smallint NOT NULL DEFAULT 0,
    attempted_at    timestamptz,
    last_status     smallint,
    last_error      text,
    delivered_at    timestamptz,
    -- Given up; sent again only when somebody asks for it.
    dead_at         timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (delivered_at IS NULL OR dead_at IS NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX callbacks_pending ON app.callbacks (host, due_at) WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX callbacks_dead ON app.callbacks (callback_id) WHERE dead_at IS NOT NULL;
CREATE INDEX callbacks_settled ON app.callbacks ((coalesce(delivered_at, dead_at)))
    WHERE coalesce(delivered_at, dead_at) IS NOT NULL;
CREATE INDEX callbacks_of_run ON app.callbacks (job_id, run);
