"""DBOS: a workflow for the job; every task is a workflow of its own, taken from a queue by any worker."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, misc, no-any-return"

from __future__ import annotations

import os
import sys
import threading
import time

from client import serve
from dbos import DBOS, DBOSClient, DBOSConfig

URL = os.environ["BENCH_DATABASE_URL"]
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "1000"))
POLLING = float(os.environ.get("BENCH_POLLING", "0.1"))
VERSION = "bench"
JOBS, TASKS = "jobs", "tasks"


@DBOS.workflow()
def no_op(index: int) -> int:
    """One task; its result is durable because it is a workflow."""
    return index


@DBOS.workflow()
def job(n: int) -> int:
    """Two stages, each waiting for all of its tasks."""
    results = list(range(n))
    for _ in range(2):
        handles = [DBOS.enqueue_workflow(TASKS, no_op, index) for index in results]
        results = [handle.get_result(polling_interval_sec=POLLING) for handle in handles]
    return len(results)


def launch(executor: str) -> None:
    """Launch this process as one executor of the application."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": URL,
        "application_version": VERSION,
        "executor_id": executor,
        "log_level": "WARNING",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(JOBS, polling_interval_sec=POLLING)
    DBOS.register_queue(TASKS, polling_interval_sec=POLLING, worker_concurrency=CONCURRENCY)


class DbosPeer:
    """Enqueues jobs and waits for their results."""

    def __init__(self) -> None:
        self._client = DBOSClient(system_database_url=URL, system_database_pool_size=10)

    def run(self, n: int, jobs: int, seconds: float) -> bool:
        """See `client.Peer`."""
        handles = [
            self._client.enqueue({"workflow_name": "job", "queue_name": JOBS, "app_version": VERSION}, n)
            for _ in range(jobs)
        ]
        counts: list[int] = []

        def wait() -> None:
            counts.extend(handle.get_result(polling_interval_sec=0.05) for handle in handles)

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        waiting.join(seconds)
        if waiting.is_alive():
            return False
        if counts != [n] * jobs:
            raise RuntimeError(f"expected {jobs} times {n} results, got {counts}")
        return True

    def enqueue(self) -> None:
        """See `client.Peer`."""
        self._client.enqueue({"workflow_name": "no_op", "queue_name": TASKS, "app_version": VERSION}, 1)


def main(arguments: list[str]) -> None:
    """`setup`, `worker` or `client`."""
    if arguments[0] == "client":
        serve(DbosPeer())
        return
    launch(f"{arguments[0]}-{os.getpid()}")
    if arguments[0] == "worker":
        while True:
            time.sleep(3600)
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1:])
