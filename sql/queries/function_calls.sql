-- One harmless call of each SQL function that can be called about a job that does not exist. They run in a
-- transaction that is rolled back. Functions that act on whatever they find (reconcile_plans, note_shared_plans,
-- reconcile_undispatched, reconcile_limits) are not called: they would hold locks on real rows until the rollback.

-- name: task_ranges
SELECT app.task_ranges(ARRAY[0, 1, 2, 5])

-- name: record_event
SELECT app.record_event(%(job_id)s, 1, 1, 'function_test')

-- name: asked_by
SELECT app.asked_by(NULL, '')

-- name: caller
SELECT app.caller()

-- name: audit
SELECT app.audit('{"kind": "key", "name": "key", "correlation_id": ""}', 'function_test', '{}', %(job_id)s, 1)

-- name: record_action
SELECT app.record_action(%(job_id)s, 1, 1, 'function_test')

-- name: sweep_audit
SELECT app.sweep_audit('-infinity', 0)

-- name: count_tasks
SELECT app.count_tasks(%(job_id)s, 1, 1)

-- name: recount_stage
SELECT app.recount_stage(%(job_id)s, 1, 1)

-- name: duration_bounds
SELECT app.duration_bounds()

-- name: add_buckets
SELECT app.add_buckets('{1, 2}', '{}')

-- name: add_totals
SELECT app.add_totals('function_test', ARRAY['x'], ARRAY['y'], ARRAY[1], ARRAY[0.1])

-- name: growth
SELECT app.growth('{"completed": 1}', '{"completed": 3}', 'completed')

-- name: parameter_key
SELECT app.parameter_key('function', 'test')

-- name: parameter_values
SELECT * FROM app.parameter_values('{"function": ["test"]}')

-- name: parameter_keys
SELECT app.parameter_keys('{"function": "test"}')

-- name: job_words
SELECT app.job_words(%(job_id)s, '{"function": "test"}')

-- name: words_query
SELECT app.words_query('some words')

-- name: keep_trace
SELECT app.keep_trace(%(job_id)s, true, NULL)

-- name: lock_job
SELECT app.lock_job(%(job_id)s)

-- name: dispatch_job
SELECT app.dispatch_job(%(job_id)s, 1, 1)

-- name: planned_for
SELECT app.planned_for(j, now()) FROM app.jobs j WHERE job_id = %(job_id)s

-- name: keep_past_run
SELECT app.keep_past_run(j) FROM app.jobs j WHERE job_id = %(job_id)s

-- name: event_id
SELECT app.event_id(%(job_id)s, 1, NULL, now())

-- name: tell
SELECT app.tell(%(job_id)s, 1, NULL, 'function_test', 'function_test', 'function_test', now(), '{}', '')

-- name: tell_end
SELECT app.tell_end(%(job_id)s, 1, 'function_test', 'failed', 'function test', now(), '')

-- name: subscribe_run
SELECT app.subscribe_run(%(job_id)s, 1, 'https://example.org/', '{failed}')

-- name: take_callbacks
SELECT * FROM app.take_callbacks('{}', 0, 0, interval '1 second', 1)

-- name: settle_callback
SELECT app.settle_callback(0, 0, 'retry', NULL, 'function test', 0)

-- name: resend_callback
SELECT app.resend_callback(0)

-- name: resend_dead
SELECT * FROM app.resend_dead('', NULL, NULL, 0)

-- name: sweep_callbacks
SELECT app.sweep_callbacks('-infinity', 0)

-- name: unsubscribe
SELECT app.unsubscribe('00000000-0000-0000-0000-000000000000')

-- name: take_tick
SELECT app.take_tick('function_test', now(), now(), now())

-- name: add_follower
SELECT app.add_follower(%(job_id)s, 1, 'function_test', '{}', 1)

-- name: wake_followers
SELECT app.wake_followers(%(job_id)s, 1, now())

-- name: due_followers
SELECT * FROM app.due_followers(0)

-- name: settle_follower
SELECT app.settle_follower(0, now(), 'failed', NULL, 'function test')

-- name: sweep_ticks
SELECT app.sweep_ticks('-infinity', 0)

-- name: submit_job
SELECT * FROM app.submit_job(%(job_id)s, 'function_test', '{}', 1, '', false)

-- name: end_job
SELECT app.end_job(%(job_id)s, 1, 'failed', NULL, 'function test')

-- name: fail_job
SELECT app.fail_job(%(job_id)s, 1, 1, 'function test')

-- name: cancel_job
SELECT * FROM app.cancel_job(%(job_id)s)

-- name: retry_job
SELECT * FROM app.retry_job(%(job_id)s, '')

-- name: claim_plan
SELECT * FROM app.claim_plan(%(job_id)s, 1, 1, 'function_test', interval '1 second', 1)

-- name: release_plan
SELECT app.release_plan(%(job_id)s, 0, 'function test')

