-- Squares of two degrees in a collection, one an hour, spread over the globe by strides.
SELECT pgstac.create_items(jsonb_agg(jsonb_build_object(
    'type', 'Feature', 'stac_version', '1.1.0', 'id', format('scene-%%s', n), 'collection', 'bench',
    'geometry', ST_AsGeoJSON(square)::jsonb,
    'bbox', jsonb_build_array(ST_XMin(square), ST_YMin(square), ST_XMax(square), ST_YMax(square)),
    'properties', jsonb_build_object('datetime', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'title', format('Scene %%s', n), 'eo:cloud_cover', n * 7 %% 101, 'gsd', 10),
    'links', '[]'::jsonb,
    'assets', jsonb_build_object(
        'data', jsonb_build_object('href', format('https://data.example.org/%%s.tif', n),
            'type', 'image/tiff; application=geotiff; profile=cloud-optimized', 'roles', '["data"]'::jsonb),
        'thumbnail', jsonb_build_object('href', format('https://data.example.org/%%s.png', n),
            'type', 'image/png', 'roles', '["thumbnail"]'::jsonb)))))
FROM generate_series(%(first)s::int, %(last)s::int) AS n,
    LATERAL (SELECT timestamp '2015-01-01' + n * interval '1 hour' AS at,
        ST_MakeEnvelope(n * 77 %% 356 - 180, n * 31 %% 160 - 80, n * 77 %% 356 - 178, n * 31 %% 160 - 78, 4326)
            AS square) AS scene
