-- What the tables of the engine are for, and each of their columns. `local/reference` makes docs/reference/tables.md of
-- it. Comments lock nobody out who reads or writes.

COMMENT ON TABLE app.jobs IS
    'What was submitted, and how its current run stands: one row a job. Earlier runs are in past_runs.';
COMMENT ON COLUMN app.jobs.job_id IS 'SHA-256, as 64 hex digits, of the canonical JSON of job type and parameters.';
COMMENT ON COLUMN app.jobs.job_type IS 'Names the controller.';
COMMENT ON COLUMN app.jobs.parameters IS 'As they were validated, with all defaults.';
COMMENT ON COLUMN app.jobs.status IS 'State of the current run.';
COMMENT ON COLUMN app.jobs.run IS
    'Number of the current run. A later run has a higher number; none comes twice for a job_id.';
COMMENT ON COLUMN app.jobs.stage IS
    'The stage that the run is at, from 1; total_stages + 1: all have ended, and only the result is missing.';
COMMENT ON COLUMN app.jobs.total_stages IS 'How many stages the job type had when the run began.';
COMMENT ON COLUMN app.jobs.result IS 'What the job answers, once it has completed.';
COMMENT ON COLUMN app.jobs.error IS 'Why it failed.';
COMMENT ON COLUMN app.jobs.correlation_id IS 'Of the request that started the run, or last retried it.';
COMMENT ON COLUMN app.jobs.plan_fence IS
    'Number of the newest right to plan the current stage; what another planner writes does not count.';
COMMENT ON COLUMN app.jobs.plan_lease_until IS
    'Until then nobody else plans the stage, unless it is renewed. Null: nobody plans.';
COMMENT ON COLUMN app.jobs.plan_attempts IS 'Planners of the current stage whose deaths count against it.';
COMMENT ON COLUMN app.jobs.created_at IS 'When the job was first submitted.';
COMMENT ON COLUMN app.jobs.queued_at IS 'When the current run was.';
COMMENT ON COLUMN app.jobs.started_at IS 'When a worker took the run up.';
COMMENT ON COLUMN app.jobs.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN app.jobs.completed_at IS 'When the run ended; null while it is live.';
COMMENT ON COLUMN app.jobs.plan_worker IS 'The process that holds, or held last, the right to plan.';
COMMENT ON COLUMN app.jobs.plan_shared IS
    'Whether that process lost something else while it held the plan (docs/adr/0004).';
COMMENT ON COLUMN app.jobs.plan_spared IS 'Planners that died together with other work, which does not count.';
COMMENT ON COLUMN app.jobs.plan_interruptions IS 'Plans that were given back because what they needed was away.';
COMMENT ON COLUMN app.jobs.traceparent IS 'W3C traceparent of the request that started the run, or last retried it.';
COMMENT ON COLUMN app.jobs.plan_began_at IS 'When the right to plan was last taken.';
COMMENT ON COLUMN app.jobs.plan_heard_at IS
    'When the planner was last heard of, which tells how long one worked that died.';
COMMENT ON COLUMN app.jobs.submitted_by IS
    'Who asked for the current run (docs/access.md); null where a schedule or a chain did.';
COMMENT ON COLUMN app.jobs.plan_seconds IS 'How long the run was planned, by planners that died too.';

COMMENT ON TABLE app.past_runs IS
    'Runs that are no longer their job''s current one, and runs whose removal has begun.';
COMMENT ON COLUMN app.past_runs.job_id IS 'The job.';
COMMENT ON COLUMN app.past_runs.run IS 'The run.';
COMMENT ON COLUMN app.past_runs.status IS 'How it ended.';
COMMENT ON COLUMN app.past_runs.result IS 'What it answered.';
COMMENT ON COLUMN app.past_runs.error IS 'Why it failed.';
COMMENT ON COLUMN app.past_runs.correlation_id IS 'Of the request that started or last retried it.';
COMMENT ON COLUMN app.past_runs.queued_at IS 'When it was submitted.';
COMMENT ON COLUMN app.past_runs.started_at IS 'When a worker took it up.';
COMMENT ON COLUMN app.past_runs.completed_at IS 'When it ended.';
COMMENT ON COLUMN app.past_runs.removed_at IS
    'Since then the run is gone for every reader, and its rows are removed page by page; this one last (docs/adr/0005).';
