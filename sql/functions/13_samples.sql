-- Samples of totals, by which the operations page looks back.

-- How much a total grew between two samples of it; null without one before. One that began anew has not grown.
CREATE OR REPLACE FUNCTION app.growth(p_before jsonb, p_after jsonb, p_outcome text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_before IS NOT NULL
                THEN greatest(coalesce((p_after ->> p_outcome)::bigint, 0) - coalesce((p_before ->> p_outcome)::bigint, 0), 0)
           END
$$;
