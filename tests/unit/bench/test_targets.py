"""Targets and tables from results."""

from __future__ import annotations

from typing import Any

import pytest

from bench.report import report, table
from bench.targets import OURS, OURS_POLLING, Verdict, best_peer, cpu_per_task, tasks_per_second, verdicts


def runs(*seconds: float, cpu: float = 1.0) -> list[dict[str, Any]]:
    return [{"seconds": one, "cpu": {"workers": cpu, "postgres": cpu, "azurite": 50.0}} for one in seconds]


@pytest.fixture
def results() -> dict[str, Any]:
    throughput = {
        OURS: {"1000": runs(1.0, 2.0, 9.0), "100000": runs(100.0, cpu=110.0)},
        OURS_POLLING: {"30": runs(0.5)},
        "celery": {"30": runs(0.2), "1000": runs(10.0)},
        "dbos": {"30": runs(1.0)},
    }
    return {
        "throughput": {"runs": throughput, "given_up": {"dbos": [1000]}},
        "floor": [{"n": 1000, "messages": 64, "ours": 1.5, "sql": 0.5, "queue": 0.5}],
        "transactions": {"n": 1000, "per_task": {OURS: 0.25}},
        "submission": {
            OURS: {"p50_ms": 6.0, "p95_ms": 9.0, "loaded_p50_ms": 9.0, "rate": 100.0},
            "dbos": {"p50_ms": 3.0, "p95_ms": 9.0, "loaded_p50_ms": 9.0, "rate": 100.0},
            "celery": {"p50_ms": 0.1, "p95_ms": 9.0, "loaded_p50_ms": 9.0, "rate": 100.0},
        },
    }


def verdict(results: dict[str, Any], start: str) -> Verdict:
    [found] = [one for one in verdicts(results) if one.target.startswith(start)]
    return found


def test_the_median_run_counts(results: dict[str, Any]) -> None:
    assert tasks_per_second(results, OURS, 1000) == 1000


def test_the_emulator_of_a_cloud_service_costs_nothing(results: dict[str, Any]) -> None:
    assert cpu_per_task(results, OURS, 1000) == 1.0


def test_a_peer_that_was_too_slow_counts_with_the_largest_job_it_finished(results: dict[str, Any]) -> None:
    assert best_peer(results, 1000) == ("celery", 200.0, 1000)
    del results["throughput"]["runs"]["celery"]
    assert best_peer(results, 1000) == ("dbos", 60.0, 30)


def test_speed_is_measured_against_the_best_peer(results: dict[str, Any]) -> None:
    found = verdict(results, "tasks/s : best peer, n = 1,000")
    assert (found.value, found.met) == (5.0, False)


def test_latency_is_measured_with_short_polling(results: dict[str, Any]) -> None:
    assert verdict(results, "time : best peer, n = 30").value == 2.5


def test_cost_must_be_flat(results: dict[str, Any]) -> None:
    found = verdict(results, "CPU per task")
    assert found.value == pytest.approx(1.1)
    assert found.met


def test_the_floor_is_sql_and_queue_together(results: dict[str, Any]) -> None:
    assert verdict(results, "time : floor").value == 1.5


def test_an_enqueue_that_is_not_durable_is_no_measure(results: dict[str, Any]) -> None:
    assert verdict(results, "submit").value == 2.0


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    empty: dict[str, Any] = {"throughput": {"runs": {}, "given_up": {}}}
    assert {one.met for one in verdicts(empty)} == {None}


def test_the_report_says_what_was_too_slow(results: dict[str, Any]) -> None:
    assert "too slow" in report(results)


def test_the_lines_of_a_table_are_equally_long() -> None:
    lines = table(["", "n"], [["a long name", "1"], ["b", "1,000,000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(("seconds", "met"), [(12.0, True), (13.0, False)])
def test_loading_items_is_measured_against_the_loader_that_does_nothing_else(
    results: dict[str, Any], seconds: float, met: bool
) -> None:
    one = {"items": 1000, "megabytes": 2.0, "partition_by": "month", "pypgstac": 10.0}
    results["catalog"] = [{**one, "ours_load": seconds, "ours_build": 1.0, "ours": 20.0}]
    found = verdict(results, "load items : pypgstac load, partition by month")
    assert found.met is met
    assert "100 items/s" in found.note
    assert "partition by month" in report(results)


def test_a_search_is_measured_against_sql_and_the_framework_together(results: dict[str, Any]) -> None:
    times = {"sql": 20.0, "application": 3.0, "host": 2.0, "api": 30.0}
    results["searches"] = {"items": 1000, "searches": 10} | {
        way: {"p50": 1.0, "p95": p95} for way, p95 in times.items()
    }
    found = verdict(results, "p95 of a STAC search")
    assert (found.value, found.met) == (1.2, False)
    [row] = [line for line in report(results).splitlines() if "POST /api/stac/search" in line]
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["1.0", "30.0"]