-- name: begin_fan_out
SELECT app.begin_fan_out(%(job_id)s, 1, 1, 0, interval '1 second')

-- name: may_plan
SELECT app.may_plan(%(job_id)s, 1, 1, 0)

-- name: planner_holds_more
SELECT app.planner_holds_more(j) FROM app.jobs j WHERE job_id = %(job_id)s

-- name: expect_waiting
SELECT app.expect_waiting('tasks', now(), interval '30 seconds', interval '15 minutes', 0)

-- name: expect_passed
SELECT app.expect_passed('tasks', now(), interval '30 seconds', 0)

-- name: plans_of
SELECT app.plans_of('w')

-- name: lose_plan
SELECT app.lose_plan(job_id) FROM app.jobs WHERE job_id = %(job_id)s

-- name: insert_tasks_from_items
SELECT app.insert_tasks_from_items(%(job_id)s, 1, 2, 1)

-- name: insert_tasks_from_item_groups
SELECT * FROM app.insert_tasks_from_item_groups(%(job_id)s, 1, 2, 'function_test', 1)

-- name: insert_tasks_from_results
SELECT app.insert_tasks_from_results(%(job_id)s, 1, 2, '{}', 1)

-- name: dispatch_range
SELECT app.dispatch_range(%(job_id)s, 1, 1, 0, 0)

-- name: limited
SELECT app.limited('task:function_test')

-- name: lock_limit
SELECT app.lock_limit('task:function_test')

-- name: running_of
SELECT app.running_of('task:function_test')

-- name: free_slots
SELECT app.free_slots('task:function_test')

-- name: park_job
SELECT app.park_job(%(job_id)s, 1, 1, 'job:function_test')

-- name: park_tasks
SELECT app.park_tasks(%(job_id)s, 1, 1, 0, 0, 0, 'task:function_test')

-- name: dispatch_needed
SELECT app.dispatch_needed(o) FROM app.outbox o WHERE job_id = %(job_id)s

-- name: unpark
SELECT app.unpark('task:function_test')

-- name: parked_types
SELECT app.parked_types()

-- name: set_limit
SELECT app.set_limit('task:function_test', NULL)

-- name: judge_canary
SELECT app.judge_canary(%(job_id)s, 1, 1, 'function_test')

-- name: canary_unfinished
SELECT app.canary_unfinished(s) FROM app.stages s WHERE job_id = %(job_id)s

-- name: dispatch_queued
SELECT app.dispatch_queued(%(job_id)s, 1, 1)

-- name: seal_stage
SELECT app.seal_stage(%(job_id)s, 1, 1, 0, '', 'function_test', 'function_test', 0, 1, '{}', 'fail_job', NULL, 1, 0)

-- name: stage_unfinished
SELECT app.stage_unfinished(%(job_id)s, 1, 1)

-- name: finish_stage
SELECT app.finish_stage(%(job_id)s, 1, 1, 'function_test')

-- name: complete_job
SELECT app.complete_job(%(job_id)s, 1, 2, 0, '{}')

-- name: claim_tasks
SELECT * FROM app.claim_tasks(%(job_id)s, 1, 1, 0, 0, 'function_test', interval '1 second')

-- name: pick_suspect
SELECT app.pick_suspect(%(job_id)s, 1, 1, 0, 0, 'function_test')

-- name: put_back
SELECT app.put_back(%(job_id)s, 1, 1, 0, 0)

-- name: with_attempt
SELECT app.with_attempt(NULL, 1, 'failed', 'function test', 'function_test', now())

-- name: postpone_dispatch
SELECT app.postpone_dispatch(%(job_id)s, 1, 1, 0, 0, 1)

-- name: dispatch_deferred
SELECT app.dispatch_deferred(%(job_id)s, 1, 1, ARRAY[0])

-- name: keep_task_logs
SELECT app.keep_task_logs(%(job_id)s, 1, 1, '[{"task_index": 0, "fence": 0}]', '{}')

-- name: sweep_run_logs
SELECT * FROM app.sweep_run_logs(%(job_id)s, 1, NULL, 0)

-- name: extend_leases
SELECT * FROM app.extend_leases(ARRAY[%(job_id)s::text], ARRAY[1], ARRAY[1], ARRAY[0], ARRAY[0]::bigint[], interval '1 second')

-- name: extend_plans
SELECT * FROM app.extend_plans(ARRAY[%(job_id)s::text], ARRAY[0]::bigint[], interval '1 second')

-- name: finish_tasks
SELECT * FROM app.finish_tasks(%(job_id)s, 1, 1, 'function_test', ARRAY[0], ARRAY[0]::bigint[], ARRAY['completed'],
                               ARRAY['{}']::jsonb[], ARRAY[NULL]::jsonb[], ARRAY[NULL]::text[], ARRAY[0]::float8[],
                               ARRAY[NULL]::jsonb[], NULL)

-- name: count_work
SELECT app.count_work(%(job_id)s, 1, 1, 0, 0, 0, 0, 0, '{"seconds": 1}')

