-- Tables of features, loads under way, and features that were rejected. Needs no PostGIS: only the tables that
-- are loaded do, and they are made when the first is.

-- Where tables are filled before readers see them. Nothing but what `app.stage_layer` notes is here.
CREATE SCHEMA IF NOT EXISTS geo_staging;

-- One row for each table that was loaded, as the newest load left it.
CREATE TABLE geo.layers (
    target_schema   text NOT NULL,
    target_table    text NOT NULL,
    -- What its name was made of.
    title           text NOT NULL,
    srid            integer NOT NULL,
    geometry_column text NOT NULL,
    geometry_type   text NOT NULL,
    -- Names of the columns of its primary key.
    key             jsonb NOT NULL,
    -- [{"name", "type", "original"}]
    columns         jsonb NOT NULL,
    row_count       bigint NOT NULL CHECK (row_count >= 0),
    -- [x min, y min, x max, y max] in its own CRS; null where no row has a geometry.
    extent          double precision[] CHECK (array_length(extent, 1) = 4),
    job_id          text NOT NULL,
    run             integer NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    loaded_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_schema, target_table)
);

-- Lineage: every load that a table is made of. A repeated publication finds the row of its staging table, and
-- does nothing.
CREATE TABLE geo.layer_loads (
    staging         text PRIMARY KEY,
    job_id          text NOT NULL,
    run             integer NOT NULL,
    target_schema   text NOT NULL,
    target_table    text NOT NULL,
    if_exists       text NOT NULL,
    -- [{"container", "name", "etag", "size"}]
    sources         jsonb NOT NULL,
    parameters_hash text NOT NULL,
    -- What the publication answered.
    result          jsonb NOT NULL,
    loaded_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX layer_loads_of_table ON geo.layer_loads (target_schema, target_table, loaded_at);

-- Staging tables, each of one attempt. The row and the table are made, and removed, in one transaction.
CREATE TABLE geo.staging_tables (
    name       text PRIMARY KEY,
    job_id     text NOT NULL,
    run        integer NOT NULL,
    -- interfaces.layers.TablePlan
    plan       jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX staging_tables_of_run ON geo.staging_tables (job_id, run);

-- What of a staging table is loaded: one row for each chunk, in the transaction of its COPY.
CREATE TABLE geo.staging_chunks (
    staging  text NOT NULL REFERENCES geo.staging_tables ON DELETE CASCADE,
    chunk    integer NOT NULL,
    fence    bigint NOT NULL,
    loaded   bigint NOT NULL,
    rejected bigint NOT NULL,
    PRIMARY KEY (staging, chunk)
);

-- Features that were read and are in no table, and why. They go when their run is removed.
CREATE TABLE geo.rejected_features (
    job_id        text NOT NULL,
    run           integer NOT NULL,
    target_schema text NOT NULL,
    target_table  text NOT NULL,
    staging       text NOT NULL,
    chunk         integer NOT NULL,
    source        text NOT NULL,
    layer         text NOT NULL,
    feature_id    text NOT NULL,
    reason        text NOT NULL,
    -- WKB, where it could be read.
    geometry      bytea
);
CREATE INDEX rejected_features_of_run ON geo.rejected_features (job_id, run, target_schema, target_table);
CREATE INDEX rejected_features_of_chunk ON geo.rejected_features (staging, chunk);
