-- Totals for operators' tools (docs/signals.md). Nothing is decided by them.

-- Upper bounds in seconds by which durations are counted, of attempts and of jobs alike.
CREATE OR REPLACE FUNCTION app.duration_bounds() RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY[0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 21600, 86400]::double precision[]
$$;

-- Two rows of buckets added; a missing one is of zeros.
CREATE OR REPLACE FUNCTION app.add_buckets(a bigint[], b bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(coalesce(x, 0) + coalesce(y, 0) ORDER BY i), '{}')
    FROM unnest(a, b) WITH ORDINALITY AS u (x, y, i)
$$;

-- Add to totals of one signal: what was counted, element by element, and how long each took, where that is known.
-- To be called last in a transaction, because what it locks is what many others add to: of up to sixteen rows that a
-- total has, the first that nobody else holds. Answers how many totals were added to.
CREATE OR REPLACE FUNCTION app.add_totals(
    p_signal text, p_kinds text[], p_outcomes text[], p_counts bigint[], p_seconds double precision[]
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    g record;
    v_slot smallint;
    v_totals integer := 0;
BEGIN
    FOR g IN
        WITH counted AS (
            SELECT kind, outcome, n, seconds, width_bucket(seconds, app.duration_bounds()) AS bucket
            FROM unnest(p_kinds, p_outcomes, p_counts, p_seconds) AS u (kind, outcome, n, seconds)
        ), bucketed AS (
            SELECT kind, outcome, bucket, sum(n)::bigint AS n, coalesce(sum(seconds), 0) AS seconds
            FROM counted GROUP BY kind, outcome, bucket
        )
        SELECT b.kind, b.outcome, sum(b.n)::bigint AS n, sum(b.seconds) AS seconds,
               CASE WHEN count(b.bucket) = 0 THEN '{}'::bigint[]
                    ELSE ARRAY(SELECT coalesce((SELECT o.n FROM bucketed o
                                                WHERE o.kind = b.kind AND o.outcome = b.outcome AND o.bucket = i), 0)
                               FROM generate_series(0, cardinality(app.duration_bounds())) AS i ORDER BY i) END AS buckets
        FROM bucketed b GROUP BY b.kind, b.outcome ORDER BY b.kind, b.outcome
    LOOP
        -- A row that others hold may not be visible yet: so it is their lock that tells.
        SELECT i INTO v_slot FROM generate_series(0, 15) AS i
        WHERE pg_try_advisory_xact_lock(
            hashtextextended(format('total %s %s %s %s', p_signal, g.kind, g.outcome, i), 0))
        LIMIT 1;
        INSERT INTO app.totals AS t (signal, kind, outcome, slot, n, seconds, buckets)
        VALUES (p_signal, g.kind, g.outcome, coalesce(v_slot, pg_backend_pid() % 16), g.n, g.seconds, g.buckets)
        ON CONFLICT (signal, kind, outcome, slot) DO UPDATE
        SET n = t.n + excluded.n, seconds = t.seconds + excluded.seconds,
            buckets = app.add_buckets(t.buckets, excluded.buckets), at = now();
        v_totals := v_totals + 1;
    END LOOP;
    RETURN v_totals;
END $$;

-- Keep which trace a run belongs to; null: none. Of a request that started nothing, nothing is kept.
CREATE OR REPLACE FUNCTION app.keep_trace(p_job_id text, p_started boolean, p_traceparent text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF p_started THEN
        UPDATE app.jobs SET traceparent = p_traceparent
        WHERE job_id = p_job_id AND traceparent IS DISTINCT FROM p_traceparent;
    END IF;
    RETURN p_started;
END $$;
