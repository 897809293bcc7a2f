"""A process keeps the plans of the protocol's functions, made when the tables were almost empty."""

from __future__ import annotations

from tests.fix_engine import World

SCANNED = "app\\.(tasks|outbox|task_items|job_events)\\M"


def test_plans_from_before_a_large_job_do_not_read_its_whole_stage_for_each_batch(world: World) -> None:
    for number in range(8):
        world.run(world.submit("hello_world", n=10, name=f"small {number}").job_id)
    large = world.submit("hello_world", n=5000)
    assert world.run(large.job_id)["status"] == "completed"
    for database in world.databases:
        # A session tells what it has read when it ends, at the latest.
        database.close()
    [read] = world.rows(
        "SELECT seq_scan, idx_scan > 10000 AS by_index FROM pg_stat_user_tables"
        " WHERE relid = 'app.tasks'::regclass"
    )
    assert read == {"seq_scan": 0, "by_index": True}


def test_no_function_of_the_protocol_may_read_a_whole_table(world: World) -> None:
    """What is small when a plan is made, and may be read whole then, has a million rows a minute later."""
    allowed = world.rows(
        "SELECT p.proname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
        " WHERE p.pronamespace = 'app'::regnamespace AND l.lanname = 'plpgsql' AND p.prosrc ~ %s"
        " AND NOT coalesce(p.proconfig @> '{enable_seqscan=off,jit=off}', false)",
        SCANNED,
    )
    assert allowed == []


def test_no_plan_without_sequential_scans_is_compiled(world: World) -> None:
    """A scan that cannot be avoided has a cost beyond all limits, so that PostgreSQL would compile it."""
    compiled = world.rows(
        "SELECT proname FROM pg_proc WHERE proconfig @> '{enable_seqscan=off}'"
        " AND NOT proconfig @> '{jit=off}'"
    )
    assert compiled == []
