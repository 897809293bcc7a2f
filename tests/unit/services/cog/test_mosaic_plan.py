"""Plans of mosaics, and COGs made by them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from rasterio.transform import from_origin

from interfaces.conversions import AcquisitionTime, ConversionPlan, SourceBlob
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, MosaicOptions
from services.cog.content import classify
from services.cog.conversion import assemble, convert, convert_tile
from services.cog.estimates import cache_bytes, reading_of
from services.cog.mosaic import chosen_bands, mosaic_source
from services.cog.mosaic_plan import MosaicPiece, for_tile, plan_mosaic, time_of
from services.cog.validation import validate
from services.cog.warping import ROWS_MEMORY, WARP_MEMORY
from tests.unit.services.rasters import write_raster

from .making import GIGABYTE

LEFT = from_origin(500_000, 5_600_000, 10, 10)
RIGHT = from_origin(504_000, 5_600_000, 10, 10)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
KNOWN = AcquisitionTime(instant=NOON, source="name", detail="20240501T12")


def piece(path: Path, **options: Any) -> MosaicPiece:
    blob = SourceBlob(container="bronze", name=str(path), etag="1", size=path.stat().st_size)
    asked = CogOptions.model_validate(options)
    with rasterio.open(path) as dataset:
        content = classify(dataset, chosen_bands(dataset, asked)).content
        raster = mosaic_source(dataset, blob, asked, content)
        reading = reading_of(dataset, blob.size, asked.profile.block_size, always_masked=True)
        return MosaicPiece(
            raster=raster, time=KNOWN, block_bytes=reading.block_bytes, held_bytes=reading.held_bytes
        )


def plan_of(
    *paths: Path,
    chunk_threshold: int = 10**9,
    memory_limit: int = GIGABYTE,
    scratch_limit: int = GIGABYTE,
    **options: Any,
) -> ConversionPlan:
    return plan_mosaic(
        [piece(path, **options) for path in paths],
        CogOptions.model_validate(options),
        MosaicOptions(),
        chunk_threshold=chunk_threshold,
        memory_limit=memory_limit,
        scratch_limit=scratch_limit,
    )


def made(plan: ConversionPlan, folder: Path) -> Any:
    """The COG, open."""
    target = folder / "mosaic.tif"
    if plan.tiles:
        tiles = [folder / f"tile{tile}.tif" for tile in range(plan.tiles)]
        for tile, path in enumerate(tiles):
            part = for_tile(plan, tile)
            convert_tile(part, [blob.name for blob in part.sources], tile, str(path), threads=2)
        assemble(plan, [str(path) for path in tiles], str(target), threads=2)
    else:
        convert(plan, [blob.name for blob in plan.sources], str(target), threads=2)
    validate(str(target))
    return rasterio.open(target)


def plain(value: int, *, bands: int = 1, dtype: str = "uint8") -> Any:
    return numpy.full((bands, 600, 700), value, dtype)


def pair(folder: Path, one: Any, two: Any, **profile: Any) -> tuple[Path, Path]:
    return (
        write_raster(folder / "one.tif", one, transform=LEFT, **profile),
        write_raster(folder / "two.tif", two, transform=RIGHT, **profile),
    )


def test_the_plan_of_two_neighbours(tmp_path: Path) -> None:
    plan = plan_of(*pair(tmp_path, plain(1), plain(2), nodata=0))

    assert (plan.width, plan.height, plan.band_count, plan.dtype, plan.nodata) == (1100, 600, 1, "uint8", 0)
    assert (plan.lossless, plan.pass_through, plan.warp, plan.tile_size) == (False, False, None, None)
    assert [Path(blob.name).stem for blob in plan.sources] == ["one", "two"]
    assert plan.drivers == ["GTiff", "GTiff"]
    assert "2 of 2 rasters keep their pixels, 0 are warped" in plan.notes
    assert any(note.startswith("overviews by") for note in plan.notes)
    assert plan.estimate.output_bytes == 1100 * 600
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


def test_a_tile_is_planned_with_those_that_reach_into_it_and_the_lowest(tmp_path: Path) -> None:
    paths = [
        write_raster(
            tmp_path / f"{at}.tif",
            plain(at + 1),
            transform=from_origin(500_000 + 7000 * at, 5_600_000, 10, 10),
        )
        for at in range(4)
    ]
    plan = plan_of(*paths, chunk_threshold=270_000, profile={"block_size": 256})

    assert (plan.tile_size, plan.tiles) == (512, 12)
    named = [[Path(blob.name).stem for blob in for_tile(plan, tile).sources] for tile in range(6)]
    assert named == [["0"], ["0", "1"], ["0", "1", "2"], ["0", "2"], ["0", "2", "3"], ["0", "3"]]
    with made(plan, tmp_path) as cog:
        assert [int(value) for value in cog.read(1)[300, ::700]] == [1, 2, 3, 4]


def test_what_one_raster_looks_like_is_no_matter_where_another_has_quantities(tmp_path: Path) -> None:
    flat, many = plain(1), (numpy.arange(420_000).reshape(1, 600, 700) % 200).astype("uint8")
    flat[:, ::2] = 2
    plan = plan_of(*pair(tmp_path, flat, many))

    assert plan.content == "continuous"
    assert "content continuous, although some rasters look categorical" in plan.notes
    assert plan.creation["OVERVIEW_RESAMPLING"] == "AVERAGE"


@pytest.mark.parametrize(
    ("options", "nodata", "hidden"),
    [({}, 0, 0), ({"nodata": 9}, 9, 9), ({"nodata": "mask"}, None, None)],
    ids=str,
)
def test_nodata_of_bands_stays_of_bands_or_becomes_a_mask_of_what_is_in_none(
    tmp_path: Path, options: dict[str, Any], nodata: int | None, hidden: int | None
) -> None:
    data = plain(1, bands=2)
    data[0, :100] = 0
    data[:, :50] = 0
    plan = plan_of(*pair(tmp_path, data, data, nodata=0), **options)

    assert plan.nodata == nodata
    with made(plan, tmp_path) as cog:
        assert cog.nodata == nodata
        first, second = cog.read_masks()
        assert not first[:50].any()
        assert not second[:50].any()
        assert (second[50:] == 255).all()
        assert (first[100:] == 255).all()
        # Valid in the second band is valid, for a mask of both.
        assert (first[50:100] == (255 if hidden is None else 0)).all()
        if hidden is not None:
            assert (cog.read(1)[:100] == hidden).all()


def test_a_pixel_that_is_valid_in_any_band_is_valid_where_nodata_differs(tmp_path: Path) -> None:
    data = plain(1, bands=2)
    data[0, :100] = 0
    one = write_raster(tmp_path / "one.tif", data, transform=LEFT, nodata=0)
    two = write_raster(tmp_path / "two.tif", plain(2, bands=2), transform=RIGHT, nodata=7)
    with made(plan_of(one, two), tmp_path) as cog:
        assert (cog.read_masks(2) == 255).all()
        assert (cog.read(2)[:100, :400] == 1).all()


def test_what_is_asked_of_values_is_done_to_those_of_the_sources(tmp_path: Path) -> None:
    one, two = plain(1000, dtype="uint16"), plain(5000, dtype="uint16")
    one[:, :50] = 0
    paths = pair(tmp_path, one, two, nodata=0)
    scaling = {"from_range": [0, 10_000], "to_range": [0, 200]}
    plan = plan_of(*paths, data_type="uint8", scaling=scaling, resolution=20)

    assert (plan.dtype, plan.nodata) == ("uint8", None)
    with made(plan, tmp_path) as cog:
        values = cog.read(1, masked=True)
        assert set(values.compressed()) == {20, 100}
        assert values.mask[:24, :199].all()
        assert not values.mask[26:].any()


def test_types_that_differ_are_made_alike_where_that_is_asked(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(1), transform=LEFT)
    two = write_raster(tmp_path / "two.tif", plain(2, dtype="int16"), transform=RIGHT)
    with pytest.raises(PermanentTaskError, match="dtype differs"):
        plan_of(one, two)
    with made(plan_of(one, two, data_type="float32"), tmp_path) as cog:
        assert cog.dtypes == ("float32",)
        assert cog.read(1)[0, ::1099].tolist() == [1.0, 2.0]


def test_bands_that_are_asked_for_need_to_fit_and_no_others(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(1, bands=3), transform=LEFT, photometric="minisblack")
    two = write_raster(tmp_path / "two.tif", plain(2, bands=2), transform=RIGHT)
    with pytest.raises(PermanentTaskError, match="band_count differs"):
        plan_of(one, two)
    with pytest.raises(PermanentTaskError, match="bands: there is no band 3, the raster has 2"):
        plan_of(one, two, bands=[3])
    with made(plan_of(one, two, bands=[2, 1]), tmp_path) as cog:
        assert cog.count == 2
        assert cog.read(1)[0, ::1099].tolist() == [1, 2]


def test_jpeg_turns_the_alpha_of_a_mosaic_into_a_mask(tmp_path: Path) -> None:
    data = plain(200, bands=4)
    data[3] = 255
    data[3, :100] = 0
    paths = pair(tmp_path, data, data, photometric="rgb", alpha="yes")
    plan = plan_of(*paths, profile={"compression": "jpeg"})

    assert plan.band_count == 3
    with made(plan, tmp_path) as cog:
        assert cog.count == 3
        assert not cog.read_masks(1)[:100].any()
        assert (cog.read_masks(1)[100:] == 255).all()


def test_the_alpha_of_a_mosaic_is_not_taken_to_a_type_in_which_it_hides_nothing(tmp_path: Path) -> None:
    paths = pair(tmp_path, plain(200, bands=4), plain(200, bands=4), photometric="rgb", alpha="yes")

    with pytest.raises(PermanentTaskError, match="data_type int16: alpha hides"):
        plan_of(*paths, data_type="int16")


@pytest.mark.parametrize("tiles", [{}, {"chunk_threshold": 300_000}])
def test_alpha_that_is_left_out_of_a_mosaic_hides_by_a_mask(tmp_path: Path, tiles: dict[str, Any]) -> None:
    data = plain(200, bands=4)
    data[3] = 255
    data[3, :100] = 0
    paths = pair(tmp_path, data, data, photometric="rgb", alpha="yes")

    with made(plan_of(*paths, bands=[1, 2, 3], **tiles), tmp_path) as cog:
        assert cog.count == 3
        assert not cog.read_masks(1)[:100].any()
        assert (cog.read_masks(1)[100:] == 255).all()


def test_memory_is_asked_for_warps_and_more_of_it_for_those_over_a_pole(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(1), transform=LEFT)
    moved = write_raster(tmp_path / "two.tif", plain(2), transform=from_origin(504_003, 5_600_000, 10, 10))
    globe = write_raster(
        tmp_path / "globe.tif", plain(1), transform=from_origin(-180, 90, 360 / 700, 0.05), crs="EPSG:4326"
    )
    kept = plan_of(one, one).estimate.memory_bytes
    assert plan_of(one, moved).estimate.memory_bytes == kept + WARP_MEMORY
    polar = plan_of(globe, target_crs="EPSG:3995", resolution=50_000)
    assert polar.estimate.memory_bytes == kept + ROWS_MEMORY


def test_more_than_a_task_may_take_is_refused(tmp_path: Path) -> None:
    paths = pair(tmp_path, plain(1), plain(2))
    with pytest.raises(PermanentTaskError, match=r"MB of memory.* blocks of .* take 0 MB"):
        plan_of(*paths, memory_limit=100 * 1024**2)
    with pytest.raises(PermanentTaskError, match="MB of temporary space, of 10 MB"):
        plan_of(*paths, scratch_limit=10 * 1024**2)


def test_rasters_that_are_far_apart_take_no_space_for_what_lies_between(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(1), transform=LEFT)
    far = write_raster(tmp_path / "far.tif", plain(2), transform=from_origin(700_000, 5_600_000, 10, 10))
    plan = plan_of(one, far)
    assert plan.estimate.output_bytes == 20_700 * 600
    assert plan.estimate.scratch_bytes < 20 * 1024**2


def test_the_time_of_a_mosaic_is_from_first_to_last(tmp_path: Path) -> None:
    late = KNOWN.model_copy(update={"instant": NOON.replace(day=9), "detail": "late"})
    span = KNOWN.model_copy(update={"start": NOON, "end": NOON.replace(day=20), "source": "metadata"})
    unknown = KNOWN.model_copy(update={"instant": NOON.replace(year=2026), "source": "last_modified"})

    assert time_of([KNOWN, KNOWN, unknown]) == KNOWN
    both = time_of([late, KNOWN])
    assert (both.instant, both.start, both.end, both.detail) == (NOON, NOON, late.instant, KNOWN.detail)
    assert time_of([late, span]).end == span.end
    assert time_of([unknown]).source == "last_modified"


def test_the_cache_holds_the_strips_of_the_widest_raster(tmp_path: Path) -> None:
    paths = [tmp_path / "narrow.tif", tmp_path / "wide.tif"]
    for path, width, left in zip(paths, (1_000, 150_000), (490_000, 500_000), strict=True):
        placed = {"crs": "EPSG:32632", "transform": from_origin(left, 5_600_000, 10, 10)}
        stored = {"driver": "GTiff", "count": 1, "dtype": "uint16", "blockysize": 1, "sparse_ok": True}
        with rasterio.open(path, "w", width=width, height=600, **placed, **stored):
            pass
    # With their mask, which GDAL makes in strips, too.
    held = 150_000 * 512 * 3
    found = plan_of(*paths).estimate
    assert found.cache_bytes == held + held // 4 - cache_bytes(GIGABYTE)
    assert found.memory_bytes > plan_of(paths[0]).estimate.memory_bytes + held
    with pytest.raises(
        PermanentTaskError, match=r"blocks of \S+wide.tif take 22\d MB; a smaller profile.block_"
    ):
        plan_of(*paths, memory_limit=GIGABYTE // 2)
