-- The same for who did what, which no schema operation drops (docs/access.md).

COMMENT ON TABLE audit.actions IS
    'One row for each thing that a caller of the API did, written in the transaction that did it, or before what takes several. Rows are never changed, and removed once they are older than AUDIT_DAYS.';
COMMENT ON COLUMN audit.actions.action_id IS 'In the order in which they were written.';
COMMENT ON COLUMN audit.actions.at IS 'When.';
COMMENT ON COLUMN audit.actions.action IS
    'What was done: submitted, limit_set, schema_nuked, … (docs/access.md). What job_events has too is called as there.';
COMMENT ON COLUMN audit.actions.kind IS 'What the caller is: user, app, key or anonymous.';
COMMENT ON COLUMN audit.actions.name IS
    'What the caller was called then, in at most 200 characters; never a key or a token.';
COMMENT ON COLUMN audit.actions.object_id IS
    'Of the user or the service principal in Entra ID, which does not change as names do; null for others.';
COMMENT ON COLUMN audit.actions.correlation_id IS 'Of the request.';
COMMENT ON COLUMN audit.actions.job_id IS 'The job, where it is about one; it may be gone by now.';
COMMENT ON COLUMN audit.actions.run IS 'Its run then.';
COMMENT ON COLUMN audit.actions.detail IS
    'What else says what it was about. Neither parameters nor addresses, which may hold secrets.';
