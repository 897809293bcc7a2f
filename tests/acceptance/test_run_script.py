"""`./run`, as a person starts it: in a copy of this checkout with what was downloaded linked in."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueServiceClient

from local.stack.ports import free_ports
from local.stack.sample_files import NAMES
from local.stack.storage import CONTAINERS
from tests.fix_stack import CHECKOUT

pytestmark = pytest.mark.timeout(240)

READY = 90
QUEUES = {"geospatial-jobs", "geospatial-jobs-poison", "geospatial-tasks", "geospatial-tasks-poison"}


class Run:
    """One `./run` on a terminal of its own."""

    def __init__(self, checkout: Path, *arguments: str, **environment: str) -> None:
        self.checkout = checkout
        self.port = free_ports(1)[0]
        self._master, terminal = pty.openpty()
        self._output = b""
        os.set_blocking(self._master, False)
        unset = {"DATABASE_URL", "AzureWebJobsStorage", "AZURE_STORAGE_CONNECTION_STRING"}
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        # The terminal is the controlling one of a new session, so that Ctrl-C reaches the whole group.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", str(checkout / "run"), "--port", str(self.port), *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=checkout.parent,
            env={**inherited, **environment},
            start_new_session=False,
        )
        os.close(terminal)

    @property
    def file(self) -> Path:
        """Where it says what runs."""
        return self.checkout / ".local/run.json"

    def facts(self) -> dict[str, object]:
        """What run.json says now."""
        return dict(json.loads(self.file.read_text()))

    def output(self) -> str:
        """All it has said so far."""
        with suppress(BlockingIOError, OSError):
            while part := os.read(self._master, 65536):
                self._output += part
        return self._output.decode(errors="replace")

    def wait_ready(self) -> None:
        """Return once the app answers."""
        eventually(self.answers, READY, lambda: self.output())

    def answers(self) -> bool:
        """Whether the app answers at all."""
        assert self.process.poll() is None, self.output()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/livez", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            raise
        except OSError:
            return False

    def ctrl_c(self) -> int:
        """What the key does; the exit code."""
        os.write(self._master, b"\x03")
        return self.wait()

    def wait(self) -> int:
        """The exit code, once it has ended; reads what it says, or it would wait for a reader."""
        eventually(lambda: bool(self.output()) and self.process.poll() is not None, 60, lambda: self.output())
        return self.process.returncode

    def runner(self) -> int:
        """The process id of the runner itself."""
        return int((self.checkout / ".local/run.lock").read_text())


def eventually(condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


def alive(pid: object) -> bool:
    return Path(f"/proc/{pid}").exists()


def workers_of(facts: dict[str, object]) -> list[int]:
    workers = facts["workers"]
    assert isinstance(workers, list)
    return workers


def all_pids(facts: dict[str, object]) -> list[object]:
    return [*workers_of(facts), facts["postgres"], facts["azurite"]]


def blob_names(facts: dict[str, object], container: str = "bronze") -> list[str]:
    with ContainerClient.from_connection_string(str(facts["storage_connection_string"]), container) as client:
        return sorted(client.list_blob_names())


def queue_names(connection_string: str) -> set[str]:
    with QueueServiceClient.from_connection_string(connection_string) as service:
        return {str(queue.name) for queue in service.list_queues(name_starts_with="geospatial-")}


def has_queues_and_containers(facts: dict[str, object]) -> bool:
    with BlobServiceClient.from_connection_string(str(facts["storage_connection_string"])) as service:
        containers = {container.name for container in service.list_containers()}
    return containers >= set(CONTAINERS) and queue_names(str(facts["storage_connection_string"])) == QUEUES


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A copy of this checkout's files; the virtual environment and the downloads are this one's own."""
    if not (CHECKOUT / ".venv/.made-with").exists():
        pytest.skip("./test has not made the virtual environment .venv, which these tests share")
    folder = Path(tempfile.mkdtemp(prefix="run-script-"))
    folder.chmod(0o755)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, check=True).stdout
    copy = folder / "check out"
    for name in names.decode().split("\0"):
        if (CHECKOUT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, copy / name)
    (copy / ".venv").symlink_to(CHECKOUT / ".venv")
    (copy / ".local").mkdir()
    (copy / ".local/downloads").symlink_to(CHECKOUT / ".local/downloads")
    yield copy
    shutil.rmtree(folder)


