-- The highest run that retention ever removed with its job, by the first digits of the job's id: new jobs count their
-- runs from behind it, so that no run of a job is ever taken for another (docs/adr/0005). 65,536 rows at most, however
-- many jobs come and go.

CREATE TABLE app.removed_jobs (
    first_digits text PRIMARY KEY CHECK (first_digits ~ '^[0-9a-f]{4}$'),
    highest_run  integer NOT NULL
);
INSERT INTO app.removed_jobs
SELECT left(job_id, 4), max(run) FROM app.past_runs WHERE removed_at IS NOT NULL GROUP BY 1;
