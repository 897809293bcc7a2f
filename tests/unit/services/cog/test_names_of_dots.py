"""Names that a template makes are names of blobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interfaces.errors import PermanentTaskError
from services.cog.naming import cog_name, item_name, thumbnail_name


@pytest.mark.parametrize(
    ("template", "source"),
    [("{stem}/a.tif", "...tif"), ("{stem}/a.tif", "..tif")],
)
def test_what_a_template_is_filled_with_makes_no_part_of_dots(template: str, source: str) -> None:
    with pytest.raises(PermanentTaskError, match=r"path_template: makes .* a part of which is dots"):
        cog_name(template, "bronze", source, None)


@pytest.mark.parametrize(
    "source",
    [
        "a/b\\c.tif",
        "a/b\x01.tif",
        "a/b\r\n.tif",
        "a/fit.\u202etif.tif",
        "a/%2e%2e%2fb.tif",
        "a/\uff0e\uff0e.tif",
        "/".join("a" * 300) + ".tif",
    ],
)
def test_what_a_source_is_called_leads_no_target_elsewhere(source: str) -> None:
    with pytest.raises(PermanentTaskError, match=r"path_template: makes .* of .*: a blob name"):
        cog_name("{folder}/{stem}/c.tif", "bronze", source, None)


def test_a_field_is_filled_in_once() -> None:
    assert cog_name("{stem}.tif", "bronze", "{container}{name}.tif", None) == "{container}{name}.tif"


def test_dots_within_a_name_are_kept() -> None:
    assert cog_name("{folder}/{stem}.tif", "bronze", "a./..c.d.tif", None) == "a./..c.d.tif"


@pytest.mark.parametrize("name", [item_name, thumbnail_name])
def test_no_two_cogs_share_what_lies_beside_them(name: Callable[[str], str]) -> None:
    assert name("b/a.tif").startswith("b/a.")
    assert len({name(cog) for cog in ("b/a.tif", "b/a.tiff", "b/a.TIF", "b/a.TIFF")}) == 4
