"""STAC items of rasters: geometry, time, bands, picture, and their check against the schemas."""
