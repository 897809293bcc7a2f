-- Who did what (docs/access.md, docs/adr/0020). In a schema of its own, which no schema operation drops: who drops
-- everything else is written down there. It may therefore be there already, and what changes it must not mind that.

CREATE SCHEMA IF NOT EXISTS audit;

-- One row for each thing that a caller of the API did, written in the transaction that did it. Only ever added to.
CREATE TABLE IF NOT EXISTS audit.actions (
    action_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- As job_events call it, where it is about a job.
    action         text NOT NULL,
    -- user, app, key, anonymous
    kind           text NOT NULL,
    name           text NOT NULL,
    -- Of a user or service principal in Entra ID.
    object_id      text,
    correlation_id text NOT NULL,
    job_id         text,
    run            integer,
    -- What else identifies it. Neither parameters nor addresses, which may hold secrets.
    detail         jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS actions_at ON audit.actions (at);
CREATE INDEX IF NOT EXISTS actions_of_job ON audit.actions (job_id, action_id) WHERE job_id IS NOT NULL;

-- Who asked for the current run. Null: a schedule, a chain, or a release that did not ask.
ALTER TABLE app.jobs ADD COLUMN submitted_by jsonb;
