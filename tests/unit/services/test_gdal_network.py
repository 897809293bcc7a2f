"""GDAL asks no web server, whatever a file names and whatever the environment says about proxies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.listener import Listener

ROOT = Path(__file__).resolve().parents[3]
READ = """
import sys
import os
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "*"
if sys.argv[1] == "guarded":
    from services.vector import library
    pyogrio = library.pyogrio()
else:
    import pyogrio
print(pyogrio.read_info(sys.argv[2])["features"])
"""


@pytest.mark.parametrize(("kind", "asked"), [("guarded", False), ("unguarded", True)])
def test_a_crs_that_is_a_link_is_not_asked_for(tmp_path: Path, kind: str, asked: bool) -> None:
    with Listener() as listener:
        point = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}
        crs = {"type": "link", "properties": {"href": listener.url("crs"), "type": "proj4"}}
        file = tmp_path / "a.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [point]}))
        done = subprocess.run(
            [sys.executable, "-c", READ, kind, str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "1", done.stderr
        # Without the guard it is: this is no test that cannot fail.
        assert bool(listener.connections) is asked
