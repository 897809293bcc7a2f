-- A load may become several tables, one for each kind of geometry, which are published together.

ALTER TABLE geo.layer_loads
    DROP CONSTRAINT layer_loads_pkey,
    ADD PRIMARY KEY (staging, target_schema, target_table);

-- The materialized view, in the table's schema, that has the geometries in pieces for use by an index, and how many
-- vertices a piece has at most. Null where there is none.
ALTER TABLE geo.layers
    ADD COLUMN parts text,
    ADD COLUMN parts_vertices integer CHECK (parts_vertices >= 5);
