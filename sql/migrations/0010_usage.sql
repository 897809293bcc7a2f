-- What work takes (interfaces/costs.py).

-- Of a task's attempts together: an object of seconds, gb_seconds, operations, bytes_read, bytes_written and
-- peak_bytes, without those that are nothing. Null: nobody measured it, or it took too little to be kept.
ALTER TABLE app.tasks ADD COLUMN usage jsonb;

-- Of all attempts of a stage that were reported. Beside the counts, because whoever reports outcomes writes these rows
-- anyway.
ALTER TABLE app.stage_counters
    ADD COLUMN attempts bigint NOT NULL DEFAULT 0,
    ADD COLUMN seconds double precision NOT NULL DEFAULT 0,
    ADD COLUMN gb_seconds double precision NOT NULL DEFAULT 0,
    ADD COLUMN operations bigint NOT NULL DEFAULT 0,
    ADD COLUMN bytes_read bigint NOT NULL DEFAULT 0,
    ADD COLUMN bytes_written bigint NOT NULL DEFAULT 0,
    ADD COLUMN peak_bytes bigint NOT NULL DEFAULT 0;