COMMENT ON COLUMN app.past_runs.plan_seconds IS 'How long it was planned.';

COMMENT ON TABLE app.removed_jobs IS
    'The highest run that retention removed with its job, so that no number of a run comes twice (docs/adr/0005).';
COMMENT ON COLUMN app.removed_jobs.first_digits IS 'The first four digits of the jobs'' ids: 65,536 rows at most.';
COMMENT ON COLUMN app.removed_jobs.highest_run IS 'New jobs of such an id count their runs from behind it.';

COMMENT ON TABLE app.stages IS
    'One row for each stage that was planned, written in the transaction that inserts its tasks.';
COMMENT ON COLUMN app.stages.job_id IS 'The job.';
COMMENT ON COLUMN app.stages.run IS 'The run.';
COMMENT ON COLUMN app.stages.stage IS 'Number of the stage, from 1.';
COMMENT ON COLUMN app.stages.stage_key IS 'Its name in the controller.';
COMMENT ON COLUMN app.stages.task_type IS 'Names the handler of its tasks.';
COMMENT ON COLUMN app.stages.status IS 'State of the stage.';
COMMENT ON COLUMN app.stages.task_count IS 'How many tasks were planned.';
COMMENT ON COLUMN app.stages.batch_size IS 'How many of them a message carries.';
COMMENT ON COLUMN app.stages.parameters IS
    'What all tasks have in common; a task''s own are laid over it when it is claimed.';
COMMENT ON COLUMN app.stages.on_failure IS 'What a failed task does to the stage.';
COMMENT ON COLUMN app.stages.max_failed_fraction IS
    'With on_failure = continue: a larger share of failed tasks fails the job after all.';
COMMENT ON COLUMN app.stages.max_attempts IS 'Attempts of a task that may count.';
COMMENT ON COLUMN app.stages.error IS 'Why it failed.';
COMMENT ON COLUMN app.stages.held_from IS
    'Tasks from this index on wait until the ones before, the canary, have completed. Null: nothing waits.';
COMMENT ON COLUMN app.stages.failing_at IS 'When its policy was broken: since then nothing of it is claimed.';
COMMENT ON COLUMN app.stages.result IS 'What it hands to the next stage''s plan: counts, and the first results.';
COMMENT ON COLUMN app.stages.created_at IS 'When it was planned.';
COMMENT ON COLUMN app.stages.completed_at IS 'When it ended.';
COMMENT ON COLUMN app.stages.cleaned_at IS
    'The end after which the leavings of attempts that did not complete were removed.';

COMMENT ON TABLE app.tasks IS
    'One unit of work each, with its newest attempt. No foreign keys: a stage''s rows are inserted by the hundred thousand.';
COMMENT ON COLUMN app.tasks.job_id IS 'The job.';
COMMENT ON COLUMN app.tasks.run IS 'The run.';
COMMENT ON COLUMN app.tasks.stage IS 'The stage.';
COMMENT ON COLUMN app.tasks.task_index IS 'Number in the stage, from 0.';
COMMENT ON COLUMN app.tasks.status IS 'State of the task.';
COMMENT ON COLUMN app.tasks.parameters IS 'Its own; the stage has those that all share.';
COMMENT ON COLUMN app.tasks.attempt IS 'Number of the newest attempt that counts; 0: none yet.';
COMMENT ON COLUMN app.tasks.suspicion IS
    'Whether it may be what kills its process: 1, lost once together with others; 2, a suspect, of which a process runs one at a time (docs/adr/0004).';
