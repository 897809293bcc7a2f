-- What operators and their tools are told of (docs/signals.md): totals, and the trace that a run belongs to.

-- Totals that only grow, whichever process counted: they outlive processes, and the rows that they are about. Several
-- rows a total, so that workers do not wait for each other; what counts is their sum.
CREATE TABLE app.totals (
    -- 'attempts' of tasks by task type and outcome, 'jobs' that ended by type and state, 'poison' messages by queue
    -- and what was done, 'reconciled' by rule.
    signal  text NOT NULL,
    kind    text NOT NULL,
    outcome text NOT NULL,
    slot    smallint NOT NULL,
    n       bigint NOT NULL DEFAULT 0,
    seconds double precision NOT NULL DEFAULT 0,
    -- How many lasted less than the first bound of app.duration_bounds(), than the second, …; the last: longer than all.
    buckets bigint[] NOT NULL DEFAULT '{}',
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (signal, kind, outcome, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The W3C traceparent of the request that started, or last retried, the job's current run. Here, because messages may
-- be lost.
ALTER TABLE app.jobs ADD COLUMN traceparent text CHECK (length(traceparent) <= 200);
