"""What is said of the software in items and COGs."""

from __future__ import annotations

import tomllib
from pathlib import Path

from services.stac.lineage import software_versions


def test_the_versions_are_those_that_run() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    found = software_versions()
    assert found["geospatial-orchestrator"] == project["project"]["version"]
    assert found["GDAL"].split(".")[0] == "3"