COMMENT ON COLUMN app.tasks.fence IS 'Random number of the attempt that may write its outcome; null: none.';
COMMENT ON COLUMN app.tasks.lease_until IS 'Until then the attempt has it, unless it is renewed.';
COMMENT ON COLUMN app.tasks.worker IS 'The process of the newest attempt.';
COMMENT ON COLUMN app.tasks.due_at IS 'When it may be claimed.';
COMMENT ON COLUMN app.tasks.result IS 'What the handler returned, where it is small enough.';
COMMENT ON COLUMN app.tasks.result_location IS 'url, bytes and sha256 of a result too large for the row.';
COMMENT ON COLUMN app.tasks.error IS 'Why it failed, or was cancelled.';
COMMENT ON COLUMN app.tasks.attempts IS 'History: one object for each attempt that did not complete, the newest 50.';
COMMENT ON COLUMN app.tasks.started_at IS 'When the newest attempt claimed it.';
COMMENT ON COLUMN app.tasks.completed_at IS 'When it ended.';
COMMENT ON COLUMN app.tasks.usage IS
    'What all its attempts took: seconds, gb_seconds, operations, bytes_read, bytes_written, peak_bytes. Null: not measured, or too little.';

COMMENT ON TABLE app.stage_counters IS
    'Tasks of a stage by state, for progress only; nothing is decided by them. Several rows a stage, so that workers do not wait for each other: their sum counts.';
COMMENT ON COLUMN app.stage_counters.job_id IS 'The job.';
COMMENT ON COLUMN app.stage_counters.run IS 'The run.';
COMMENT ON COLUMN app.stage_counters.stage IS 'The stage.';
COMMENT ON COLUMN app.stage_counters.slot IS 'Which of the eight rows.';
COMMENT ON COLUMN app.stage_counters.queued IS 'Tasks queued.';
COMMENT ON COLUMN app.stage_counters.processing IS 'Tasks in work.';
COMMENT ON COLUMN app.stage_counters.completed IS 'Tasks completed.';
COMMENT ON COLUMN app.stage_counters.failed IS 'Tasks failed.';
COMMENT ON COLUMN app.stage_counters.cancelled IS 'Tasks cancelled.';
COMMENT ON COLUMN app.stage_counters.attempts IS 'Attempts that were measured.';
COMMENT ON COLUMN app.stage_counters.seconds IS 'In handlers, by the clock.';
COMMENT ON COLUMN app.stage_counters.gb_seconds IS 'Memory of the process over that time, GiB × s.';
COMMENT ON COLUMN app.stage_counters.operations IS 'Requests to blob storage.';
COMMENT ON COLUMN app.stage_counters.bytes_read IS 'From blob storage.';
COMMENT ON COLUMN app.stage_counters.bytes_written IS 'To blob storage.';
COMMENT ON COLUMN app.stage_counters.peak_bytes IS 'The most memory that a process had while such a task ran.';

COMMENT ON TABLE app.stage_items IS
    'What tasks found for the next stage. An item counts only if the attempt with its fence completed.';
COMMENT ON COLUMN app.stage_items.job_id IS 'The job.';
COMMENT ON COLUMN app.stage_items.run IS 'The run.';
COMMENT ON COLUMN app.stage_items.stage IS 'The stage that found it.';
COMMENT ON COLUMN app.stage_items.task_index IS 'The task that did.';
COMMENT ON COLUMN app.stage_items.fence IS 'The attempt that did.';
COMMENT ON COLUMN app.stage_items.seq IS 'Number among what that attempt found, from 0.';
COMMENT ON COLUMN app.stage_items.item IS 'The parameters of a task of the next stage.';

COMMENT ON TABLE app.outbox IS
    'Messages that must reach a queue, written in the transaction that makes them needed. A row lives until its work was taken up, not only until it was sent.';
