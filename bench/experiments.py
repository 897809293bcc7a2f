"""Everything besides throughput: submissions, many jobs at once, more workers, the floor, containers."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace

from local.stack.errors import StackError
from local.stack.progress import Progress

from .catalog import measure_load
from .containers import measure_cogs, measure_listing
from .floor import measure_floor
from .our_side import OurSide
from .rasters import measure_chunked, measure_conversion, measure_small
from .searches import measure_searches
from .servers import BenchServers
from .sides import NotInTime, Side
from .sizes import Sizes
from .throughput import STAGES, transactions_per_task
from .vectors import measure_vectors

THREADS = 8
TASKS_OF_EACH_JOB = 10
BATCHES = """
SELECT (detail ->> 'tasks')::int, (detail ->> 'batch_size')::int FROM app.job_events
WHERE event = 'stage_planned' AND job_id = (
    SELECT job_id FROM app.job_events WHERE event = 'stage_planned' ORDER BY event_id DESC LIMIT 1)
ORDER BY stage
"""
DURATION = "SELECT extract(epoch FROM completed_at - created_at)::float8 FROM app.jobs WHERE job_id = %s"

Experiment = Callable[[], object]


class Experiments:
    """Runs one experiment after the other; one that fails is named and does not end the others."""

    def __init__(
        self, ours: OurSide, peers: Sequence[Side], servers: BenchServers, sizes: Sizes, progress: Progress
    ) -> None:
        self._ours = ours
        self._peers = peers
        self._servers = servers
        self._sizes = sizes
        self._progress = progress

    def all(self) -> dict[str, Experiment]:
        """Every experiment by name, in the order to run them."""
        return {
            "transactions": self.transactions,
            "submission": self.submission,
            "burst": self.burst,
            "floor": self.floor,
            "scaling": self.scaling,
            "listing": self.listing,
            "cogs": self.cogs,
            "conversion": self.conversion,
            "small_rasters": self.small_rasters,
            "chunked": self.chunked,
            "catalog": self.catalog,
            "searches": self.searches,
            "vectors": self.vectors,
        }

    def run(self, names: Sequence[str]) -> dict[str, object]:
        """The results of these experiments, by name."""
        results: dict[str, object] = {}
        for name in names:
            try:
                with self._progress.step(f"Experiment {name}"):
                    results[name] = self.all()[name]()
            except (RuntimeError, OSError, StackError, NotInTime) as error:
                self._progress.say(f"{name} was not measured: {str(error) or type(error).__name__}")
        return results

    def transactions(self) -> object:
        """Transactions for each task at one size, of every side that has a database."""
        sides: list[Side] = [self._ours]
        if self._sizes.peers_transactions:
            sides += [peer for peer in self._peers if peer.database]
        n = self._sizes.transactions
        found = {}
        for side in sides:
            self._progress.detail(side.name)
            found[side.name] = transactions_per_task(side, self._servers, n, self._sizes.limit)
        return {"n": n, "per_task": found}

    def submission(self) -> object:
        """Latency and rate: over HTTP for us, by the peer's own client for peers."""
        found = {}
        for side in (self._ours, *self._peers):
            self._progress.detail(side.name)
            with _started(side):
                found[side.name] = asdict(
                    side.submission(self._sizes.submissions, 2 * self._sizes.submissions, THREADS)
                )
        return found

    def burst(self) -> object:
        """Many small jobs at once: seconds until the last has ended."""
        found: dict[str, float | None] = {}
        for side in (self._ours, *self._peers):
            self._progress.detail(side.name)
            with _started(side):
                try:
                    found[side.name] = side.run(
                        TASKS_OF_EACH_JOB, self._sizes.jobs_at_once, self._sizes.limit
                    )
                except NotInTime:
                    found[side.name] = None
        return {"jobs": self._sizes.jobs_at_once, "tasks_of_each_stage": TASKS_OF_EACH_JOB, "seconds": found}

    def floor(self) -> object:
        """Ours beside plain SQL of the same batches and plain queue calls of as many messages."""
        found = []
        for n in self._sizes.floor:
            ours, plain_sql, plain_queue = [], [], []
            with _started(self._ours):
                for _ in range(self._sizes.floor_rounds):
                    self._progress.detail(f"n = {n:,}")
                    ours.append(self._ours.run(n, 1, self._sizes.limit))
                    batches = [_batches(tasks, size) for tasks, size in self._ours.rows(BATCHES)]
                    plain = measure_floor(self._servers, batches)
                    plain_sql.append(plain.sql)
                    plain_queue.append(plain.queue)
            found.append(
                {
                    "n": n,
                    "messages": sum(len(stage) for stage in batches),
                    "ours": statistics.median(ours),
                    "sql": statistics.median(plain_sql),
                    "queue": statistics.median(plain_queue),
                }
            )
        return found

    def scaling(self) -> object:
        """One worker beside two: tasks that do nothing, and tasks that wait."""
        found = {}
        for workers in (1, 2):
            side = replace(self._ours, workers=workers)
            with _started(side):
                self._progress.detail(f"{workers} workers")
                idle = side.run(self._sizes.scaling, 1, self._sizes.limit)
                waiting = {"n": self._sizes.waiting, "name": f"workers-{workers}", "sleep_seconds": 0.1}
                [job] = side.run_jobs("hello_world", [waiting], self._sizes.limit)
                waited = _seconds(side, str(job["job_id"]))
                found[str(workers)] = {
                    "no_op_tasks_per_second": STAGES * self._sizes.scaling / idle,
                    "waiting_tasks_per_second": STAGES * self._sizes.waiting / waited,
                }
        return {"n": self._sizes.scaling, "waiting_n": self._sizes.waiting, "workers": found}

    def listing(self) -> object:
        """A container listed by jobs and by the bare SDK."""
        with _started(self._ours):
            return asdict(measure_listing(self._ours, self._sizes.blobs))

    def cogs(self) -> object:
        """Metadata of COGs by range reads and by whole downloads."""
        with _started(self._ours):
            return asdict(measure_cogs(self._ours, self._sizes.cogs))

    def conversion(self) -> object:
        """One large local file to a COG: bare GDAL, rio-cogeo, ours."""
        return asdict(measure_conversion(self._sizes.conversion, self._sizes.conversion_rounds))

    def small_rasters(self) -> object:
        """Many small rasters by one job, and by bare GDAL one after another."""
        with _started(self._ours):
            return asdict(measure_small(self._ours, self._sizes.small_rasters, 900))

    def chunked(self) -> object:
        """One raster in tiles, on one worker and on two."""
        return asdict(measure_chunked(self._ours, self._sizes.chunked, 3600, _started))

    def vectors(self) -> object:
        """Polygons into PostGIS, on one worker and on two, and by ogr2ogr."""
        sizes = self._sizes
        return asdict(measure_vectors(self._ours, sizes.polygons, sizes.polygons_rounds, 1800, _started))

    def catalog(self) -> object:
        """Items into the STAC catalog by a job, and by pypgstac: into one partition, and into one a month."""
        found = []
        for partition_by in ("none", "month"):
            with _started(self._ours):
                load = measure_load(
                    self._ours, self._sizes.catalog, self._sizes.catalog_rounds, 900, partition_by
                )
                found.append(asdict(load))
        return found

    def searches(self) -> object:
        """Searches of the STAC API, and the same by SQL."""
        one = replace(self._ours, workers=1)
        with _started(one):
            return asdict(measure_searches(one, self._sizes.searched_items, self._sizes.searches))


@contextmanager
def _started(side: Side) -> Iterator[None]:
    try:
        side.start()
        yield
    finally:
        side.stop()


def _batches(tasks: int, size: int) -> list[int]:
    """How many tasks each message carries."""
    return [min(size, tasks - first) for first in range(0, tasks, size)]


def _seconds(side: OurSide, job_id: str) -> float:
    """How long a job took, by the database's clock."""
    [(seconds,)] = side.rows(DURATION, job_id)
    return float(seconds)
