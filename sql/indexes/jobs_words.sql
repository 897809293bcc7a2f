-- Finds jobs by words of their parameters' values, by how they begin, and by the beginning of their id.
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_words ON app.jobs USING gin (app.job_words(job_id, parameters))