@pytest.fixture
def start(checkout: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(*arguments: str, **environment: str) -> Run:
        runs.append(Run(checkout, *arguments, **environment))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.ctrl_c()


@pytest.mark.chaos
def test_run_json_names_the_worker_that_took_the_place_of_a_killed_one(start: Callable[..., Run]) -> None:
    run = start()
    run.wait_ready()
    before = workers_of(run.facts())
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: len(set(workers_of(run.facts())) - set(before)) == 1, 30)
    assert before[0] not in workers_of(run.facts())
    assert before[1] in workers_of(run.facts())


def test_data_stay_for_the_next_start_which_takes_seconds_and_fresh_removes_them(
    start: Callable[..., Run], checkout: Path
) -> None:
    first = start()
    first.wait_ready()
    facts = first.facts()
    says_what_runs(first, facts)
    with psycopg.connect(str(facts["database_url"])) as connection:
        assert connection.execute("SELECT ST_X(ST_Point(1, 2))").fetchone() == (1.0,)
        connection.execute("CREATE TABLE public.kept ()")
    ends_all_by_ctrl_c(first, facts)

    # A folder of the person's own takes the place of the sample.
    mine = folder_of_a_person(checkout)
    began = time.monotonic()
    second = start("--workers", "1", "--data", mine)
    second.wait_ready()
    assert time.monotonic() - began < 20
    again = second.facts()
    assert again["database_url"] == facts["database_url"]
    assert again["storage_connection_string"] == facts["storage_connection_string"]
    with psycopg.connect(str(again["database_url"])) as connection:
        assert connection.execute("SELECT to_regclass('public.kept')").fetchone() == ("kept",)
    assert blob_names(again) == ["b.txt", "deep/er/a.txt"]
    assert "2 files written (2 bytes), 0 unchanged" in second.output()
    assert "warning: 1 skipped" in second.output()
    assert "fifo: a FIFO" in second.output()
    second.ctrl_c()

    third = start("--workers", "1", "--fresh")
    third.wait_ready()
    with psycopg.connect(str(third.facts()["database_url"])) as connection:
        assert connection.execute("SELECT to_regclass('public.kept')").fetchone() == (None,)


def says_what_runs(run: Run, facts: dict[str, object]) -> None:
    assert list(facts) == [
        "url",
        "database_url",
        "storage_connection_string",
        "workers",
        "postgres",
        "azurite",
    ]
    assert facts["url"] == f"http://127.0.0.1:{run.port}"
    assert run.file.stat().st_mode & 0o777 == 0o600
    assert all(alive(pid) for pid in all_pids(facts))
    assert blob_names(facts) == sorted(NAMES)


def ends_all_by_ctrl_c(run: Run, facts: dict[str, object]) -> None:
    assert run.ctrl_c() == 0, run.output()
    assert "Traceback" not in run.output()
    assert not run.file.exists()
    assert not any(alive(pid) for pid in all_pids(facts))


def folder_of_a_person(checkout: Path) -> str:
    """Two files and what is none. Its name is relative to where the person is, above the checkout."""
    mine = checkout.parent / "mine"
    (mine / "deep/er").mkdir(parents=True)
    (mine / "deep/er/a.txt").write_text("a")
    (mine / "b.txt").write_text("b")
    os.mkfifo(mine / "fifo")
    return "mine"


def test_a_second_run_is_refused_and_a_killed_one_takes_all_with_it_and_the_next_start_recovers(
    start: Callable[..., Run], checkout: Path
) -> None:
    first = start()
    first.wait_ready()
    a_second_run_and_a_taken_port_are_named(first, start, checkout)
    facts = first.facts()
    os.kill(first.runner(), signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in all_pids(facts)), 20)
    assert first.file.exists()
    second = start()
    second.wait_ready()
    assert not set(map(str, all_pids(facts))) & set(map(str, all_pids(second.facts())))
    assert blob_names(second.facts()) == sorted(NAMES)


