-- Settings of transactions that change the schema.

-- name: bound_lock_wait
SELECT set_config('lock_timeout', '15s', true)
