"""Where things are: of this checkout, below `.local/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Paths:
    """The folders and files of one checkout."""

    root: Path = CHECKOUT

    @property
    def local(self) -> Path:
        """Everything that `./run` and `./test` make."""
        return self.root / ".local"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def downloads(self) -> Path:
        """What was installed: costs only time to lose."""
        return self.local / "downloads"

    @property
    def logs(self) -> Path:
        """What the servers and the installers wrote."""
        return self.local / "logs"

    @property
    def postgres(self) -> Path:
        """The private PostgreSQL, where its user can get at it."""
        return self.local / "postgres"

    @property
    def azurite(self) -> Path:
        """The blobs and queues of the private Azurite."""
        return self.local / "azurite"

    @property
    def run_file(self) -> Path:
        """What runs now; exists only while something does."""
        return self.local / "run.json"

    @property
    def lock_file(self) -> Path:
        """Held by the `./run` that runs in this checkout."""
        return self.local / "run.lock"

    @property
    def ports_file(self) -> Path:
        """The ports of the last start, so that URLs kept in the data stay true."""
        return self.local / "ports.json"

    @property
    def func_settings(self) -> Path:
        """What `func start` reads."""
        return self.root / "local.settings.json"
