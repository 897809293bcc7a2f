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


def test_dots_within_a_name_are_kept() -> None:
    assert cog_name("{folder}/{stem}.tif", "bronze", "a./..c.d.tif", None) == "a./..c.d.tif"


@pytest.mark.parametrize("name", [item_name, thumbnail_name])
def test_no_two_cogs_share_what_lies_beside_them(name: Callable[[str], str]) -> None:
    assert name("b/a.tif").startswith("b/a.")
    assert len({name(cog) for cog in ("b/a.tif", "b/a.tiff", "b/a.TIF", "b/a.TIFF")}) == 4
