"""Where a worker may die while it converts a raster, and what must happen then."""

from __future__ import annotations

from tests.chaos.crash_steps import CrashPoint, after, before, within

INSPECTING = "services.cog.inspecting"
CONVERSION = "services.cog.conversion"
CONVERTING = "services.cog.converting"
JOINING = "services.cog.joining"
MAKER = "services.cog.making:CogMaker"
PUBLICATIONS = "repositories.publications:PostgresPublicationRepository"
BLOBS = "repositories.blobs:AzureBlobRepository"
STAGED = "repositories.blob_blocks:Blocks._send"
CATALOGUING = "services.cog.cataloguing"

INSPECTED = "another attempt inspects it; what this one discovered does not count"
CONVERTED = "another attempt converts it, and what this one left on the disk goes with the next conversion"
UPLOADED = "another attempt converts it; the blob that nobody names goes when the run has ended"
UNTOUCHED = "the target is as it was, and another attempt publishes"
REPLACED = "the target bears the mark of an intent; the next attempt of the task replaces it"
RECORDED = "the next attempt finds its run's own row, and deletes the scratch blobs"
LONG_LEASES = {"LEASE_SECONDS": "8", "HEARTBEAT_SECONDS": "1"}
"""So that the job is cancelled before anybody takes up what the dead worker held."""

RASTER_CRASH_POINTS = (
    CrashPoint("inspect: not begun", "raster", before(f"{INSPECTING}:InspectRaster.__call__"), INSPECTED),
    CrashPoint("inspect: discovered its item", "raster", before(f"{INSPECTING}:summary"), INSPECTED),
    CrashPoint(
        "inspect: discovered tiles, not completed",
        "tiled raster",
        after(f"{INSPECTING}:InspectRaster.__call__"),
        INSPECTED,
    ),
    CrashPoint("convert: while GDAL writes", "large raster", within(f"{CONVERSION}:_write_cog"), CONVERTED),
    CrashPoint(
        "convert: written, not compared", "raster", before("services.cog.fidelity:compare"), CONVERTED
    ),
    CrashPoint("convert: compared, not checked", "raster", before(f"{MAKER}.finish"), CONVERTED),
    CrashPoint("convert: before the upload", "raster", before(f"{BLOBS}.write_stream"), CONVERTED),
    CrashPoint("convert: among the blocks of the upload", "large raster", after(STAGED, 2), CONVERTED),
    CrashPoint("convert: uploaded, its thumbnail not", "raster", after(f"{BLOBS}.write_stream"), UPLOADED),
    CrashPoint(
        "convert: uploaded, not completed", "raster", after(f"{CONVERTING}:ConvertRaster.__call__"), UPLOADED
    ),
    CrashPoint(
        "convert: of what passes, not completed",
        "passing raster",
        after(f"{CONVERTING}:ConvertRaster.__call__"),
        UPLOADED,
    ),
    CrashPoint(
        "tile: while it is converted", "tiled raster", before(f"{CONVERSION}:_tile_options", 3), CONVERTED
    ),
    CrashPoint("tile: before the upload", "tiled raster", before(f"{MAKER}.upload", 2), CONVERTED),
    CrashPoint(
        "tile: uploaded, not completed",
        "tiled raster",
        after(f"{CONVERTING}:ConvertRaster._tile", 2),
        UPLOADED,
    ),
    CrashPoint(
        "assemble: while GDAL writes", "large tiled raster", within(f"{CONVERSION}:_write_cog"), CONVERTED
    ),
    CrashPoint(
        "assemble: written without the blocks of tiles", "tiled raster", before(f"{JOINING}:join"), CONVERTED
    ),
    CrashPoint("assemble: a level copied", "tiled raster", after(f"{JOINING}:_append"), CONVERTED),
    CrashPoint("assemble: before the upload", "tiled raster", before(f"{MAKER}.finish"), CONVERTED),
    CrashPoint(
        "assemble: uploaded, not completed",
        "tiled raster",
        after(f"{CONVERTING}:AssembleCog.__call__"),
        UPLOADED,
    ),
    CrashPoint(
        "assemble: of a whole COG", "raster", after(f"{CONVERTING}:AssembleCog.__call__"), "it passes again"
    ),
    CrashPoint("publish: before the intent", "raster", before(f"{PUBLICATIONS}.begin"), UNTOUCHED),
    CrashPoint("publish: intent, no copy", "raster", after(f"{PUBLICATIONS}.begin"), UNTOUCHED),
    CrashPoint("publish: among the blocks of a copy", "passing raster", after(STAGED, 2), UNTOUCHED),
    CrashPoint("publish: copied, no thumbnail", "raster", after(f"{BLOBS}.copy"), REPLACED),
    CrashPoint("publish: copied, of what passes", "passing raster", after(f"{BLOBS}.copy"), REPLACED),
    CrashPoint("publish: thumbnail, no row", "raster", before(f"{PUBLICATIONS}.publish"), REPLACED),
    CrashPoint(
        "publish: copied, twice",
        "raster",
        after(f"{BLOBS}.copy"),
        REPLACED,
        also_at=after(f"{BLOBS}.copy"),
    ),
    CrashPoint("publish: row, scratch not deleted", "raster", after(f"{PUBLICATIONS}.publish"), RECORDED),
    CrashPoint(
        "publish: row, scratch of tiles not deleted",
        "tiled raster",
        after(f"{PUBLICATIONS}.publish"),
        RECORDED,
    ),
    CrashPoint(
        "publish: not completed",
        "raster",
        after(f"{CATALOGUING}:PublishCog.__call__"),
        "the next attempt finds its run's own row, and discovers the item again",
    ),
    CrashPoint(
        "catalog: item not written", "raster", before(f"{CATALOGUING}:WriteItem.__call__"), "it is written"
    ),
    CrashPoint(
        "catalog: item written", "raster", after(f"{CATALOGUING}:WriteItem.__call__"), "it is written again"
    ),
    CrashPoint(
        "cancelled: while GDAL writes",
        "cancelled raster",
        within(f"{CONVERSION}:_write_cog"),
        "the target is as it was",
        environment=LONG_LEASES,
    ),
    CrashPoint(
        "cancelled: a tile uploaded",
        "cancelled tiled raster",
        after(f"{CONVERTING}:ConvertRaster._tile", 2),
        "the target is as it was, and the tiles go",
        environment=LONG_LEASES,
    ),
    CrashPoint(
        "cancelled: intent, no copy",
        "cancelled raster",
        after(f"{PUBLICATIONS}.begin"),
        "the target is as it was, and the intent is forgotten",
        environment=LONG_LEASES,
    ),
    CrashPoint(
        "cancelled: copied, no row",
        "cancelled raster",
        after(f"{BLOBS}.copy"),
        "the clean-up writes the row that is owed",
        environment=LONG_LEASES,
    ),
    CrashPoint(
        "cancelled: row, scratch not deleted",
        "cancelled raster",
        after(f"{PUBLICATIONS}.publish"),
        "the COG is published, and its scratch blobs go",
        environment=LONG_LEASES,
    ),
)
RASTER_POINTS_BY_NAME = {point.name: point for point in RASTER_CRASH_POINTS}
