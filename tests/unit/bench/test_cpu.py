"""CPU time from /proc."""

from __future__ import annotations

import os

from bench.cpu import Stat, cpu_seconds, parse_stat, tree_seconds


def test_a_program_with_blanks_and_brackets_in_its_name_is_read() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    times = f"{ticks} {2 * ticks} {3 * ticks} {4 * ticks}"
    stat = parse_stat(f"77 (a) strange (name) S 42 77 77 0 -1 4194304 1 2 3 4 {times} 20 0 1 0 100")
    assert stat == Stat(parent=42, seconds=10.0)


def test_a_tree_counts_everything_below_its_root_once() -> None:
    stats = {1: Stat(0, 100), 2: Stat(1, 5), 3: Stat(2, 7), 4: Stat(3, 1), 5: Stat(1, 1000)}
    assert tree_seconds(stats, [2, 3]) == 13


def test_a_process_that_has_ended_counts_nothing() -> None:
    assert tree_seconds({}, [4711]) == 0


def test_this_process_has_used_time() -> None:
    assert cpu_seconds({"me": [os.getpid()]})["me"] > 0
