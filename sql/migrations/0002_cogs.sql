-- What was published for readers of geospatial data. It outlives the jobs that made it, and is therefore in a
-- schema of its own, which may hold tables of others too. Needs no PostGIS.

CREATE SCHEMA IF NOT EXISTS geo;

-- One row for each COG: what was made from what, by whom. Its blob has this etag, or somebody else wrote it.
CREATE TABLE geo.cogs (
    container       text NOT NULL,
    name            text NOT NULL,
    -- Tells the attempt that made it from all others: {job_id}/{run}/{stage}/{task_index}-{fence}, as in the
    -- metadata of the blob.
    publication     text NOT NULL,
    job_id          text NOT NULL,
    run             integer NOT NULL,
    stage           smallint NOT NULL,
    task_index      integer NOT NULL,
    -- [{"container", "name", "etag", "size", "last_modified"}]: one, or those of a mosaic, the lowest first.
    sources         jsonb NOT NULL,
    parameters_hash text NOT NULL,
    -- Of the software that made it.
    versions        jsonb NOT NULL,
    size            bigint NOT NULL CHECK (size >= 0),
    md5             text NOT NULL CHECK (md5 ~ '^[0-9a-f]{32}$'),
    etag            text NOT NULL,
    notes           jsonb NOT NULL,
    -- The STAC item.
    item            jsonb NOT NULL,
    published_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (container, name)
);

-- Publications under way: an attempt means to copy its COG to the target, and may have done so. The row in
-- geo.cogs that it is to make is kept here whole, so that anybody can complete it (services/cog/publishing.py).
-- Several attempts may mean the same target; of their copies one is made, which the blob's metadata name.
CREATE TABLE geo.cog_publications (
    container   text NOT NULL,
    name        text NOT NULL,
    publication text NOT NULL,
    job_id      text NOT NULL,
    run         integer NOT NULL,
    stage       smallint NOT NULL,
    task_index  integer NOT NULL,
    fence       bigint NOT NULL,
    cog         jsonb NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (container, name, publication)
);
CREATE INDEX cog_publications_begun ON geo.cog_publications (began_at);
