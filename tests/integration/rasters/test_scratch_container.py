"""Nobody deploys the container of scratch blobs: whoever writes the first one makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from .conftest import Workshop


@pytest.mark.parametrize(
    ("profile", "parameters"),
    [
        ({}, {}),
        ({}, {"chunk_threshold": 1_000_000, "profile": {"block_size": 256}}),
        ({"driver": "COG", "compress": "deflate"}, {}),
    ],
    ids=["of a whole raster", "of tiles", "of a picture of what passes through"],
)
def test_the_first_conversion_makes_the_container_that_its_stages_hand_on_blobs_in(
    workshop: Workshop,
    make_raster: Callable[..., bytes],
    storage_connection_string: str,
    profile: dict[str, Any],
    parameters: dict[str, Any],
) -> None:
    workshop.put("a.tif", make_raster(size=(1300, 1100), **profile))
    scratch = workshop.world.settings.scratch_container
    with ContainerClient.from_connection_string(storage_connection_string, scratch) as client:
        client.delete_container()
        assert not client.exists()
        job = workshop.run(blob="a.tif", **parameters)
        assert job["status"] == "completed", job["error"]
        assert client.exists()
    assert workshop.names() == ["a.item.json", "a.thumbnail.png", "a.tif"]
