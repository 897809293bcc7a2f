"""Links lead back to where the client asked, whatever is in between, and hold no key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from interfaces.settings import Settings
from tests.catalog_content import fill
from tests.fix_catalog import Catalog, link

PROXY = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "data.example.org", "X-Forwarded-Prefix": "/geo"}
PATHS = (
    *("", "/", "/collections", "/collections/scenes", "/collections/scenes/items?limit=2", "/search?limit=2"),
    "/collections/scenes/items/scene-000001",
)


def hrefs(document: Any) -> Iterator[str]:
    """Of all links in a document, except those that lead elsewhere."""
    if isinstance(document, dict):
        for one in document.get("links", []):
            if one["rel"] != "license":
                yield one["href"]
        document = list(document.values())
    if isinstance(document, list):
        for value in document:
            yield from hrefs(value)


@pytest.mark.parametrize("path", PATHS)
def test_links_begin_with_the_address_that_was_asked(five_scenes: Catalog, path: str) -> None:
    found = list(hrefs(five_scenes.get(path).json()))
    assert found
    assert [href for href in found if not href.startswith("http://127.0.0.1/api/stac/")] == []


@pytest.mark.parametrize("path", PATHS)
def test_links_begin_with_the_address_that_the_proxy_was_asked(five_scenes: Catalog, path: str) -> None:
    found = list(hrefs(five_scenes.get(path, **PROXY).json()))
    assert found
    assert [href for href in found if not href.startswith("https://data.example.org/geo/api/stac/")] == []
    assert not any(href.count("/api/stac") > 1 for href in found)


def test_the_next_page_is_found_through_the_proxy_too(five_scenes: Catalog) -> None:
    first = five_scenes.get("/search?limit=2", **PROXY).json()
    following = urlsplit(link(first, "next"))
    # The proxy takes its own part away before it hands the request on.
    path = following.path.removeprefix("/geo/api/stac")
    second = five_scenes.get(f"{path}?{following.query}", **PROXY).json()
    assert [feature["id"] for feature in second["features"]] == ["scene-000002", "scene-000001"]
    posted = five_scenes.call("POST", "/search", {"limit": 2}, headers=PROXY).json()
    [next_page] = [one for one in posted["links"] if one["rel"] == "next"]
    assert next_page["href"] == "https://data.example.org/geo/api/stac/search"
    again = five_scenes.call("POST", "/search", next_page["body"], headers=PROXY).json()
    assert [feature["id"] for feature in again["features"]] == ["scene-000002", "scene-000001"]


def test_a_public_url_that_is_set_goes_before_everything(
    make_catalog: Callable[..., Catalog], catalog_database_url: str
) -> None:
    fill(catalog_database_url, 1)
    catalog = make_catalog(catalog_database_url, catalog_public_url="https://stac.example.org/v1/")
    for path in PATHS:
        for href in hrefs(catalog.get(path, **PROXY).json()):
            assert href.startswith("https://stac.example.org/v1/")
    plain = make_catalog(catalog_database_url, catalog_public_url="https://stac.example.org")
    assert link(plain.get().json(), "root") == "https://stac.example.org/"


@pytest.mark.parametrize(
    "key", ["code=s3cret", "Code=s3cret", "clientId=s3cret", "%63ode=s3cret", "c%4Fde=s3cret"]
)
def test_no_key_is_repeated_in_an_answer(five_scenes: Catalog, key: str) -> None:
    for path in (f"?{key}", f"/search?{key}&limit=2", f"/collections/scenes/items?limit=2&{key}"):
        answer = five_scenes.get(path, **{"x-functions-key": "s3cret"})
        assert answer.status == 200
        assert "s3cret" not in answer.text()


def test_the_path_matches_without_regard_to_case_as_the_host_has_it(five_scenes: Catalog) -> None:
    answer = five_scenes.client.get("/API/Stac/collections/scenes")
    assert answer.status == 200
    assert link(answer.json(), "self") == "http://127.0.0.1/api/stac/collections/scenes"
    assert five_scenes.get("/collections/scenes/").json() == answer.json()
    assert five_scenes.post("/search/", {}).status == 200


@pytest.mark.parametrize(
    "wrong", ["data.example.org", "ftp://data.example.org", "https://", "https://a/?b=c"]
)
def test_a_public_url_that_is_none_is_refused_at_start(wrong: str) -> None:
    with pytest.raises(ValidationError, match="catalog_public_url"):
        Settings(catalog_public_url=wrong)
