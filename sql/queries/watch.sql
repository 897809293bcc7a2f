-- Who waits for jobs to end.

-- name: listen
-- app.end_job notifies this channel with the job's id.
LISTEN app_job_ended

-- name: ended
SELECT job_id FROM app.jobs
WHERE job_id = ANY (%(job_ids)s::text[]) AND status NOT IN ('queued', 'processing', 'cancelling')
