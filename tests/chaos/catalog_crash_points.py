"""Where a worker may die while it fills the STAC catalog, or sets it up, and what must happen then."""

from __future__ import annotations

from tests.chaos.crash_steps import CrashPoint, after, before, within
from tests.chaos.raster_crash_points import LONG_LEASES

CATALOG = "repositories.pgstac:PgstacCatalog"
SCHEMA = "repositories.pgstac_schema:PgstacSchema"
ADMINISTRATION = "repositories.pgstac_administration:PgstacAdministration"
BATCHES = "services.stac.item_batches:ItemBatches"
BUILDING = "services.stac.registering:BuildStacItems.__call__"
LOADING = "services.stac.loading:LoadItems.__call__"
WRITTEN = "repositories.pgstac:write_rows"

BUILT = "another attempt reads the file; the batches that nobody was told of go when the run has ended"
LOADED = "nothing of the batch is in the catalog; another attempt loads it"
LOADED_TWICE = "the batch is in the catalog; another attempt loads the same over it"
SET_UP = "another attempt finds what is there, and goes on from it"

CATALOG_CRASH_POINTS = (
    CrashPoint("build: not begun", "items", before(BUILDING), BUILT),
    CrashPoint("build: a batch in a blob, not handed on", "items", before(f"{BATCHES}._write", 2), BUILT),
    CrashPoint("build: a collection put, not completed", "items", after(f"{CATALOG}.put_collection"), BUILT),
    CrashPoint("build: not completed", "items", after(BUILDING, 2), BUILT),
    CrashPoint("load: not begun", "items", before(f"{CATALOG}.load"), LOADED),
    CrashPoint("load: nothing written", "items", before(WRITTEN), LOADED),
    CrashPoint("load: while the loader writes", "many items", within(WRITTEN), LOADED),
    CrashPoint("load: written, not counted", "items", after(WRITTEN), LOADED),
    CrashPoint("load: written by the second batch", "items", after(WRITTEN, 2), LOADED),
    CrashPoint("load: counted, not held", "items", before(f"{CATALOG}._hold", 2), LOADED),
    CrashPoint("load: held, not committed", "items", after(f"{CATALOG}._loaded"), LOADED_TWICE),
    CrashPoint("load: written, twice", "items", after(WRITTEN), LOADED, also_at=after(WRITTEN)),
    CrashPoint(
        "load: committed, statistics in the queue", "items", before(f"{CATALOG}._settle"), LOADED_TWICE
    ),
    CrashPoint("load: among the statistics", "items", after(f"{CATALOG}._settled"), LOADED_TWICE),
    CrashPoint("load: not completed", "items", after(LOADING), LOADED_TWICE),
    CrashPoint("load: not completed, twice", "items", after(LOADING), LOADED_TWICE, also_at=after(LOADING)),
    CrashPoint(
        "cancelled: written, not committed",
        "cancelled items",
        after(WRITTEN),
        "nothing of the batch is in the catalog",
        environment=LONG_LEASES,
    ),
    CrashPoint(
        "cancelled: committed",
        "cancelled items",
        before(f"{CATALOG}._settle"),
        "the batch is in the catalog, whole",
        environment=LONG_LEASES,
    ),
    CrashPoint("setup: before the migration", "setup", before(f"{SCHEMA}._apply"), SET_UP),
    CrashPoint("setup: while pgstac is installed", "setup", within(f"{SCHEMA}._apply"), SET_UP),
    CrashPoint("setup: installed, queue not worked off", "setup", before(f"{SCHEMA}._run_queued"), SET_UP),
    CrashPoint("setup: installed, not completed", "setup", after(f"{SCHEMA}.migrate"), SET_UP),
    CrashPoint("setup: settings, no grants", "setup", after(f"{ADMINISTRATION}.configure"), SET_UP),
    CrashPoint("setup: after the trial", "setup", after(f"{ADMINISTRATION}.verify"), SET_UP),
)
CATALOG_POINTS_BY_NAME = {point.name: point for point in CATALOG_CRASH_POINTS}
