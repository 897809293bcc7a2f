"""The STAC API of an app whose catalog everybody may read: it conforms to what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.stack.postgres import PostgresServer
from tests.catalog_content import collection, fill, item, scenes
from tests.fix_app import App, serving
from tests.fix_stack import CHECKOUT

CONFORMANCE = ("core", "collections", "features", "item-search", "filter")
SQUARE = [[[-10.0, -10.0], [10.0, -10.0], [10.0, 10.0], [-10.0, 10.0], [-10.0, -10.0]]]


@pytest.fixture(scope="module")
def public(
    postgres_server: PostgresServer,
    catalog_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[App]:
    """An app that asks for keys, but not of who reads the catalog."""
    folder = tmp_path_factory.mktemp("public")
    arguments = ("--auth", "--keys", str(folder / "keys.json"), "--workers", "1")
    environment = {"CATALOG_ANONYMOUS_READS": "true"}
    with serving(
        postgres_server,
        catalog_template,
        storage_connection_string,
        folder,
        *arguments,
        environment=environment,
    ) as app:
        fill(app.database_url, 500)
        yield app


@pytest.fixture(scope="session")
def schemas() -> Path:
    """JSON schemas as HOST/PATH."""
    folder = CHECKOUT.parent / "shared" / "schemas"
    if not folder.is_dir():
        pytest.skip("the schemas ../shared/schemas are not beside this checkout")
    return folder


def test_the_api_conforms_to_what_it_says(public: App, schemas: Path) -> None:
    classes = [word for name in CONFORMANCE for word in ("--conformance", name)]
    geometry = json.dumps({"type": "Polygon", "coordinates": SQUARE})
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.stac_conformance", str(schemas)),
            *("--root-url", f"{public.url}/api/stac/", *classes),
            *("--collection", "scenes", "--geometry", geometry),
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    for name in ("Core", "Collections", "Features", "Item Search", "Item Search - Filter Extension"):
        assert f"Validating STAC API - {name} conformance class" in told
    assert "Errors: none" in told, told


def test_everybody_reads_and_nobody_changes_without_the_key(public: App) -> None:
    one = item(scenes(1)[0])
    place = f"/collections/scenes/items/{one['id']}"
    with httpx.Client(base_url=f"{public.url}/api/stac") as http:
        for path in ("", "/collections", "/search", place, "/queryables"):
            assert http.get(path).status_code == 200
        assert http.post("/search", json={"limit": 1}).status_code == 200
        assert http.head("/collections").status_code == 200
        for method, path, body in (
            ("POST", "/collections", collection("mine")),
            ("PUT", "/collections/scenes", collection()),
            ("PATCH", place, {"properties": {"title": "new"}}),
            ("DELETE", place, None),
            ("DELETE", "/collections/scenes", None),
        ):
            assert http.request(method, path, json=body).status_code == 401
        assert http.get(place).json()["properties"] == one["properties"]
