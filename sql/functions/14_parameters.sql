-- Parameters as they are searched for: by name and value, at the top. The index of sql/indexes holds what these answer:
-- whoever changes an answer gives the function another name, and the index too.

-- What stands for a parameter of this name and value in the index.
CREATE OR REPLACE FUNCTION app.parameter_key(p_name text, p_value text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(p_name || '=' || p_value, 0)
$$;

-- Names and values of parameters as text: each value, and of lists the first hundred members besides. What is longer
-- than anybody types is left out, as is null.
CREATE OR REPLACE FUNCTION app.parameter_values(p_parameters jsonb) RETURNS TABLE (name text, value text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e.key, v.value
    FROM jsonb_each(CASE jsonb_typeof(p_parameters) WHEN 'object' THEN p_parameters ELSE '{}' END) AS e (key, value)
    CROSS JOIN LATERAL (
        SELECT e.value #>> '{}' AS value
        UNION ALL
        (SELECT m.member #>> '{}'
         FROM jsonb_array_elements(CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE '[]' END) AS m (member)
         LIMIT 100)
    ) AS v
    WHERE length(v.value) <= 1000
$$;

CREATE OR REPLACE FUNCTION app.parameter_keys(p_parameters jsonb) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT app.parameter_key(v.name, v.value)), '{}')
    FROM app.parameter_values(p_parameters) AS v
$$;
