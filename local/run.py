"""`./run`: the local stack and the app on it, in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from azure.core.exceptions import AzureError

from local.functions_host.errors import HostError
from local.functions_host.supervisor import DEFAULT_PORT, DEFAULT_WORKERS, ServeOptions, serve
from local.stack import app_environment
from local.stack.data_folder import Skipped
from local.stack.errors import StackError
from local.stack.func import find_func, serve_with_func
from local.stack.paths import Paths
from local.stack.ports import LOOPBACK, free_ports, holder, is_free
from local.stack.progress import Progress
from local.stack.run_file import RunFile, only_run
from local.stack.sample import load_sample, remove_sample
from local.stack.servers import Servers
from local.stack.storage import INPUT_CONTAINER, ensure_containers, ensure_queues, upload_folder

_INTERRUPTED = 130
_SKIPPED_SHOWN = 10


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The options of one start; prints help or what is wrong with them and exits."""
    parser = argparse.ArgumentParser(
        prog="./run",
        description="Serve the app on this machine, with a private PostgreSQL and Azurite below .local/.",
        epilog="DATABASE_URL and AzureWebJobsStorage, when set, are used instead of the private servers.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help=f"first upload this folder into the container {INPUT_CONTAINER}",
    )
    parser.add_argument("--fresh", action="store_true", help="start empty: remove the private servers' data")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 for any free one (%(default)s)")
    parser.add_argument("--workers", type=int, default=DEFAULT_WORKERS, help="worker processes (%(default)s)")
    parser.add_argument("--auth", action="store_true", help="ask for function keys, as Azure does")
    parser.add_argument("--func", action="store_true", help="serve with `func start` of Core Tools")
    options = parser.parse_args(argv)
    if options.workers < 1:
        parser.error("--workers must be at least 1")
    if not 0 <= options.port < 65536:
        parser.error("--port must be between 0 and 65535")
    if options.data:
        options.data = Path(os.environ.get("CALLED_FROM", "."), options.data).resolve()
        if not options.data.is_dir():
            parser.error(f"--data: {options.data} is not a folder")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Set up and serve until interrupted; the exit code."""
    options = parse_arguments(sys.argv[1:] if argv is None else argv)
    paths, progress = Paths(), Progress()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        _end_by_signals()
        with only_run(paths) as run_file:
            return _run(options, paths, progress, run_file)
    except (StackError, HostError, AzureError) as error:
        progress.say(f"\n{error}")
        return 1
    except PermissionError as error:
        progress.say(f"\n{error.filename} belongs to another user; ./run must be started by the same one")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(options: argparse.Namespace, paths: Paths, progress: Progress, run_file: RunFile) -> int:
    port = _choose_port(options.port)
    func = find_func() if options.func else ""
    database_url = os.environ.get("DATABASE_URL", "")
    storage = os.environ.get("AzureWebJobsStorage", "")
    if options.fresh and (database_url or storage):
        raise StackError(
            "--fresh empties the private servers, but DATABASE_URL or AzureWebJobsStorage name others; "
            "unset them, or empty those servers yourself"
        )
    servers = Servers(paths, progress, database_url, storage)
    try:
        if options.fresh:
            with progress.step("Removing the data of earlier runs"):
                servers.erase()
        servers.start()
        settings = app_environment.app_settings(servers.database_url, servers.storage)
        _fill(options.data, paths, progress, settings)
        os.environ.update(settings)
        run_file.update(
            url=f"http://{LOOPBACK}:{port}",
            database_url=servers.database_url,
            storage_connection_string=servers.storage,
            workers=[],
            **servers.pids(),
        )
        servers.watch(run_file, lambda: _make_queues_and_containers(settings))
        if func:
            return serve_with_func(func, paths, port, settings, lambda pid: run_file.update(workers=[pid]))
        return serve(
            ServeOptions(
                app_root=paths.root,
                host_json=paths.root / "host.json",
                port=port,
                workers=options.workers,
                auth=options.auth,
                keys=paths.local / "keys.json",
            ),
            on_workers_changed=lambda pids: run_file.update(workers=pids),
            on_ready=_announce(paths, progress),
        )
    finally:
        _ignore_signals()
        progress.say("\nStopping")
        servers.stop()


def _choose_port(port: int) -> int:
    if port == 0:
        return free_ports(1)[0]
    if not is_free(port):
        by = f" by {found}" if (found := holder(port)) else ""
        raise StackError(
            f"Port {port} is in use{by}. End that, or choose another port: ./run --port {port + 1}"
        )
    return port


def _fill(data: Path | None, paths: Paths, progress: Progress, settings: dict[str, str]) -> None:
    """Apply the migrations, make queues and containers, load files."""
    storage = settings["AzureWebJobsStorage"]
    with progress.step("Applying the migrations"):
        app_environment.migrate(paths.root, settings)
    with progress.step("Making the queues and containers"):
        made = _make_queues_and_containers(settings)
    if data:
        remove_sample(storage)
        with progress.step(f"Uploading {data} to the container {INPUT_CONTAINER}"):
            done = upload_folder(storage, data, INPUT_CONTAINER, progress)
        progress.say(f"  {done.written:,} files written ({done.size:,} bytes), {done.unchanged:,} unchanged")
        _warn_of_skipped(done.skipped, progress)
    elif INPUT_CONTAINER in made:
        with progress.step(f"Loading a sample into the container {INPUT_CONTAINER}"):
            load_sample(storage, progress)


def _warn_of_skipped(skipped: Sequence[Skipped], progress: Progress) -> None:
    if not skipped:
        return
    progress.say(f"  warning: {len(skipped):,} skipped:")
    for file in skipped[:_SKIPPED_SHOWN]:
        progress.say(f"    {file.name}: {file.reason}")
    if len(skipped) > _SKIPPED_SHOWN:
        progress.say(f"    … and {len(skipped) - _SKIPPED_SHOWN:,} more")


def _make_queues_and_containers(settings: dict[str, str]) -> list[str]:
    """Make those that are not there; the names of the containers made."""
    storage = settings["AzureWebJobsStorage"]
    ensure_queues(storage, [settings["JOBS_QUEUE"], settings["TASKS_QUEUE"]])
    return ensure_containers(storage)


def _announce(paths: Paths, progress: Progress) -> Callable[[str], None]:
    def announce(url: str) -> None:
        progress.say(f"\nServing {url}   try: curl -s {url}/api/health")
        progress.say(f"What runs is in {paths.run_file}, logs are in {paths.logs}. Ctrl-C stops all of it.\n")

    return announce


def _end_by_signals() -> None:
    """Let a closed terminal and a polite kill end the run as a Ctrl-C does."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell without job control starts what it puts in the background with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _ignore_signals() -> None:
    """From here on only the end counts: PostgreSQL must have written its last page."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
