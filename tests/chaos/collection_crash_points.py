"""Where a worker may die in a job about a collection, and what must happen then."""

from __future__ import annotations

from tests.chaos.crash_steps import CrashPoint, after, before

BLOBS = "services.export_blobs:ExportBlobs"
ITEMS = "repositories.pgstac_items:PgstacItems"
WRITING = "services.stac.exporting:ExportItems.__call__"
PUBLISHING = "services.stac.exporting:ExportCollection.__call__"
ROOT = "services.stac.exporting:ExportCatalog.__call__"

AGAIN = "another attempt writes the range again; nothing links to it yet"
PUBLISHED = "another attempt publishes the same files over those that are there"
WRITTEN = "another attempt finds that nothing is left to be changed"

COLLECTION_CRASH_POINTS = (
    CrashPoint("export: a table kept, not handed on", "tables", after(f"{BLOBS}.keep"), AGAIN),
    CrashPoint("export: half of the items written", "files", after(f"{BLOBS}.write_item", 15), AGAIN),
    CrashPoint("export: range not completed", "files", after(WRITING), AGAIN),
    CrashPoint("export: a table published, no document", "tables", after(f"{BLOBS}.publish_kept"), PUBLISHED),
    CrashPoint("export: document not published", "files", before(f"{BLOBS}.publish"), PUBLISHED),
    CrashPoint("export: document published", "tables", after(f"{BLOBS}.publish"), PUBLISHED),
    CrashPoint("export: collection not completed", "tables", after(PUBLISHING), PUBLISHED),
    CrashPoint("export: root not completed", "files", after(ROOT), PUBLISHED, also_at=after(PUBLISHING)),
    CrashPoint("collection: not written", "summary", before(f"{ITEMS}.change"), WRITTEN),
    CrashPoint("collection: written, no queryables", "summary", after(f"{ITEMS}.change"), WRITTEN),
    CrashPoint("collection: not completed", "summary", after(f"{ITEMS}.add_queryables"), WRITTEN),
)
