"""Celery on Redis: a chord for each stage, the callback of the first starts the second."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, misc, no-any-return"

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

from celery import Celery, chord, group
from celery.exceptions import TimeoutError as NotInTime
from client import serve

URL = os.environ["BENCH_REDIS_URL"]
app = Celery("bench", broker=URL, backend=URL)
app.conf.update(
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "4")),
    result_expires=3600,
)


@app.task
def no_op(index: int) -> int:
    """One task."""
    return index


@app.task
def second_stage(results: list[int] | int, run: str) -> int:
    """The fan-in of stage 1: as many tasks again."""
    # Celery makes a plain chain of a chord with one task, which hands on the bare result.
    results = results if isinstance(results, list) else [results]
    chord(group(no_op.s(index) for index in results), finish.s().set(task_id=run)).delay()
    return len(results)


@app.task
def finish(results: list[int] | int) -> int:
    """The fan-in of stage 2."""
    return len(results) if isinstance(results, list) else 1


class CeleryPeer:
    """Starts jobs and waits for the callback of their second chord."""

    def run(self, n: int, jobs: int, seconds: float) -> bool:
        """See `client.Peer`."""
        runs = [self._start(n) for _ in range(jobs)]
        try:
            counts = [app.AsyncResult(run).get(timeout=seconds) for run in runs]
        except NotInTime:
            return False
        if counts != [n] * jobs:
            raise RuntimeError(f"expected {jobs} times {n} results, got {counts}")
        return True

    def enqueue(self) -> None:
        """See `client.Peer`."""
        no_op.delay(1)

    def _start(self, n: int) -> str:
        run = uuid.uuid4().hex
        chord(group(no_op.s(index) for index in range(n)), second_stage.s(run)).delay()
        return run


def main(arguments: list[str]) -> Any:
    """`worker N` with N processes, or `client`."""
    if arguments[0] == "worker":
        options = ["--pool=prefork", f"--concurrency={arguments[1]}", "--loglevel=WARNING"]
        return app.worker_main(["worker", *options, "--without-mingle", "--without-gossip"])
    return serve(CeleryPeer())


if __name__ == "__main__":
    # Celery finds its tasks by the module's name, which must be the same in every process.
    import celery_app

    sys.exit(celery_app.main(sys.argv[1:]))
