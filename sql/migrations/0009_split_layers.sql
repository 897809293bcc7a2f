-- A load may become several tables, one for each kind of geometry, which are published together.

ALTER TABLE geo.layer_loads
    DROP CONSTRAINT layer_loads_pkey,
    ADD PRIMARY KEY (staging, target_schema, target_table);
