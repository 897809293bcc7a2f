"""The numbers of features: their places among all that a load reads."""

from __future__ import annotations

import pyarrow
import shapely

from .conftest import Depot
from .yard import Yard

BROKEN = (1500, 4200)
"""Of rows that are rejected, the numbers."""


def csv(first: int, rows: int) -> str:
    """A row for each number."""
    lines = [f"{n},{'nowhere' if n in BROKEN else f'POINT ({n % 90} 1)'}" for n in range(first, first + rows)]
    return "\n".join(["n,wkt", *lines]) + "\n"


def test_a_feature_has_the_number_of_its_place_whichever_chunk_comes_first(depot: Depot) -> None:
    depot.put("in/a.csv", csv(1, 2500))
    depot.put("in/b.csv", csv(2501, 2500))
    asked = {"prefix": "in/", "target_table": "places", "chunk_features": 1000, "assume_crs": "EPSG:4326"}
    result = depot.load(**asked)
    assert (result["loaded"], result["rejected"]) == (4998, 2)
    rows = depot.rows("places")
    assert len(rows) == 4998
    assert all(row["fid"] == row["n"] for row in rows)
    # As many as there are places, those of rejected features among them.
    depot.put("c.csv", csv(5001, 2))
    depot.load(blob="c.csv", target_table="places", if_exists="append", assume_crs="EPSG:4326")
    assert [row["fid"] for row in depot.rows("places")[-2:]] == [5001, 5002]


def test_chunks_that_are_loaded_in_any_order_and_again_number_the_same(yard: Yard) -> None:
    staging = yard.stage(chunks=3, features=6, numbered=True)
    # Two of them were killed when all was committed but the answer.
    for fence, chunk in enumerate([2, 1, 0, 1, 2], 1):
        with yard.tables.loading(staging, yard.attempt(fence, task=chunk), chunk) as writer:
            writer.write(numbered([2 * chunk + 1, 2 * chunk + 2]))
    found = yard.admin.execute(f'SELECT fid, n FROM geo_staging."{staging}" ORDER BY fid').fetchall()
    assert [(row["fid"], row["n"]) for row in found] == [(number, number) for number in range(1, 7)]


def numbered(numbers: list[int]) -> pyarrow.RecordBatch:
    geometry = shapely.to_wkb(shapely.set_srid(shapely.Point(1, 2), 4326), include_srid=True)
    columns = [
        pyarrow.array([geometry] * len(numbers), pyarrow.binary()),
        pyarrow.array(numbers, pyarrow.int64()),
        pyarrow.array(numbers, pyarrow.int32()),
    ]
    return pyarrow.RecordBatch.from_arrays(columns, names=["geom", "fid", "n"])