COMMENT ON COLUMN app.outbox.dispatch_id IS 'In the order in which they were written.';
COMMENT ON COLUMN app.outbox.queue IS 'jobs or tasks.';
COMMENT ON COLUMN app.outbox.job_id IS 'The job.';
COMMENT ON COLUMN app.outbox.run IS 'The run.';
COMMENT ON COLUMN app.outbox.stage IS 'The stage.';
COMMENT ON COLUMN app.outbox.first IS 'First task of the batch; null in the queue of jobs.';
COMMENT ON COLUMN app.outbox.last IS 'Last task of the batch, inclusive.';
COMMENT ON COLUMN app.outbox.not_before IS 'When it may be received.';
COMMENT ON COLUMN app.outbox.taken_until IS 'A sender has it until then; one that died loses its hold.';
COMMENT ON COLUMN app.outbox.sends IS 'How often it was sent.';
COMMENT ON COLUMN app.outbox.sent_at IS 'When it last was; null: to be sent.';
COMMENT ON COLUMN app.outbox.redeliver_at IS
    'When to look whether anybody took up the work, and to send again if not.';
COMMENT ON COLUMN app.outbox.parked IS 'The limited type that it waits for, and must not be sent before.';
COMMENT ON COLUMN app.outbox.created_at IS 'When it was written.';

COMMENT ON TABLE app.concurrency_limits IS
    'How many jobs of a type, or tasks of a type, may run at once. No row: any number.';
COMMENT ON COLUMN app.concurrency_limits.limited_type IS 'job:TYPE or task:TYPE.';
COMMENT ON COLUMN app.concurrency_limits.at_most IS '0 holds everything of the type back.';
COMMENT ON COLUMN app.concurrency_limits.updated_at IS 'When it was last set.';

COMMENT ON TABLE app.job_events IS
    'Append-only history of every transition (docs/reference/states.md).';
COMMENT ON COLUMN app.job_events.event_id IS 'In the order in which they were written.';
COMMENT ON COLUMN app.job_events.job_id IS 'The job.';
COMMENT ON COLUMN app.job_events.run IS 'The run.';
COMMENT ON COLUMN app.job_events.stage IS 'The stage; null: the whole run.';
COMMENT ON COLUMN app.job_events.event IS 'What happened.';
COMMENT ON COLUMN app.job_events.tasks IS 'The tasks concerned, as ranges of indexes.';
COMMENT ON COLUMN app.job_events.detail IS 'What else is to be said of it.';
COMMENT ON COLUMN app.job_events.worker IS 'The process that did it.';
COMMENT ON COLUMN app.job_events.at IS 'When.';

COMMENT ON TABLE app.poison_messages IS
    'Messages that could not be processed, and errors that messages raised.';
COMMENT ON COLUMN app.poison_messages.poison_id IS 'In the order in which they were recorded.';
COMMENT ON COLUMN app.poison_messages.queue IS 'The storage queue.';
COMMENT ON COLUMN app.poison_messages.message_id IS 'Its id there.';
COMMENT ON COLUMN app.poison_messages.reason IS 'Why.';
COMMENT ON COLUMN app.poison_messages.raw IS 'Its first 1,000 characters, without secrets.';
COMMENT ON COLUMN app.poison_messages.bytes IS 'Its size.';
COMMENT ON COLUMN app.poison_messages.dequeue_count IS 'How often it had been delivered.';
COMMENT ON COLUMN app.poison_messages.job_id IS 'The job that it names, where that can be told.';
COMMENT ON COLUMN app.poison_messages.run IS 'The run that it names.';
COMMENT ON COLUMN app.poison_messages.stage IS 'The stage that it names.';
COMMENT ON COLUMN app.poison_messages.first IS 'The first task that it names.';
COMMENT ON COLUMN app.poison_messages.last IS 'The last task that it names.';
COMMENT ON COLUMN app.poison_messages.correlation_id IS 'Under which the log has it.';
COMMENT ON COLUMN app.poison_messages.action IS
    'recorded, failed (its work), dispatched_again, raised (an error of its work''s), forgiven (by a retry).';