-- name: with_usage
SELECT app.with_usage('{"seconds": 1}', '{"seconds": 1}')

-- name: failures_that_matter
SELECT app.failures_that_matter(s) FROM app.stages s WHERE job_id = %(job_id)s

-- name: check_policy
SELECT app.check_policy(%(job_id)s, 1, 1)

-- name: sweep_stage
SELECT app.sweep_stage(%(job_id)s, 1, 1, 1)

-- name: after_no_claim
SELECT * FROM app.after_no_claim(%(job_id)s, 1, 1, 0, 0)

-- name: take_dispatches
SELECT * FROM app.take_dispatches(repeat('f', 64), 1, interval '1 second')

-- name: mark_sent
SELECT app.mark_sent('{}', interval '1 second', interval '1 second')

-- name: release_dispatches
SELECT app.release_dispatches('{}')

-- name: reconcile_leases
SELECT * FROM app.reconcile_leases(0, interval '1 second')

-- name: stalled_stages
SELECT * FROM app.stalled_stages() LIMIT 1

-- name: reconcile_dispatches
SELECT * FROM app.reconcile_dispatches(0)

-- name: record_poison
SELECT app.record_poison('function_test', 'function_test', 'function test', '', 0, 1, NULL, NULL, NULL, NULL, NULL, '', 'recorded')

-- name: dispatch_again
SELECT app.dispatch_again(%(job_id)s, 1, 1, 0, 0)

-- name: replay_message
SELECT app.replay_message(0, %(job_id)s, 1, 1, 0, 0)

-- name: fail_tasks
SELECT app.fail_tasks(%(job_id)s, 1, 1, 0, 0, 'function test')

-- name: old_runs
SELECT * FROM app.old_runs('-infinity', '-infinity', '', 0, 1)

-- name: remove_run
SELECT app.remove_run(%(job_id)s, 1, now())

-- name: unswept_runs
SELECT * FROM app.unswept_runs(1)

-- name: run_is_removed
SELECT app.run_is_removed(%(job_id)s, 1)

-- name: sweep_run_tasks
SELECT * FROM app.sweep_run_tasks(%(job_id)s, 1, NULL, 1)

-- name: sweep_run_items
SELECT * FROM app.sweep_run_items(%(job_id)s, 1, NULL, 1)

-- name: sweep_run_events
SELECT * FROM app.sweep_run_events(%(job_id)s, 1, NULL, 1)

-- name: forget_run
SELECT app.forget_run(%(job_id)s, 1)

-- name: count_run
SELECT * FROM app.count_run(%(job_id)s, 1)

-- name: had_other_attempts
SELECT app.had_other_attempts(s) FROM app.stages s WHERE job_id = %(job_id)s

-- name: pass_clean_stages
SELECT app.pass_clean_stages('-infinity', 1)

-- name: uncleaned_stages
SELECT * FROM app.uncleaned_stages('-infinity', 1)

-- name: abandoned_attempts
SELECT * FROM app.abandoned_attempts(%(job_id)s, 1, 1, ARRAY[0], ARRAY[0]::bigint[])

-- name: abandoned_items
SELECT * FROM app.abandoned_items(%(job_id)s, 1, 1)

-- name: sweep_attempt_items
SELECT * FROM app.sweep_attempt_items(%(job_id)s, 1, 1, 0, 0, NULL, 1)

-- name: stage_cleaned
SELECT app.stage_cleaned(%(job_id)s, 1, 1, now())

-- name: poison_is_gone
SELECT app.poison_is_gone(p) FROM app.poison_messages p WHERE job_id = %(job_id)s

-- name: sweep_leftovers
SELECT app.sweep_leftovers('-infinity', 0)

-- name: attempt_holds
SELECT app.attempt_holds(%(job_id)s, 1, 1, 0, 0)

-- name: find_cog
SELECT * FROM app.find_cog('function_test', %(job_id)s, %(job_id)s)

-- name: begin_publication
SELECT app.begin_publication(%(job_id)s, jsonb_build_object(
    'container', 'function_test', 'name', 'function_test', 'job_id', %(job_id)s::text, 'run', 1, 'stage', 1,
    'task_index', 0, 'fence', 0))

-- name: record_cog
SELECT app.record_cog(u, '', false, NULL) FROM geo.cog_publications u WHERE u.job_id = %(job_id)s

-- name: publish_cog
SELECT * FROM app.publish_cog('function_test', %(job_id)s, %(job_id)s, '')

-- name: settle_publication
SELECT app.settle_publication('function_test', %(job_id)s, %(job_id)s, '', NULL)

-- name: forget_publication
SELECT app.forget_publication('function_test', %(job_id)s, %(job_id)s)

-- name: unsettled_publications
SELECT * FROM app.unsettled_publications('-infinity', 1)

-- name: ended_runs
SELECT * FROM app.ended_runs(ARRAY[%(job_id)s::text], ARRAY[1], now())
