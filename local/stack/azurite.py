"""A private Azurite, Microsoft's emulator of Azure Storage: installed, started, stopped; its data stay."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from .commands import run_logged
from .errors import Missing, StackError
from .node import Node
from .paths import Paths
from .ports import LOOPBACK, accepts, free_ports
from .process import Server, end_leftovers
from .progress import Progress

VERSION = "3.35.0"
_NODE_OPTIONS = ("--no-incremental-marking",)
# Of each buffer outside its heap, such as a blob's bytes are read into, V8 begins to mark that heap step by
# step, with up to four threads, and once more as soon as it has ended: three quarters of what serving a blob
# took.
_SCRIPT = "node_modules/azurite/dist/src/azurite.js"

ACCOUNT = "devstoreaccount1"
# Not a secret: the account and key that every emulator has, printed in Azurite's documentation.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def connection_string(blob_port: int = 10000, queue_port: int = 10001, table_port: int = 10002) -> str:
    """The connection string of an emulator on these ports; without any, of one on its usual ports."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={_KEY};"
        f"BlobEndpoint=http://{LOOPBACK}:{blob_port}/{ACCOUNT};"
        f"QueueEndpoint=http://{LOOPBACK}:{queue_port}/{ACCOUNT};"
        f"TableEndpoint=http://{LOOPBACK}:{table_port}/{ACCOUNT};"
    )


def ensure_azurite(paths: Paths, node: Node, progress: Progress) -> Path:
    """Azurite's script, installed below `.local/` if it is not there.

    Raises:
        Missing: it could not be installed.
    """
    folder = paths.downloads / f"azurite-{VERSION}"
    if (folder / "complete").exists():
        return folder / _SCRIPT
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Without a file of its own, npm would install into the next folder above that has one.
    (folder / "package.json").write_text("{}\n")
    command = [*node.npm, "install", "--no-audit", "--no-fund", "--no-save", f"azurite@{VERSION}"]
    try:
        with progress.step("Installing Azurite (190 MB, about half a minute)"):
            run_logged(command, paths.logs / "npm.log", env=node.env(), cwd=folder)
    except StackError as error:
        raise Missing("Azurite", f"cd {folder} && npm install azurite@{VERSION}", str(error)) from error
    (folder / "complete").touch()
    return folder / _SCRIPT


class AzuriteServer:
    """Blobs and queues in `home`, served on three ports of the loopback interface."""

    def __init__(
        self, node: Node, script: Path, home: Path, log: Path, preferred_ports: list[int] | None = None
    ) -> None:
        self.home = home
        self.ports: list[int] = []
        self._node = node
        self._script = script
        self._preferred = preferred_ports
        self._server = Server("Azurite", log, signal.SIGTERM)  # SIGTERM: writes its index, then ends

    @property
    def pid(self) -> int:
        """The process id."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._server.running

    @property
    def connection_string(self) -> str:
        """What a storage client needs to reach it."""
        return connection_string(*self.ports)

    def launch(self) -> None:
        """Start the process and do not wait for it; `wait` does."""
        end_leftovers("node", str(self.home), signal.SIGTERM)
        self.home.mkdir(parents=True, exist_ok=True)
        self.ports = free_ports(3, self.ports or self._preferred)
        command = [self._node.program, *_NODE_OPTIONS, str(self._script), "--silent", "--disableTelemetry"]
        # Newer SDKs speak newer versions of the API than Azurite knows by name.
        command += ["--skipApiVersionCheck", "--location", str(self.home)]
        for service, port in zip(("blob", "queue", "table"), self.ports, strict=True):
            command += [f"--{service}Host", LOOPBACK, f"--{service}Port", str(port)]
        self._server.start(command, env=self._node.env(), cwd=self.home)

    def wait(self) -> None:
        """Return once it takes connections.

        Raises:
            StackError: it does not start; shows the end of its log.
        """
        self._server.wait_until(lambda: all(accepts(port) for port in self.ports), seconds=60)

    def start(self) -> None:
        """Start it and return once it takes connections."""
        self.launch()
        self.wait()

    def stop(self, number: signal.Signals | None = None) -> None:
        """Stop it; it writes down what it holds first, unless another signal forbids."""
        self._server.stop(number=number)

    def erase(self) -> None:
        """Remove all its blobs and queues."""
        end_leftovers("node", str(self.home), signal.SIGTERM)
        shutil.rmtree(self.home, ignore_errors=True)