COMMENT ON COLUMN app.poison_messages.recorded_at IS 'When.';

COMMENT ON TABLE app.poison_queue_sightings IS
    'What the last look into the poison queues saw; each should have its row in poison_messages.';
COMMENT ON COLUMN app.poison_queue_sightings.queue IS 'The poison queue.';
COMMENT ON COLUMN app.poison_queue_sightings.message_id IS 'The message.';
COMMENT ON COLUMN app.poison_queue_sightings.seen_at IS 'When it was seen.';

COMMENT ON TABLE app.dead_planners IS
    'Processes that lost the plan of a stage within the last hour, whose death is not held against the tasks they held besides (docs/adr/0004).';
COMMENT ON COLUMN app.dead_planners.worker IS 'The process.';
COMMENT ON COLUMN app.dead_planners.job_id IS 'The job whose plan it lost.';
COMMENT ON COLUMN app.dead_planners.lost_at IS 'When.';

COMMENT ON TABLE app.subscriptions IS
    'Who is told of every job of a type (docs/callbacks.md).';
COMMENT ON COLUMN app.subscriptions.subscription_id IS 'Its id.';
COMMENT ON COLUMN app.subscriptions.job_type IS 'Null: jobs of every type.';
COMMENT ON COLUMN app.subscriptions.url IS 'Where callbacks are sent.';
COMMENT ON COLUMN app.subscriptions.events IS 'Of completed, failed, cancelled, stage.';
COMMENT ON COLUMN app.subscriptions.secret IS 'What callbacks are signed with. No endpoint shows it.';
COMMENT ON COLUMN app.subscriptions.created_at IS 'When it was made.';

COMMENT ON TABLE app.run_subscribers IS
    'Who is told of one run, by callback_url at a submission.';
COMMENT ON COLUMN app.run_subscribers.job_id IS 'The job.';
COMMENT ON COLUMN app.run_subscribers.run IS 'The run.';
COMMENT ON COLUMN app.run_subscribers.url IS 'Where callbacks are sent.';
COMMENT ON COLUMN app.run_subscribers.events IS 'Of completed, failed, cancelled, stage.';
COMMENT ON COLUMN app.run_subscribers.created_at IS 'When it was asked for.';

COMMENT ON TABLE app.callbacks IS
    'One row for each event and subscriber, written in the transaction of the event, with all that is sent.';
COMMENT ON COLUMN app.callbacks.callback_id IS 'In the order in which they were written.';
COMMENT ON COLUMN app.callbacks.event_id IS 'The same for every subscriber and each attempt.';
COMMENT ON COLUMN app.callbacks.event_type IS 'Type of the CloudEvent, without its prefix.';
COMMENT ON COLUMN app.callbacks.job_id IS 'The job.';
COMMENT ON COLUMN app.callbacks.run IS 'The run.';
COMMENT ON COLUMN app.callbacks.data IS 'What is told.';
COMMENT ON COLUMN app.callbacks.occurred_at IS 'When it happened.';
COMMENT ON COLUMN app.callbacks.subscription_id IS 'Null: by callback_url.';
COMMENT ON COLUMN app.callbacks.url IS 'Where it is sent.';
COMMENT ON COLUMN app.callbacks.host IS 'Its host and port: hosts take turns.';
COMMENT ON COLUMN app.callbacks.due_at IS 'When it may be sent, or tried again.';
COMMENT ON COLUMN app.callbacks.taken_until IS 'A sender has it until then; one that died loses its hold.';
COMMENT ON COLUMN app.callbacks.fence IS 'Of the newest sender, whose outcome alone counts.';
COMMENT ON COLUMN app.callbacks.attempts IS 'How often it was taken up.';
COMMENT ON COLUMN app.callbacks.attempted_at IS 'When it last was.';
COMMENT ON COLUMN app.callbacks.last_status IS 'HTTP status of the last answer.';
COMMENT ON COLUMN app.callbacks.last_error IS 'Why the last attempt did not deliver it.';
COMMENT ON COLUMN app.callbacks.delivered_at IS 'When it was delivered.';
COMMENT ON COLUMN app.callbacks.dead_at IS 'When it was given up.';
COMMENT ON COLUMN app.callbacks.created_at IS 'When it was written.';

