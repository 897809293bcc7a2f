-- The same for what was published for readers of geospatial data.

COMMENT ON TABLE geo.cogs IS
    'One row for each COG that was published: what was made from what, by whom. Its blob has this etag, or somebody else wrote it.';
COMMENT ON COLUMN geo.cogs.container IS 'Of the COG.';
COMMENT ON COLUMN geo.cogs.name IS 'Of the COG.';
COMMENT ON COLUMN geo.cogs.publication IS
    'The attempt that made it, as in the blob''s metadata: {job_id}/{run}/{stage}/{task_index}-{fence}.';
COMMENT ON COLUMN geo.cogs.job_id IS 'The job.';
COMMENT ON COLUMN geo.cogs.run IS 'The run.';
COMMENT ON COLUMN geo.cogs.stage IS 'The stage.';
COMMENT ON COLUMN geo.cogs.task_index IS 'The task.';
COMMENT ON COLUMN geo.cogs.sources IS
    'container, name, etag, size and last_modified of what it was made from; several of a mosaic, the lowest first.';
COMMENT ON COLUMN geo.cogs.parameters_hash IS 'Of what was asked.';
COMMENT ON COLUMN geo.cogs.versions IS 'Of the software that made it.';
COMMENT ON COLUMN geo.cogs.size IS 'Bytes.';
COMMENT ON COLUMN geo.cogs.md5 IS 'Of its content.';
COMMENT ON COLUMN geo.cogs.etag IS 'Of its blob.';
COMMENT ON COLUMN geo.cogs.notes IS 'What is to be said of the conversion.';
COMMENT ON COLUMN geo.cogs.item IS 'The STAC item.';
COMMENT ON COLUMN geo.cogs.published_at IS 'When.';

COMMENT ON TABLE geo.cog_publications IS
    'Publications under way: an attempt means to copy its COG to the target, and may have done so (services/cog/publishing.py).';
COMMENT ON COLUMN geo.cog_publications.container IS 'Of the target.';
COMMENT ON COLUMN geo.cog_publications.name IS 'Of the target.';
COMMENT ON COLUMN geo.cog_publications.publication IS 'The attempt.';
COMMENT ON COLUMN geo.cog_publications.job_id IS 'The job.';
COMMENT ON COLUMN geo.cog_publications.run IS 'The run.';
COMMENT ON COLUMN geo.cog_publications.stage IS 'The stage.';
COMMENT ON COLUMN geo.cog_publications.task_index IS 'The task.';
COMMENT ON COLUMN geo.cog_publications.fence IS 'Of the attempt.';
COMMENT ON COLUMN geo.cog_publications.cog IS
    'The row of geo.cogs that is to be, whole, so that anybody can complete it.';
COMMENT ON COLUMN geo.cog_publications.began_at IS 'When.';

COMMENT ON TABLE geo.layers IS
    'One row for each table that was loaded, as the newest load left it.';
COMMENT ON COLUMN geo.layers.target_schema IS 'Of the table.';
COMMENT ON COLUMN geo.layers.target_table IS 'Of the table.';
COMMENT ON COLUMN geo.layers.title IS 'What its name was made of.';
COMMENT ON COLUMN geo.layers.srid IS 'Of its CRS.';
COMMENT ON COLUMN geo.layers.geometry_column IS 'Its geometries.';
COMMENT ON COLUMN geo.layers.geometry_type IS 'Of the column.';
COMMENT ON COLUMN geo.layers.key IS 'Names of the columns of its primary key.';
COMMENT ON COLUMN geo.layers.columns IS 'name, type and original name of each.';
COMMENT ON COLUMN geo.layers.row_count IS 'How many rows.';
COMMENT ON COLUMN geo.layers.extent IS 'x min, y min, x max, y max in its own CRS; null where no row has a geometry.';
COMMENT ON COLUMN geo.layers.job_id IS 'The newest load''s job.';
COMMENT ON COLUMN geo.layers.run IS 'Its run.';
COMMENT ON COLUMN geo.layers.created_at IS 'When it was first loaded.';
COMMENT ON COLUMN geo.layers.loaded_at IS 'When it last was.';
COMMENT ON COLUMN geo.layers.parts IS 'The materialized view that has its geometries in pieces; null: none.';
COMMENT ON COLUMN geo.layers.parts_vertices IS 'How many vertices a piece has at most.';

COMMENT ON TABLE geo.layer_loads IS
    'Lineage: every load that a table is made of.';
COMMENT ON COLUMN geo.layer_loads.staging IS 'The table that was loaded first, and then published.';
COMMENT ON COLUMN geo.layer_loads.job_id IS 'The job.';
COMMENT ON COLUMN geo.layer_loads.run IS 'The run.';
COMMENT ON COLUMN geo.layer_loads.target_schema IS 'Of the table.';
COMMENT ON COLUMN geo.layer_loads.target_table IS 'Of the table.';
COMMENT ON COLUMN geo.layer_loads.if_exists IS 'What was asked for where the table was there.';
COMMENT ON COLUMN geo.layer_loads.sources IS 'container, name, etag and size of the files.';
COMMENT ON COLUMN geo.layer_loads.parameters_hash IS 'Of what was asked.';
COMMENT ON COLUMN geo.layer_loads.result IS 'What the publication answered.';
COMMENT ON COLUMN geo.layer_loads.loaded_at IS 'When it was published.';

COMMENT ON TABLE geo.staging_tables IS
    'Tables that are being filled, each of one attempt. Row and table are made, and removed, in one transaction.';
COMMENT ON COLUMN geo.staging_tables.name IS 'In the schema geo_staging.';
COMMENT ON COLUMN geo.staging_tables.job_id IS 'The job.';
COMMENT ON COLUMN geo.staging_tables.run IS 'The run.';
COMMENT ON COLUMN geo.staging_tables.plan IS 'What the table is to be (interfaces.layers.TablePlan).';
COMMENT ON COLUMN geo.staging_tables.created_at IS 'When.';

COMMENT ON TABLE geo.staging_chunks IS
    'What of a staging table is loaded: one row for each chunk, in the transaction of its COPY.';
COMMENT ON COLUMN geo.staging_chunks.staging IS 'The table.';
COMMENT ON COLUMN geo.staging_chunks.chunk IS 'Number of the chunk, from 0.';
COMMENT ON COLUMN geo.staging_chunks.fence IS 'Of the attempt.';
COMMENT ON COLUMN geo.staging_chunks.loaded IS 'Rows.';
COMMENT ON COLUMN geo.staging_chunks.rejected IS 'Features that were rejected.';

COMMENT ON TABLE geo.rejected_features IS
    'Features that were read and are in no table, and why. They go when their run is removed.';
COMMENT ON COLUMN geo.rejected_features.job_id IS 'The job.';
COMMENT ON COLUMN geo.rejected_features.run IS 'The run.';
COMMENT ON COLUMN geo.rejected_features.target_schema IS 'Where it should have gone.';
COMMENT ON COLUMN geo.rejected_features.target_table IS 'Where it should have gone.';
COMMENT ON COLUMN geo.rejected_features.staging IS 'The table that was loaded.';
COMMENT ON COLUMN geo.rejected_features.chunk IS 'The chunk.';
COMMENT ON COLUMN geo.rejected_features.source IS 'The file.';
COMMENT ON COLUMN geo.rejected_features.layer IS 'The layer.';
COMMENT ON COLUMN geo.rejected_features.feature_id IS 'Its id, or its number in the file.';
COMMENT ON COLUMN geo.rejected_features.reason IS 'Why.';
COMMENT ON COLUMN geo.rejected_features.geometry IS 'WKB, where it could be read.';
