-- What tells that work was lost.

-- Sent dispatches in the order of their messages, so that those are found which their queue has passed
-- (docs/adr/0013).
CREATE INDEX outbox_in_queue ON app.outbox (queue, sent_at) WHERE sent_at IS NOT NULL;

-- Processes that lost the plan of a stage (docs/adr/0004): whose death, the tasks they held besides may not be
-- charged with, even when another process has taken up the plan by the time that these are judged.

CREATE TABLE app.dead_planners (
    worker  text NOT NULL,
    job_id  text NOT NULL,
    lost_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (worker, job_id)
);
