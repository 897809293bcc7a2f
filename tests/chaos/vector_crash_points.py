"""Where a worker may die while it loads a layer, and what must happen then."""

from __future__ import annotations

from tests.chaos.crash_steps import CrashPoint, after, before

TABLES = "repositories.feature_tables:PostgresFeatureTables"
WRITER = "repositories.feature_tables:PostgresChunkWriter"
PUBLICATION = "repositories.table_publishing:Publication"
TARGET = "repositories.table_targets:Target"
HANDS = "repositories.beside:Hands"
PARTS = "repositories.table_parts:TableParts"
INSPECTED = "another attempt inspects it; what this one discovered does not count"
STAGED = "another attempt makes a staging table of its own; this one is dropped once the run has ended"
ROLLED_BACK = "nothing of the chunk is there, and another attempt loads it"
LOADED = "the chunk is there, and another attempt replaces it"
UNTOUCHED = "the target is as it was, and another attempt publishes"
PUBLISHED = "the target is published, and the next attempt finds that it is"
LONG_LEASES = {"LEASE_SECONDS": "8", "HEARTBEAT_SECONDS": "1"}
"""So that the job is cancelled before anybody takes up what the dead worker held."""

VECTOR_CRASH_POINTS = (
    CrashPoint(
        "inspect: discovered, not completed",
        "layer",
        after("services.vector.inspecting:InspectVector.__call__"),
        INSPECTED,
    ),
    CrashPoint("prepare: nothing staged", "layer", before(f"{TABLES}.stage"), INSPECTED),
    CrashPoint("prepare: staged, nothing discovered", "layer", after(f"{TABLES}.stage"), STAGED),
    CrashPoint(
        "prepare: discovered, not completed",
        "layer",
        after("services.vector.preparing:PrepareTable.__call__"),
        STAGED,
    ),
    CrashPoint("load: begun", "layer", after(f"{WRITER}.begin", 2), ROLLED_BACK),
    CrashPoint("load: rows copied", "layer", after(f"{WRITER}.write", 2), ROLLED_BACK),
    CrashPoint("load: noted, not committed", "layer", after(f"{WRITER}.end"), ROLLED_BACK),
    CrashPoint(
        "load: committed, not completed",
        "layer",
        after("services.vector.loading:LoadChunk.__call__", 2),
        LOADED,
    ),
    CrashPoint("publish: not begun", "layer", before(f"{TABLES}.publish"), UNTOUCHED),
    CrashPoint("publish: counts compared", "layer", after(f"{PUBLICATION}._check_counts"), UNTOUCHED),
    CrashPoint("publish: old table dropped", "layer", after(f"{TARGET}._replace"), UNTOUCHED),
    CrashPoint("publish: recorded", "layer", after(f"{PUBLICATION}.carry_out"), UNTOUCHED),
    CrashPoint("publish: committed", "layer", after(f"{TABLES}.publish"), PUBLISHED),
    CrashPoint(
        "publish: committed, twice",
        "layer",
        after(f"{TABLES}.publish"),
        PUBLISHED,
        also_at=after(f"{TABLES}.publish"),
    ),
    CrashPoint("split: a kind in its part", "split layer", after(f"{PUBLICATION}._part"), UNTOUCHED),
    CrashPoint("split: one of two published", "split layer", after(f"{TARGET}.publish"), UNTOUCHED),
    CrashPoint("split: polygons cut into parts", "split layer", after(f"{PARTS}._make"), UNTOUCHED),
    CrashPoint("split: both published", "split layer", after(f"{PUBLICATION}.carry_out"), UNTOUCHED),
    CrashPoint("split: committed", "split layer", after(f"{TABLES}.publish"), PUBLISHED),
    CrashPoint("large: key made, not committed", "large layer", after(f"{TARGET}._keyed"), UNTOUCHED),
    CrashPoint(
        "large: key committed by another session",
        "large layer",
        after(f"{HANDS}._elsewhere", moved=True),
        "the target is as it was, and another attempt publishes with the key that it finds",
    ),
    CrashPoint("large: key and index made", "large layer", after(f"{HANDS}.both"), UNTOUCHED),
    CrashPoint("append: rows added", "appended layer", after(f"{TARGET}._add"), UNTOUCHED),
    CrashPoint("append: committed", "appended layer", after(f"{TABLES}.publish"), PUBLISHED),
    CrashPoint(
        "cancelled: rows copied",
        "cancelled layer",
        after(f"{WRITER}.write", 2),
        "the target is as it was, and the staging table is dropped",
        environment=LONG_LEASES,
    ),
    CrashPoint(
        "cancelled: old table dropped",
        "cancelled layer",
        after(f"{TARGET}._replace"),
        "the target is as it was, and the staging table is dropped",
        environment=LONG_LEASES,
    ),
)
VECTOR_POINTS_BY_NAME = {point.name: point for point in VECTOR_CRASH_POINTS}
