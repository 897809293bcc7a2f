"""What the app is told on this machine: the settings that a function app has in Azure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .errors import StackError

JOBS_QUEUE = "geospatial-jobs"
TASKS_QUEUE = "geospatial-tasks"


def app_settings(database_url: str, storage: str) -> dict[str, str]:
    """The app's settings; those that a person may choose are taken from the environment where it has them."""
    chosen = {"JOBS_QUEUE": JOBS_QUEUE, "TASKS_QUEUE": TASKS_QUEUE}
    given = bool(os.environ.get("DATABASE_URL"))
    return {
        "DATABASE_URL": database_url,
        # A database of somebody else's may be behind PgBouncer, which cannot notify.
        "DATABASE_DIRECT_URL": os.environ.get("DATABASE_DIRECT_URL") or ("" if given else database_url),
        "AzureWebJobsStorage": storage,
        # By this name GDAL's /vsiaz/ looks for it.
        "AZURE_STORAGE_CONNECTION_STRING": storage,
        **{name: os.environ.get(name) or value for name, value in chosen.items()},
    }


def migrate(root: Path, settings: Mapping[str, str]) -> None:
    """Bring the database's schema up to date.

    Raises:
        StackError: the migrations did not apply; shows what they said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "repositories.migrations"],
        cwd=root,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"The migrations could not be applied:\n{done.stdout}{done.stderr}".rstrip())
