"""What GDAL says of a file while storage is away is not held against the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from services.cog import conversion, inspecting, mosaicking
from services.raster_inspection import RasterInspector
from services.raster_metadata import Truncated
from services.raster_opening import RasterOpener
from services.raster_report import RasterMetadata, UnreadableRaster
from services.second_look import UnreadableSource

from .conftest import Workshop


def failing(times: int, error: Exception, then: Callable[..., Any]) -> Callable[..., Any]:
    """Raises so many times, and does as `then` afterwards."""
    errors: Iterator[Exception] = iter([error] * times)

    def call(*args: Any, **kwargs: Any) -> Any:
        for one in errors:
            raise one
        return then(*args, **kwargs)

    return call


STRIP = UnreadableSource("GDAL fails while reading: TIFFReadEncodedStrip() failed.")
PLACES: dict[str, tuple[Any, str, str, dict[str, Any]]] = {
    "inspect": (inspecting, "plan_conversion", "raster_to_cog", {}),
    "convert": (conversion, "convert", "raster_to_cog", {}),
    "inspect a part": (mosaicking, "mosaic_source", "mosaic_to_cog", {"target_name": "a.tif"}),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_can_be_read_the_second_time_is_converted_at_the_first_attempt(
    workshop: Workshop, make_raster: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    module, name, job_type, parameters = PLACES[place]
    monkeypatch.setattr(module, name, failing(1, STRIP, getattr(module, name)))
    workshop.put("a.tif", make_raster())

    job = workshop.run(job_type, prefix="", **parameters)

    assert job["status"] == "completed"
    assert {task["attempt"] for task in workshop.world.tasks(job["job_id"], 2)} == {1}


def test_a_file_that_cannot_be_read_twice_is_broken_and_not_tried_again(
    workshop: Workshop, make_raster: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        inspecting, "plan_conversion", failing(2, STRIP, lambda *_, **__: pytest.fail("a third look"))
    )
    workshop.put("a.tif", make_raster())

    job = workshop.run(blob="a.tif")

    assert job["status"] == "failed"
    [task] = workshop.world.tasks(job["job_id"], 2)
    assert (task["attempt"], "TIFFReadEncodedStrip" in task["error"]) == (1, True)


def test_a_verdict_is_given_after_a_second_look(
    workshop: Workshop, make_raster: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.put("a.tif", make_raster())
    blob = workshop.blobs.properties(workshop.source, "a.tif")
    inspector = RasterInspector(RasterOpener(workshop.blobs))
    place = "services.raster_opening.check_length"
    cut = Truncated("the table of blocks is not within the file's 9 bytes")

    monkeypatch.setattr(place, failing(1, cut, lambda *_: None))
    assert isinstance(inspector.inspect(workshop.source, blob), RasterMetadata)

    monkeypatch.setattr(place, failing(1, cut, lambda *_: None))
    job = workshop.run("validate_raster", blob="a.tif")
    assert workshop.results(job, 2)[0]["verdict"] == "valid"

    def always(*_: object) -> NoReturn:
        raise cut

    monkeypatch.setattr(place, always)
    report = inspector.inspect(workshop.source, blob)
    assert isinstance(report, UnreadableRaster)
    assert report.status == "truncated"
