"""An export of many features takes no more memory than one of some."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fix_engine import World
from tests.fix_stack import CHECKOUT

from .crash_harness import report

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SOME, MANY = 60_000, 600_000
MOST = 512 * 1024**2
"""Bytes, of a whole process."""
GROWTH = 96 * 1024**2
MAKE = """
CREATE SCHEMA IF NOT EXISTS features;
CREATE TABLE features.t{count} (fid bigint PRIMARY KEY, name text, height double precision,
                                geom geometry(Polygon, 4326));
INSERT INTO features.t{count}
SELECT n, 'name ' || n, n / 7.0,
       ST_Buffer(ST_SetSRID(ST_MakePoint(n % 1000 / 10.0, n / 10000.0), 4326), 0.04, 8)
FROM generate_series(1, {count}) AS n;
INSERT INTO geo.layers (target_schema, target_table, title, srid, geometry_column, geometry_type, key,
                        columns, row_count, job_id, run)
VALUES ('features', 't{count}', 'made', 4326, 'geom', 'Polygon', '["fid"]',
        '[{{"name": "name", "type": "text", "original": "name"}},
          {{"name": "height", "type": "double precision", "original": "height"}}]', {count}, 'job', 1)
"""


def test_the_size_of_a_table_is_not_that_of_the_process(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    world = make_world()
    url = world.settings.database_url.get_secret_value()
    peaks: dict[tuple[str, int], int] = {}
    for count in (SOME, MANY):
        world.rows(MAKE.format(count=count), fetch=False)
        for kind in ("geoparquet", "flatgeobuf", "geopackage"):
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "tests.chaos.export_once", url, f"t{count}", kind, str(tmp_path)],
                cwd=CHECKOUT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
            assert found["features"] == count
            peaks[kind, count] = found["peak"]
            report(
                "export memory", f"{kind} {count}", {**found, "seconds": round(time.monotonic() - began, 1)}
            )
    assert max(peaks.values()) < MOST, peaks
    grown = {kind: peaks[kind, MANY] - peaks[kind, SOME] for kind, _ in peaks}
    assert max(grown.values()) < GROWTH, peaks
