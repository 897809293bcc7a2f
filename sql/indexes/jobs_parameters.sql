-- Finds jobs by a parameter's name and value. A key of eight bytes for each: parameters may be a megabyte, and what an
-- index of them all would hold is written anew whenever a job changes its state.
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_parameters ON app.jobs USING gin (app.parameter_keys(parameters))
