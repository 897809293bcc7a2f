"""Items against the schemas that ship with the app."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.stac.validation import SHIPPED, ItemValidator

ITEM: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    "id": "a",
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
    "bbox": [0, 0, 1, 1],
    "properties": {"datetime": "2020-01-01T00:00:00Z", "proj:code": "EPSG:4326", "proj:shape": [1, 1]},
    "links": [],
    "assets": {"data": {"href": "a.tif", "bands": [{"name": "b1", "data_type": "uint8"}]}},
}


def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    item = copy.deepcopy(ITEM)
    change(item)
    return item


def test_a_valid_item_has_no_errors_and_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    without_network(monkeypatch)

    validation = ItemValidator().validate(ITEM)

    assert (validation.errors, validation.unknown) == ((), ())


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        (lambda item: item["properties"].pop("datetime"), "properties", '"datetime" is a required property'),
        (
            lambda item: item["properties"].update(datetime="2020-01-01"),
            "properties.datetime",
            '"2020-01-01"',
        ),
        (
            lambda item: item["properties"].update(datetime="2020-13-01T00:00:00Z"),
            "properties.datetime",
            'is not a "date-time"',
        ),
        (lambda item: item.pop("assets"), "item", '"assets" is a required property'),
        (lambda item: item.update(geometry=None), "bbox", "not allowed"),
        (
            lambda item: item["properties"].update({"proj:code": 4326}),
            "properties.proj:code",
            '4326 is not of types "null", "string"',
        ),
        (lambda item: item.pop("bbox"), "item", '"bbox" is a required property'),
        (lambda item: item.update(id=5), "id", "5 is not"),
        (lambda item: item.update(id=""), "id", '"" is shorter'),
        (
            lambda item: item["properties"].update({"proj:shape": [1, 2, 3]}),
            "properties.proj:shape",
            "[1,2,3] has more than 2 items",
        ),
        (
            lambda item: item["properties"].update({"proj:epsg": 4326}),
            "properties",
            "'proj:epsg' was unexpected",
        ),
        (
            lambda item: item["assets"]["data"]["bands"][0].update(data_type="uint7"),
            "assets.data.bands.0.data_type",
            '"uint7" is not one of',
        ),
        (lambda item: item["assets"]["data"].pop("href"), "assets.data", '"href" is a required property'),
        (
            lambda item: item["assets"]["data"].update(href="a b.tif"),
            "assets.data.href",
            'is not a "iri-reference"',
        ),
        (
            lambda item: item["links"].append({"rel": "collection", "href": "c.json"}),
            "item",
            '"collection" is a required property',
        ),
        (lambda item: item.update(collection="c"), "collection", 'not allowed for "c"'),
        (
            lambda item: item["geometry"]["coordinates"].__setitem__(0, [[0, 0], [1, 1]]),
            "geometry.coordinates.0",
            "less than 4 items",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    change: Callable[[dict[str, Any]], object], path: str, reason: str
) -> None:
    validation = ItemValidator().validate(changed(change))

    found = [(error.path, error.reason) for error in validation.errors]
    assert any(where.startswith(path) and reason in why for where, why in found), found


def test_every_error_is_found() -> None:
    def change(item: dict[str, Any]) -> None:
        item["properties"]["proj:shape"] = "large"
        del item["properties"]["datetime"]

    schemas = {error.schema.split("/")[2] for error in ItemValidator().validate(changed(change)).errors}

    assert schemas == {"schemas.stacspec.org", "stac-extensions.github.io"}


@pytest.mark.parametrize("version", ["1.0.0-rc.1", "é" * 1000, "1\0", None, 1.1, "../../etc"])
def test_a_version_without_a_schema_is_an_error(version: object) -> None:
    (error,) = ItemValidator().validate(changed(lambda item: item.update(stac_version=version))).errors

    assert error.path == "stac_version"


def test_an_extension_without_a_schema_is_named(tmp_path: Path) -> None:
    uri = "https://example.com/thing/v1/schema.json"
    item = changed(lambda item: item["stac_extensions"].append(uri))

    assert ItemValidator().validate(item).unknown == (uri,)

    (tmp_path / "example.com/thing/v1").mkdir(parents=True)
    (tmp_path / "example.com/thing/v1/schema.json").write_text(json.dumps({"required": ["thing"]}))
    known = ItemValidator(tmp_path).validate(item)
    assert known.unknown == ()
    assert [error.reason for error in known.errors] == ['"thing" is a required property']


def test_a_schema_that_refers_to_one_that_is_not_at_hand_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    uri, other = "https://example.com/a.json", "https://example.com/b.json"
    item = changed(lambda item: item["stac_extensions"].append(uri))
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com/a.json").write_text(
        json.dumps({"allOf": [{"$ref": other}, {"required": ["x"]}]})
    )

    validation = ItemValidator(tmp_path).validate(item)

    assert validation.unknown == (other,)
    assert [error.reason for error in validation.errors] == ['"x" is a required property']


def test_an_address_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "secret.json").write_text('{"required": ["nothing"]}')
    uri = "https://../secret.json"
    item = changed(lambda item: item["stac_extensions"].append(uri))

    assert ItemValidator(tmp_path / "schemas").validate(item).unknown == (uri,)


@pytest.mark.parametrize(
    "scheme", ["file:///", "x:///", "http:///", "https:///", "file://", "x://", "https:////"]
)
@pytest.mark.parametrize("content", ['{"required": ["nothing"]}', "no JSON", "[]", "\xff"])
def test_an_address_names_no_file_outside_of_the_folder(tmp_path: Path, scheme: str, content: str) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "secret.json").write_bytes(content.encode("latin-1"))
    uri = f"{scheme}{str(tmp_path).lstrip('/')}/secret.json"
    item = changed(lambda item: item["stac_extensions"].append(uri))

    assert ItemValidator(tmp_path / "schemas").validate(item).unknown == (uri,)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "schemas/example.com").mkdir(parents=True)
    (tmp_path / "secret.json").write_text('{"required": ["nothing"]}')
    (tmp_path / "schemas/example.com/a.json").symlink_to(tmp_path / "secret.json")
    uri = "https://example.com/a.json"
    item = changed(lambda item: item["stac_extensions"].append(uri))

    assert ItemValidator(tmp_path / "schemas").validate(item).unknown == (uri,)


@pytest.mark.parametrize("content", ["no JSON", "[]", "\xff", '{"type": 5}', '{"$ref": "#/nothing"}'])
def test_a_schema_that_cannot_be_read_is_one_that_is_not_at_hand(tmp_path: Path, content: str) -> None:
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com/a.json").write_bytes(content.encode("latin-1"))
    uri = "https://example.com/a.json"
    item = changed(lambda item: item["stac_extensions"].append(uri))

    assert ItemValidator(tmp_path).validate(item).unknown == (uri,)


OLD_PROJJSON = {f"https://proj.org/schemas/v0.{minor}/projjson.schema.json" for minor in (2, 5)}
"""Of projection 1.x, which nobody writes any more; who names it is told what was not validated."""


def test_all_that_the_shipped_schemas_refer_to_is_shipped() -> None:
    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            here = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return here.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    for path in SHIPPED.rglob("*.json"):
        for reference in references(json.loads(path.read_text())):
            target = reference.partition("#")[0]
            if not target or target.startswith("http://json-schema.org/") or target in OLD_PROJJSON:
                continue
            host, _, absolute = target.partition("://")
            file = SHIPPED / absolute if absolute else path.parent / host
            assert file.is_file(), f"{path}: {reference}"


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_items_and_collections_of_both_versions_of_stac_are_validated(version: str) -> None:
    validator = ItemValidator()
    item = changed(lambda item: item.update(stac_version=version, stac_extensions=[]))
    assert validator.validate(item).errors == ()
    error = validator.validate({**item, "links": 1}).errors[0]
    assert (error.path, version in error.schema, "item-spec" in error.schema) == ("links", True, True)
    collection: dict[str, Any] = {
        "type": "Collection",
        "stac_version": version,
        "id": "a",
        "description": "A",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    }
    assert validator.validate(collection).errors == ()
    error = validator.validate({**collection, "description": ""}).errors[0]
    assert (error.path, "collection-spec" in error.schema) == ("description", True)
