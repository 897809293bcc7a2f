"""Which blobs a job about rasters is about."""

from __future__ import annotations

import pytest

from interfaces.errors import PermanentTaskError
from services.cog.listing import ListRasters, ListRastersParameters
from tests.unit.services.doubles import Context, MemoryBlobs


@pytest.mark.parametrize("named", [{"blob": "a.tif"}, {"blobs": ["a.tif"]}, {"prefix": ""}])
def test_a_target_container_that_is_missing_is_found_before_any_raster_is_read(named: dict[str, str]) -> None:
    context = Context()
    parameters = ListRastersParameters.model_validate(
        {"container": "bronze", "target_container": "silver", **named}
    )
    with pytest.raises(PermanentTaskError, match="target_container: container 'silver' does not exist"):
        ListRasters(MemoryBlobs.named("a.tif"))(parameters, context)
    assert context.items == []


def test_rasters_are_listed_where_the_target_is_there_or_none_is_needed() -> None:
    for target in ("bronze", None):
        context = Context()
        parameters = ListRastersParameters(container="bronze", prefix="", target_container=target)
        result = ListRasters(MemoryBlobs.named("a.tif", "b.txt", "c.tif"))(parameters, context)
        assert (result.listed, result.matched) == (3, 2)
        assert context.items == [{"name": "a.tif"}, {"name": "c.tif"}]
