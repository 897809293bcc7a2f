"""Every vector file of the corpus is loaded with the right counts, or refused with a precise reason."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from .conftest import Depot

EXPECTED = Path(__file__).with_name("corpus.csv")
"""For each file: features loaded and rejected, of layers with geometries; or how the reason begins."""


def _expected() -> dict[str, tuple[int, int] | str]:
    with EXPECTED.open() as file:
        return {
            row["file"]: row["reason"] or (int(row["loaded"]), int(row["rejected"]))
            for row in csv.DictReader(file)
        }


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_file_of_the_corpus_loads_or_says_why_not(depot: Depot, corpus: Path) -> None:
    names = _put(depot, corpus)
    job = depot.run(blobs=list(names), assume_crs="EPSG:4326", seconds=380)
    assert job["status"] == "completed_with_errors"
    found = {names[name]: what for name, what in _outcomes(depot, job["job_id"], list(names)).items()}
    expected = _expected()
    different = {
        file: (found.get(file), wanted)
        for file, wanted in expected.items()
        if not _as_expected(found.get(file), wanted)
    }
    assert different == {}
    assert set(found) == set(expected)
    assert depot.world.violations() == {}
    [published] = depot.world.rows("SELECT count(*) AS n FROM geo.layers")
    assert published["n"] == job["result"]["table_count"] > 100


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_what_a_validation_says_of_the_corpus_is_what_a_load_does(depot: Depot, corpus: Path) -> None:
    names = _put(depot, corpus)
    given = {"container": depot.container, "blobs": list(names), "assume_crs": "EPSG:4326"}
    job = depot.world.run(depot.world.submit("validate_vector", **given).job_id, 380)
    assert job["status"] == "completed", job["error"]
    different = {}
    expected = _expected()
    for task in depot.world.tasks(job["job_id"], 2):
        said = task["result"]
        wanted = expected[names[said["name"]]]
        loads = [layer["would_load"] for layer in said["layers"] if not layer["refused"]]
        found = (sum(one["loaded"] for one in loads), sum(one["rejected"] for one in loads))
        if found != wanted and not any(str(wanted) in reason for reason in said["reasons"]):
            different[said["name"]] = (found, said["reasons"], wanted)
    assert different == {}
    assert depot.world.rows("SELECT 1 FROM geo.layers") == []


def _put(depot: Depot, corpus: Path) -> dict[str, str]:
    """The files of the corpus by the names of their blobs."""
    with (corpus / "MANIFEST.csv").open() as manifest:
        files = [row["file"] for row in csv.DictReader(manifest) if _is_vector(row)]
    names = {f"{number}_{Path(file).name}": file for number, file in enumerate(files)}
    for name, file in names.items():
        depot.put_file(corpus / file, name)
    return names


def _is_vector(row: dict[str, str]) -> bool:
    # Rasters that are meant to fail are for others.
    return row["kind"] in ("vector", "bad") and not row["file"].lower().endswith((".tif", ".tiff"))


def _as_expected(found: Any, expected: tuple[int, int] | str) -> bool:
    return (
        found.startswith(expected)
        if isinstance(found, str) and isinstance(expected, str)
        else found == expected
    )


def _outcomes(depot: Depot, job_id: str, names: list[str]) -> dict[str, tuple[int, int] | str]:
    """By the name of the blob: features loaded and rejected, or why nothing was."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    reasons: dict[str, str] = {}
    for task in depot.world.tasks(job_id):
        items = task["parameters"].get("items", [])
        if task["error"] and task["stage"] == 2:
            reasons[names[task["task_index"]]] = task["error"]
        elif task["error"] and task["stage"] == 3:
            reasons[items[0]["layer"]["source"]["name"]] = task["error"]
        elif task["error"]:
            reasons[task["parameters"].get("layer", {}).get("source", {}).get("name", "?")] = task["error"]
        elif task["stage"] == 4:
            for place, name in enumerate(("loaded", "rejected")):
                counts[task["result"]["source"]][place] += task["result"]["counts"][name]
    return {**{name: (one[0], one[1]) for name, one in counts.items()}, **reasons}
