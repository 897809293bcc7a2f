"""The host as processes: instances that die, stop, time out.

https://learn.microsoft.com/azure/azure-functions/event-driven-scaling
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from azure.storage.queue import QueueClient

from local.stack.ports import free_ports
from tests.integration.host.harness import (
    HostProcess,
    decoded,
    host_process,
    is_alive,
    put,
    wait_until,
    wait_until_ready,
)


@pytest.fixture
def host(tmp_path: Path, port: int) -> Iterator[HostProcess]:
    """Two workers that serve `http_app`."""
    with host_process("http_app", tmp_path, port) as process:
        wait_until_ready(process)
        yield process


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """The same for tests that leave it as it is."""
    with host_process("http_app", tmp_path_factory.mktemp("host"), free_ports(1)[0]) as process:
        wait_until_ready(process)
        yield process


def is_replaced(host: HostProcess, worker: int) -> bool:
    return len(host.workers()) == 2 and worker not in host.workers()


def test_a_killed_worker_is_replaced_and_the_port_answers_all_the_time(host: HostProcess) -> None:
    before = host.workers()
    assert len(before) == 2
    answers: list[str] = []
    for worker in before:
        os.kill(worker, signal.SIGKILL)
        answers.extend(host.get("/api/pid").text for _ in range(20))
        wait_until(partial(is_replaced, host, worker))
    assert all(pid.isdecimal() for pid in answers)
    assert not set(host.workers()) & set(before)
    assert b"was killed by SIGKILL" in host.log.read_bytes()


def test_both_workers_serve_the_one_port(shared_host: HostProcess) -> None:
    pids: set[int] = set()

    def ask() -> None:
        pids.add(int(shared_host.get("/api/wait/0.1").text))

    for _ in range(10):
        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(pids) == 2:
            break
    assert pids == set(shared_host.workers())


def test_sigterm_waits_a_few_seconds_for_what_is_in_flight_and_ends_all_processes(host: HostProcess) -> None:
    workers = host.workers()
    answers: dict[float, int | None] = {}

    def ask(seconds: float) -> None:
        try:
            answers[seconds] = host.get(f"/api/wait/{seconds}").status_code
        except httpx.HTTPError:
            answers[seconds] = None

    threads = [threading.Thread(target=ask, args=(seconds,)) for seconds in (1.5, 30.0)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    host.process.terminate()
    assert host.process.wait(10) == 0
    for thread in threads:
        thread.join()
    assert answers[1.5] == 200
    assert answers[30.0] != 200
    assert not any(is_alive(worker) for worker in workers)
    assert not host.pid_file.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(host.url.rpartition(":")[2]))) != 0


def test_workers_end_with_their_host_even_when_it_is_killed(host: HostProcess) -> None:
    workers = host.workers()
    assert len(workers) == 2
    assert all(is_alive(worker) for worker in workers)
    host.process.kill()
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not any(is_alive(worker) for worker in workers), 5)
    assert [worker for worker in workers if is_alive(worker)] == []


def test_ctrl_c_does_not_reach_a_worker_that_is_just_starting(host: HostProcess) -> None:
    """The terminal sends it to the whole group; when to stop is the supervisor's decision."""
    before = host.workers()
    os.kill(before[0], signal.SIGKILL)
    wait_until(partial(is_replaced, host, before[0]))
    (started,) = set(host.workers()) - set(before)
    for _ in range(100):
        os.kill(started, signal.SIGINT)
        time.sleep(0.01)
    assert started in host.workers()
    assert is_alive(started)
    assert b"KeyboardInterrupt" not in host.log.read_bytes()
    host.process.send_signal(signal.SIGINT)
    assert host.process.wait(10) == 0
    assert not is_alive(started)


def test_a_client_that_gives_up_a_long_poll_disturbs_nobody(shared_host: HostProcess) -> None:
    for _ in range(5):
        with pytest.raises(httpx.TimeoutException):
            httpx.get(shared_host.url + "/api/wait/1", timeout=0.05)
    time.sleep(1.2)
    assert shared_host.get("/api/pid").status_code == 200
    assert b"Traceback" not in shared_host.log.read_bytes()


def test_functions_run_in_the_folder_of_the_app(shared_host: HostProcess) -> None:
    assert Path(shared_host.get("/api/folder").text) == shared_host.pid_file.parent


def test_an_app_that_cannot_be_loaded_is_explained_once(tmp_path: Path, port: int) -> None:
    with host_process("broken_app", tmp_path, port) as host:
        assert host.process.wait(60) == 1
    log = host.log.read_text()
    assert log.count("error: broken_app:app: importing it failed: the setting EXAMPLE is missing") == 1
    assert 'broken_app.py", line 3' in log


def test_a_port_in_use_is_named(tmp_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), host_process("http_app", tmp_path, port) as host:
        assert host.process.wait(60) == 1
    assert f"port {port}" in host.log.read_text()


def test_auth_asks_for_the_keys_that_it_made(tmp_path: Path, port: int) -> None:
    keys_file = tmp_path / "keys.json"
    arguments = ("--workers", "1", "--auth", "--keys", str(keys_file))
    with host_process("http_app", tmp_path, port, *arguments) as host:
        wait_until_ready(host)
        assert stat.S_IMODE(keys_file.stat().st_mode) == 0o600
        keys = json.loads(keys_file.read_text())
        assert host.get("/api/folder").status_code == 200
        assert host.get("/api/pid").status_code == 401
        assert host.get("/api/pid", headers={"x-functions-key": keys["function"]}).status_code == 200
        assert host.get("/api/admin", headers={"x-functions-key": keys["function"]}).status_code == 401
        assert host.get(f"/api/admin?code={keys['admin']}").text == "admin"
        log = host.log.read_text()
    assert keys["function"] not in log
    assert keys["admin"] not in log


def test_a_function_timeout_restarts_its_worker_and_the_message_is_tried_again(
    tmp_path: Path, port: int, queue: QueueClient, poison: QueueClient, storage_connection_string: str
) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-host-json#functiontimeout"""
    environment = {
        "AzureWebJobsStorage": storage_connection_string,
        "INPUT": queue.queue_name,
        "OUTPUT": poison.queue_name,
    }
    host_json = {
        "functionTimeout": "00:00:01",
        "extensions": {"queues": {"maxPollingInterval": "00:00:00.500", "visibilityTimeout": "00:00:01"}},
    }
    poison.create_queue()
    with host_process(
        "queue_app", tmp_path, port, "--workers", "1", environment=environment, host_json=host_json
    ) as host:
        wait_until_ready(host)
        before = host.workers()
        put(queue, "hangs")
        wait_until(lambda: decoded(poison), 20)
        assert set(host.workers()) != set(before)
    assert decoded(poison) == [b"hangs 2"]
    assert "Timeout value of 0:00:01 exceeded" in host.log.read_text()


def test_an_http_function_beyond_the_timeout_is_500_and_ends_its_worker_even_when_it_blocks_the_loop(
    tmp_path: Path, port: int
) -> None:
    host_json = {"functionTimeout": "00:00:01"}
    with host_process("http_app", tmp_path, port, "--workers", "1", host_json=host_json) as host:
        wait_until_ready(host)
        before = host.workers()
        assert host.get("/api/wait/30").status_code == 500
        wait_until(lambda: host.workers() and host.workers() != before)
        before = host.workers()
        with pytest.raises(httpx.HTTPError):
            httpx.get(host.url + "/api/block/30", timeout=15)
        wait_until(lambda: host.workers() and host.workers() != before)
        assert host.get("/api/pid").status_code == 200
