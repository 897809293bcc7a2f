"""The floor: what the same batches cost in plain SQL, and the same messages in plain queue calls.

A table with a primary key and nothing else; rows by COPY, one UPDATE to claim a batch and one to complete
it, each committed; then each message put, received and deleted. Two processes with eight threads each, as
the app.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from azure.storage.queue import QueueClient
from psycopg_pool import ConnectionPool

from local.stack.paths import Paths

from .servers import BenchServers

THREADS = 8
PROCESSES = 2
API_VERSION = "2025-11-05"
_RECEIVED_AT_ONCE = 16

TABLE = """
CREATE TABLE tasks (stage int, task int, status text NOT NULL DEFAULT 'queued', parameters jsonb NOT NULL,
                    result jsonb, PRIMARY KEY (stage, task)) WITH (fillfactor = 80)
"""
CLAIM = """
UPDATE tasks SET status = 'processing' WHERE stage = %s AND task BETWEEN %s AND %s AND status = 'queued'
RETURNING task, parameters
"""
COMPLETE = """
WITH found AS MATERIALIZED (
    SELECT t.row_id, r.result FROM unnest(%s::int[], %s::jsonb[]) AS r (task, result)
    CROSS JOIN LATERAL (
        SELECT ctid AS row_id FROM tasks WHERE stage = %s AND task = r.task AND status = 'processing'
        FOR UPDATE
    ) AS t
)
UPDATE tasks t SET status = 'completed', result = found.result FROM found WHERE t.ctid = found.row_id
"""
"""A look-up by key for each task: a join with a table just filled, of which the planner knows nothing yet,
walks the whole stage for each batch."""
NEXT_STAGE = "INSERT INTO tasks (stage, task, parameters) SELECT 2, task, result FROM tasks WHERE stage = 1"


@dataclass(frozen=True)
class Floor:
    """Seconds of plain SQL and of plain queue calls."""

    sql: float
    queue: float

    @property
    def total(self) -> float:
        """Both, one after the other."""
        return self.sql + self.queue


def measure_floor(servers: BenchServers, batches: Sequence[Sequence[int]]) -> Floor:
    """The floor of a job whose stages consist of these batches, each a number of tasks."""
    return Floor(sql=_sql(servers, batches), queue=_queue(servers, [len(stage) for stage in batches]))


def _sql(servers: BenchServers, batches: Sequence[Sequence[int]]) -> float:
    url = servers.database("bench_floor")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
        with _Workers("sql", url) as workers:
            began = time.perf_counter()
            with connection.cursor().copy("COPY tasks (stage, task, parameters) FROM STDIN") as copy:
                for task in range(sum(batches[0])):
                    copy.write_row((1, task, json.dumps({"number": task + 1, "fail": False})))
            for stage, sizes in enumerate(batches, 1):
                if stage > 1:
                    connection.execute(NEXT_STAGE)
                workers.all_do([{"stage": stage, "ranges": part} for part in _shares(sizes)])
            return time.perf_counter() - began


def _queue(servers: BenchServers, messages: Sequence[int]) -> float:
    storage = servers.azurite.connection_string
    name = f"floor-{time.time_ns()}"
    client = QueueClient.from_connection_string(storage, name, api_version=API_VERSION)
    client.create_queue()
    try:
        with _Workers("queue", storage) as workers, ThreadPoolExecutor(THREADS) as pool:
            client.get_queue_properties()
            began = time.perf_counter()
            for count in messages:
                list(pool.map(client.send_message, ["x" * 250] * count))
                share = [count - count // PROCESSES, count // PROCESSES]
                workers.all_do([{"queue": name, "count": part} for part in share])
            return time.perf_counter() - began
    finally:
        client.delete_queue()


def _shares(sizes: Sequence[int]) -> list[list[tuple[int, int]]]:
    """The batches as ranges of tasks, dealt out to the processes in turn."""
    ranges, first = [], 0
    for size in sizes:
        ranges.append((first, first + size - 1))
        first += size
    return [ranges[number::PROCESSES] for number in range(PROCESSES)]


class _Workers:
    """Processes that each carry out one JSON command a line."""

    def __init__(self, kind: str, target: str) -> None:
        command = [sys.executable, "-m", "bench.floor", kind]
        env = {**os.environ, "BENCH_TARGET": target}
        self._processes = [
            subprocess.Popen(
                command, env=env, cwd=Paths().root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(PROCESSES)
        ]
        self._answers()

    def all_do(self, commands: Sequence[object]) -> None:
        """Give each process its command and wait until all have done it."""
        for process, command in zip(self._processes, commands, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
        self._answers()

    def _answers(self) -> None:
        for process in self._processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError("a process of the floor ended")

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


def _sql_worker(url: str) -> Callable[[dict[str, Any]], None]:
    connections = ConnectionPool(url, min_size=4, max_size=4, kwargs={"autocommit": True}, open=True)
    connections.wait()
    threads = ThreadPoolExecutor(THREADS)

    def work(command: dict[str, Any]) -> None:
        def batch(of: tuple[int, int]) -> None:
            with connections.connection() as connection:
                claimed = connection.execute(CLAIM, [command["stage"], *of]).fetchall()
            results = [json.dumps({"number": row[0], "greeting": "Hello, world! (1)"}) for row in claimed]
            with connections.connection() as connection:
                connection.execute(COMPLETE, [[row[0] for row in claimed], results, command["stage"]])

        list(threads.map(batch, command["ranges"]))

    return work


def _queue_worker(storage: str) -> Callable[[dict[str, Any]], None]:
    threads = ThreadPoolExecutor(THREADS)
    clients: dict[str, QueueClient] = {}

    def work(command: dict[str, Any]) -> None:
        name, left = str(command["queue"]), int(command["count"])
        if name not in clients:
            clients[name] = QueueClient.from_connection_string(storage, name, api_version=API_VERSION)
        client = clients[name]
        while left > 0:
            wanted = min(left, _RECEIVED_AT_ONCE)
            received = list(client.receive_messages(messages_per_page=wanted, max_messages=wanted))
            list(threads.map(client.delete_message, received))
            left -= len(received)

    return work


def main() -> None:
    """Carry out commands until the input ends."""
    make = {"sql": _sql_worker, "queue": _queue_worker}[sys.argv[1]]
    work = make(os.environ["BENCH_TARGET"])
    print("ready", flush=True)
    for line in sys.stdin:
        work(json.loads(line))
        print("done", flush=True)
    # Pools and threads are the process's own; it ends with all of them.
    os._exit(0)


if __name__ == "__main__":
    main()
