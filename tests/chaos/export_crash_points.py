"""Where a worker may die while it exports a layer, and what must happen then."""

from __future__ import annotations

from tests.chaos.crash_steps import CrashPoint, after, before, during

EXPORTING = "services.vector.exporting"
READER = "repositories.layer_exports:PostgresLayerReader"
FILES = "services.export_blobs:ExportBlobs"
BLOBS = "repositories.blobs:AzureBlobRepository"
FOUND = "another attempt finds it; what this one discovered does not count"
AGAIN = "nothing is held in the database, the target is as it was, and another attempt reads the table anew"
UPLOADED = "the target is as it was; the blob that nobody names goes when the run has ended"
REPLACED = "the target is whole and bears the mark of the task; the next attempt replaces it"
LONG_LEASES = {"LEASE_SECONDS": "8", "HEARTBEAT_SECONDS": "1"}
"""So that the job is cancelled before anybody takes up what the dead worker held."""

EXPORT_CRASH_POINTS = (
    CrashPoint("find: discovered, not completed", "parquet", after(f"{EXPORTING}:FindLayer.__call__"), FOUND),
    CrashPoint("export: measured, not read", "parquet", after(f"{READER}.measure"), AGAIN),
    CrashPoint("export: while rows come", "parquet", after(f"{EXPORTING}:_looked_at"), AGAIN),
    CrashPoint("export: while GDAL writes", "package", after(f"{EXPORTING}:_looked_at"), AGAIN),
    CrashPoint("export: written, not counted", "package", before("services.vector.gdal_files:read"), AGAIN),
    CrashPoint("export: counted, not uploaded", "parquet", before(f"{FILES}.publish_file"), AGAIN),
    CrashPoint("export: uploaded, not copied", "parquet", after(f"{FILES}.keep_file"), UPLOADED),
    CrashPoint("export: looked at, not copied", "parquet", after(f"{READER}.check_held"), UPLOADED),
    CrashPoint("export: while it is copied", "package", during(f"{BLOBS}.copy"), REPLACED),
    CrashPoint("export: copied, scratch there", "parquet", after(f"{BLOBS}.copy"), REPLACED),
    CrashPoint("export: published", "package", after(f"{FILES}.publish_file"), REPLACED),
    CrashPoint("export: not completed", "parquet", after(f"{EXPORTING}:ExportLayer.__call__"), REPLACED),
    CrashPoint(
        "export: published, twice",
        "first parquet",
        after(f"{FILES}.publish_file"),
        REPLACED,
        also_at=after(f"{FILES}.publish_file"),
    ),
    CrashPoint(
        "cancelled: uploaded",
        "cancelled parquet",
        after(f"{FILES}.keep_file"),
        "the target is as it was",
        environment=LONG_LEASES,
    ),
)
