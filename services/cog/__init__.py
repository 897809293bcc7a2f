"""Cloud-optimized GeoTIFFs: planned, made, checked and published."""
