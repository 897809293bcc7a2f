-- Processes that lost the plan of a stage (docs/adr/0004): whose death, the tasks they held besides may not be
-- charged with, even when another process has taken up the plan by the time that these are judged.

CREATE TABLE app.dead_planners (
    worker  text NOT NULL,
    job_id  text NOT NULL,
    lost_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (worker, job_id)
);
