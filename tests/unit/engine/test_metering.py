"""What attempts take: shared where they share a process, and counted for the one that asked."""

from __future__ import annotations

import threading

from engine.metering import GIB, Meter, highest, resident
from interfaces.costs import MeanUsage, Usage, total
from repositories import usage


class Machine:
    """A clock and a process, moved by the test."""

    def __init__(self) -> None:
        self.time = 100.0
        self.resident = GIB
        self.highest = GIB
        self.looks = self.peaks = 0

    def memory(self) -> int:
        self.looks += 1
        return self.resident

    def meter(self) -> Meter:
        return Meter(lambda: self.time, self.memory, self.most)

    def most(self) -> int:
        self.peaks += 1
        return self.highest


def test_a_handler_that_runs_alone_has_the_memory_of_the_process_to_itself() -> None:
    machine = Machine()
    with machine.meter().attempt() as reading:
        machine.time += 2
    used = reading.usage()
    assert (used.attempts, used.seconds, used.gb_seconds, used.peak_bytes) == (1, 2.0, 2.0, GIB)


def test_handlers_share_the_memory_of_the_time_in_which_they_run_together() -> None:
    machine = Machine()
    meter = machine.meter()
    with meter.attempt() as long:
        machine.time += 1
        with meter.attempt() as brief:
            machine.time += 2
        machine.time += 1
    assert brief.usage().gb_seconds == 1.0
    assert long.usage().gb_seconds == 3.0
    together = total([long.usage(), brief.usage()])
    assert (together.attempts, together.gb_seconds) == (2, 4.0)  # a gibibyte for four seconds


def test_time_in_which_nothing_runs_costs_nothing() -> None:
    machine = Machine()
    meter = machine.meter()
    with meter.attempt():
        machine.time += 1
    machine.time += 100
    with meter.attempt() as reading:
        machine.time += 1
    assert reading.usage().gb_seconds == 1.0


def test_the_peak_is_what_memory_rose_to_or_else_the_most_that_was_seen() -> None:
    machine = Machine()
    meter = machine.meter()
    machine.highest = 8 * GIB  # of something that ran before
    with meter.attempt() as seen:
        machine.resident = 3 * GIB
        machine.time += 1
        meter.look()  # the clock does
        machine.resident = GIB
        machine.time += 1
    assert seen.usage().peak_bytes == 3 * GIB
    with meter.attempt() as risen:
        machine.highest = 9 * GIB
        machine.time += 1
    assert risen.usage().peak_bytes == 9 * GIB


def test_an_attempt_that_still_runs_tells_what_it_took_so_far() -> None:
    machine = Machine()
    with machine.meter().attempt() as reading:
        machine.time += 1
        assert reading.usage().seconds == reading.usage().gb_seconds == 1.0
        machine.time += 1
    assert reading.usage().seconds == 2.0


def test_memory_is_looked_at_seldom_however_many_brief_tasks_there_are() -> None:
    machine = Machine()
    meter = machine.meter()
    for _ in range(1000):
        with meter.attempt():
            machine.time += 0.0001
    assert machine.looks <= 4  # 0.1 s, a look every 0.05 s
    assert machine.peaks <= 4


def test_a_rise_is_not_held_against_what_runs_long_after_it() -> None:
    machine = Machine()
    meter = machine.meter()
    with meter.attempt():
        machine.highest = 9 * GIB
        machine.time += 0.0001
    machine.time += 1
    with meter.attempt() as later:
        machine.time += 1
    assert later.usage().peak_bytes == GIB


def test_what_is_asked_of_storage_counts_for_the_attempt_in_whose_thread_it_is_asked() -> None:
    meter = Machine().meter()
    usage.count(operations=1)  # nobody counts

    def other() -> None:
        with meter.attempt() as reading:
            usage.count(operations=5, written=7)
        assert reading.usage().operations == 5

    with meter.attempt() as reading:
        usage.count(operations=1, read=10)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        usage.count(operations=1, read=2)
    used = reading.usage()
    assert (used.operations, used.bytes_read, used.bytes_written) == (2, 12, 0)


def test_the_memory_of_this_process_is_known() -> None:
    assert 10 * 1024**2 < resident() <= highest() * 2


def test_a_mean_times_its_number_is_the_whole() -> None:
    whole = Usage(attempts=3, seconds=6.0, gb_seconds=1.5, operations=7, bytes_read=100, peak_bytes=GIB)
    again = MeanUsage.of(whole, 3).times(3)
    assert (again.seconds, again.operations, again.peak_bytes) == (6.0, 7.0, GIB)
