-- Whose death is held against a plan (docs/adr/0004): who plans, and what of its attempts does not count.

ALTER TABLE app.jobs
    -- The process that holds, or held last, the right to plan the current stage.
    ADD COLUMN plan_worker text,
    -- Something else that this process held was lost while it held the plan.
    ADD COLUMN plan_shared boolean NOT NULL DEFAULT false,
    -- Attempts that do not count: lost together with others, and given back because what they needed was away.
    ADD COLUMN plan_spared smallint NOT NULL DEFAULT 0,
    ADD COLUMN plan_interruptions smallint NOT NULL DEFAULT 0;