COMMENT ON TABLE app.schedules IS
    'Jobs that the clock submits (docs/schedules.md).';
COMMENT ON COLUMN app.schedules.name IS 'Its name.';
COMMENT ON COLUMN app.schedules.cron IS 'Five fields, as in crontab(5).';
COMMENT ON COLUMN app.schedules.time_zone IS 'Name of the IANA database.';
COMMENT ON COLUMN app.schedules.job_type IS 'What is submitted.';
COMMENT ON COLUMN app.schedules.parameters IS 'A template, filled in at the tick.';
COMMENT ON COLUMN app.schedules.enabled IS 'Whether it ticks.';
COMMENT ON COLUMN app.schedules.next_at IS 'The next tick, or the first of those that were missed.';
COMMENT ON COLUMN app.schedules.created_at IS 'When it was made.';
COMMENT ON COLUMN app.schedules.callback_url IS 'Who is told of each run that the clock starts.';
COMMENT ON COLUMN app.schedules.callback_events IS 'Of which ends: completed, failed, cancelled, stage.';
COMMENT ON COLUMN app.schedules.follower IS 'What follows each run, as at a submission.';
COMMENT ON COLUMN app.schedules.error IS 'Why it cannot tick.';
COMMENT ON COLUMN app.schedules.rests_until IS
    'Until then nobody looks at it again, so that it keeps no other from its turn.';

COMMENT ON TABLE app.schedule_ticks IS
    'One row for each tick, written with the submission that it made.';
COMMENT ON COLUMN app.schedule_ticks.name IS 'The schedule.';
COMMENT ON COLUMN app.schedule_ticks.tick_at IS 'The time that it stands for.';
COMMENT ON COLUMN app.schedule_ticks.fired_at IS 'When it was taken up.';
COMMENT ON COLUMN app.schedule_ticks.missed_since IS
    'The first of the ticks that nobody was there for, where there were any before this one.';
COMMENT ON COLUMN app.schedule_ticks.job_id IS 'What was submitted; null: nothing could be.';
COMMENT ON COLUMN app.schedule_ticks.run IS 'Its run.';
COMMENT ON COLUMN app.schedule_ticks.created IS 'Whether the tick started that run.';
COMMENT ON COLUMN app.schedule_ticks.error IS 'Why nothing could be submitted.';

COMMENT ON TABLE app.followers IS
    'What is to be submitted when a run has ended (docs/schedules.md).';
COMMENT ON COLUMN app.followers.follower_id IS 'In the order in which they were asked for.';
COMMENT ON COLUMN app.followers.job_id IS 'The job that is followed.';
COMMENT ON COLUMN app.followers.run IS 'Its run.';
COMMENT ON COLUMN app.followers.digest IS
    'Of the request''s canonical JSON: asking twice for the same is asking once.';
COMMENT ON COLUMN app.followers.request IS 'What is to be submitted, a template.';
COMMENT ON COLUMN app.followers.depth IS 'How many runs of the chain are before it.';
COMMENT ON COLUMN app.followers.state IS 'waiting, submitted, skipped or failed.';
COMMENT ON COLUMN app.followers.due_at IS 'The end that it is to follow, and has not yet.';
COMMENT ON COLUMN app.followers.next_job_id IS 'The job that was submitted.';
COMMENT ON COLUMN app.followers.next_run IS 'Its run.';
COMMENT ON COLUMN app.followers.error IS 'Why it was skipped, or could not be submitted.';
COMMENT ON COLUMN app.followers.created_at IS 'When it was asked for.';
COMMENT ON COLUMN app.followers.settled_at IS 'When it was submitted, skipped or failed.';

