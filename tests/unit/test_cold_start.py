"""A process that starts loads only what every invocation needs: the rest is loaded when it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ["rasterio", "numpy", "rio_cogeo", "azure.storage.blob", "azure.storage.queue", "azure.identity"]
HEAVY += ["pyproj", "shapely", "fiona", "pyogrio", "geopandas", "pandas"]
SETTINGS = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
}
IDENTITY = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing",
    "AzureWebJobsStorage__accountName": "acme",
}


def loaded(settings: dict[str, str]) -> list[str]:
    """The modules that a fresh process has once it has imported the app."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("AzureWebJobs", "DATABASE"))
    }
    done = subprocess.run(
        [sys.executable, "-c", "import function_app, json, sys; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        env={**kept, **settings, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return modules


@pytest.mark.parametrize("settings", [SETTINGS, IDENTITY], ids=["connection string", "identity"])
def test_the_app_starts_without_loading_what_only_some_tasks_need(settings: dict[str, str]) -> None:
    modules = loaded(settings)
    assert "function_app" in modules
    assert [name for name in HEAVY if name in modules] == []


def test_the_app_starts_while_nothing_it_depends_on_answers() -> None:
    # Neither database nor storage is there: the process must come up to say so.
    assert "engine" in loaded(SETTINGS)