@pytest.mark.chaos
def test_a_server_that_dies_is_started_again_and_run_json_names_it(start: Callable[..., Run]) -> None:
    run = start()
    run.wait_ready()
    facts = run.facts()
    for name in ("postgres", "azurite"):
        os.kill(int(str(facts[name])), signal.SIGKILL)
    eventually(lambda: all(run.facts()[name] != facts[name] for name in ("postgres", "azurite")), 30)
    with psycopg.connect(str(facts["database_url"])) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    # Azurite writes its index every few seconds: what it forgot must not keep the app from working.
    eventually(lambda: has_queues_and_containers(facts), 30)


def a_second_run_and_a_taken_port_are_named(run: Run, start: Callable[..., Run], checkout: Path) -> None:
    second = start()
    assert second.wait() == 1
    assert f"(process {run.runner()}) and serves http://127.0.0.1:{run.port}" in second.output()

    other = checkout.parent / "other"
    shutil.copytree(checkout, other, symlinks=True, ignore=shutil.ignore_patterns("postgres", "azurite"))
    done = subprocess.run(
        [other / "run", "--port", str(run.port)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert f"Port {run.port} is in use by process {run.runner()}: " in done.stderr


def test_servers_that_the_environment_names_are_used_and_left_running(
    start: Callable[..., Run], empty_database_url: str, storage_connection_string: str
) -> None:
    outside = {"DATABASE_URL": empty_database_url, "AzureWebJobsStorage": storage_connection_string}
    run = start("--workers", "1", **outside)
    run.wait_ready()
    facts = run.facts()
    assert facts["database_url"] == empty_database_url
    assert facts["storage_connection_string"] == storage_connection_string
    assert (facts["postgres"], facts["azurite"]) == (None, None)
    assert queue_names(storage_connection_string) == QUEUES
    run.ctrl_c()
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT to_regclass('app.jobs') IS NOT NULL").fetchone() == (True,)
    refused = start("--fresh", **outside)
    assert refused.wait() == 1
    assert "--fresh empties the private servers" in refused.output()


def test_func_start_gets_the_same_settings(start: Callable[..., Run], checkout: Path) -> None:
    programs = checkout.parent / "bin"
    programs.mkdir()
    func = programs / "func"
    func.write_text('#!/bin/sh\necho "func was called with: $*"\nexec sleep 600\n')
    func.chmod(0o755)
    run = start("--func", PATH=f"{programs}:{os.environ['PATH']}")
    eventually(lambda: "func was called" in run.output(), READY, lambda: run.output())
    assert f"func was called with: start --port {run.port}" in run.output()
    eventually(lambda: len(all_pids(run.facts())) == 3, 10)
    facts = run.facts()
    values = json.loads((checkout / "local.settings.json").read_text())["Values"]
    assert values["DATABASE_URL"] == facts["database_url"]
    assert values["AzureWebJobsStorage"] == facts["storage_connection_string"]
    assert values["TASKS_QUEUE"] == "geospatial-tasks"
    run.ctrl_c()
    assert not any(alive(pid) for pid in all_pids(facts))


def test_func_that_is_missing_is_named_with_the_command_that_gets_it(start: Callable[..., Run]) -> None:
    run = start("--func", PATH="/usr/bin:/bin")
    assert run.wait() == 1
    assert "npm install -g azure-functions-core-tools@4" in run.output()


def test_arguments_that_cannot_be_are_refused_before_anything_starts(start: Callable[..., Run]) -> None:
    for arguments, complaint in (
        (["--data", "nowhere"], "nowhere is not a folder"),
        (["--workers", "0"], "--workers must be at least 1"),
        (["--port", "70000"], "--port must be between 0 and 65535"),
    ):
        run = start(*arguments)
        assert run.wait() == 2
        assert complaint in run.output()
        assert "Starting" not in run.output()
