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

-- What a search finds a job by, in lower case: its id, and the words in its parameters' values, at any depth. A word is
-- letters and digits without anything between them: the parser of text search takes a path, or what looks like a host, for
-- one. Of what is longer than anybody looks through, the beginning: all of it is written anew whenever a job changes its
-- state, which is also why parts of words are not in it, of which there are ten times as many. Trigrams would need pg_trgm
-- besides, which the operator of a server in Azure must allow first.
CREATE OR REPLACE FUNCTION app.job_words(p_job_id text, p_parameters jsonb) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000 AS $$
BEGIN
    RETURN (
        SELECT array_to_tsvector(array_agg(DISTINCT left(w.word, 100)))
        FROM (
            SELECT p_job_id AS word
            UNION ALL
            SELECT word
            FROM regexp_split_to_table((
                SELECT lower(left(string_agg(left(v #>> '{}', 1000), ' '), 20000))
                FROM jsonb_path_query(p_parameters, 'strict $.**') AS v
                WHERE jsonb_typeof(v) IN ('string', 'number')
            ), '[^[:alnum:]]+') AS word
            WHERE word <> ''
        ) AS w
    );
END $$;

-- Words as they are looked for among those: each is there, or is the beginning of one where nothing was typed after it.
-- Null where there are none.
CREATE OR REPLACE FUNCTION app.words_query(p_search text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (
        SELECT string_agg(quote_literal(left(w.word, 100)) || CASE WHEN w.is_last THEN ':*' ELSE '' END, ' & ')::tsquery
        FROM regexp_split_to_table(lower(p_search), '\s+') AS term
        CROSS JOIN LATERAL (
            SELECT s.word, s.place = count(*) OVER () AS is_last
            FROM regexp_split_to_table(term, '[^[:alnum:]]+') WITH ORDINALITY AS s (word, place)
        ) AS w
        WHERE w.word <> ''
    );
END $$;