COMMENT ON TABLE app.totals IS
    'Totals that only grow, for metrics; they outlive the rows that they are about. Several rows a total: their sum counts.';
COMMENT ON COLUMN app.totals.signal IS 'attempts, jobs, poison or reconciled.';
COMMENT ON COLUMN app.totals.kind IS 'Task type, job type, queue or rule.';
COMMENT ON COLUMN app.totals.outcome IS 'Outcome, state or action.';
COMMENT ON COLUMN app.totals.slot IS 'Which of the sixteen rows.';
COMMENT ON COLUMN app.totals.n IS 'How many.';
COMMENT ON COLUMN app.totals.seconds IS 'Their durations together.';
COMMENT ON COLUMN app.totals.buckets IS
    'How many lasted less than each bound of app.duration_bounds(); the last: longer than all.';
COMMENT ON COLUMN app.totals.at IS 'When it last grew.';

COMMENT ON TABLE app.schema_migrations IS
    'The files below sql/ that were applied, written by the migrations themselves.';
COMMENT ON COLUMN app.schema_migrations.name IS 'Folder and name.';
COMMENT ON COLUMN app.schema_migrations.sha256 IS 'Of its text when it was applied.';
COMMENT ON COLUMN app.schema_migrations.applied_at IS 'When.';

COMMENT ON TABLE app.samples IS
    'What each minute was like, for charts; kept for a week.';
COMMENT ON COLUMN app.samples.at IS 'The beginning of the minute.';
COMMENT ON COLUMN app.samples.jobs_messages IS 'In the queue of jobs; null: it could not be looked at.';
COMMENT ON COLUMN app.samples.jobs_oldest_seconds IS 'Age of its oldest message.';
COMMENT ON COLUMN app.samples.jobs_poison IS 'In its poison queue.';
COMMENT ON COLUMN app.samples.tasks_messages IS 'In the queue of tasks; null: it could not be looked at.';
COMMENT ON COLUMN app.samples.tasks_oldest_seconds IS 'Age of its oldest message.';
COMMENT ON COLUMN app.samples.tasks_poison IS 'In its poison queue.';
COMMENT ON COLUMN app.samples.outbox_messages IS 'To be sent.';
COMMENT ON COLUMN app.samples.outbox_oldest_seconds IS 'Since the first of them was due.';
COMMENT ON COLUMN app.samples.tasks_queued IS 'Tasks queued.';
COMMENT ON COLUMN app.samples.tasks_processing IS 'Tasks in work.';
COMMENT ON COLUMN app.samples.attempts IS
    'By outcome, since the beginning: what happened between two samples is their difference.';
COMMENT ON COLUMN app.samples.jobs IS 'Jobs that ended by state, since the beginning.';

COMMENT ON TABLE app.task_logs IS
    'The lines that attempts logged: a row for an attempt that logged any, written with its outcome.';
COMMENT ON COLUMN app.task_logs.job_id IS 'The job.';
COMMENT ON COLUMN app.task_logs.run IS 'The run.';
COMMENT ON COLUMN app.task_logs.stage IS 'The stage.';
COMMENT ON COLUMN app.task_logs.task_index IS 'The task.';
COMMENT ON COLUMN app.task_logs.fence IS 'Tells attempts apart: numbers of those that did not count come again.';
COMMENT ON COLUMN app.task_logs.attempt IS 'Number of the attempt.';
COMMENT ON COLUMN app.task_logs.outcome IS 'How it ended.';
COMMENT ON COLUMN app.task_logs.severity IS
    'The most severe line, as Python numbers levels: 20 INFO, 30 WARNING, 40 ERROR, 50 CRITICAL.';
COMMENT ON COLUMN app.task_logs.dropped IS 'How many lines were left out, the oldest first.';
COMMENT ON COLUMN app.task_logs.lines IS 'at, level, logger and message of each, the oldest first.';
COMMENT ON COLUMN app.task_logs.written_at IS 'When.';
