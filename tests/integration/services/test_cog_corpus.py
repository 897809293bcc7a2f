"""Every raster of the corpus becomes a strictly valid COG with equal masked pixels, or a precise reason.

The environment variable COG_TABLE may name a file, into which the outcome of each is written.
"""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from interfaces.conversions import ConversionPlan, SourceBlob
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions
from services.cog.conversion import assemble, convert, convert_tile
from services.cog.fidelity import compare
from services.cog.plan import plan_conversion
from services.cog.sources import opened
from services.cog.validation import describe_cog, validate
from services.gdal_session import DRIVERS, READING, WHOLE_DRIVERS
from tests.unit.services.rasters import write_raster

GDAL_VALIDATOR = Path(
    "/usr/lib/python3/dist-packages/osgeo_utils/samples/validate_cloud_optimized_geotiff.py"
)
VALIDATE = """
import sys
from osgeo_utils.samples.validate_cloud_optimized_geotiff import main
for path in sys.argv[1:]:
    print(main(["", "-q", path]))
"""
"""One process validates them all: starting it takes longer than a file."""
KEPT = ("transform", "descriptions", "scales", "offsets", "units", "nodatavals", "dtypes")


@dataclass
class Outcome:
    """What became of a file: a plan with its COG, or a reason."""

    source: Path
    plan: ConversionPlan | None = None
    cog: Path | None = None
    reason: str = ""


def outcome_of(source: Path, target: Path, *, tile_size: int | None = None, **options: Any) -> Outcome:
    blob = SourceBlob(container="corpus", name=source.name, etag="1", size=source.stat().st_size)
    paths = [str(source)]
    try:
        with rasterio.Env(**READING):
            with opened(paths[0], [*DRIVERS, *sorted(WHOLE_DRIVERS - {"netCDF"})]) as dataset:
                plan = plan_conversion(
                    dataset,
                    blob,
                    CogOptions.model_validate(options),
                    chunk_threshold=10**9,
                    memory_limit=1024**3,
                    scratch_limit=1024**3,
                )
            if plan.pass_through:
                return Outcome(source, plan, source)
            plan = plan.model_copy(update={"tile_size": tile_size})
            if tile_size is None:
                convert(plan, paths, str(target), threads=2)
            else:
                tiles = [target.with_suffix(f".{tile}.tif") for tile in range(plan.tiles)]
                for tile, path in enumerate(tiles):
                    convert_tile(plan, paths, tile, str(path), threads=2)
                assemble(plan, [str(path) for path in tiles], str(target), threads=2)
            validate(str(target))
            if plan.lossless:
                compare(plan, paths, str(target), lambda: None)
            return Outcome(source, plan, target)
    except PermanentTaskError as error:
        return Outcome(source, reason=str(error))


@pytest.fixture(scope="module")
def rasters(corpus: Path) -> list[Path]:
    folders = (corpus / "raster", corpus / "bad")
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def outcomes(
    rasters: list[Path], corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Outcome]]:
    folder = tmp_path_factory.mktemp("cogs")
    found = [outcome_of(path, folder / f"{number}.tif") for number, path in enumerate(rasters)]
    if table := os.environ.get("COG_TABLE"):
        write_table(found, corpus, Path(table))
    yield found
    for path in folder.iterdir():
        path.unlink()


def write_table(outcomes: list[Outcome], corpus: Path, table: Path) -> None:
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["file", "outcome", "content", "compression", "overviews", "compared", "reason or notes"]
        )
        for each in outcomes:
            name = str(each.source.relative_to(corpus))
            if each.plan is None or each.cog is None:
                rows.writerow([name, "refused", "", "", "", "", each.reason])
                continue
            made = describe_cog(str(each.cog))
            rows.writerow(
                [
                    name,
                    "passed through" if each.plan.pass_through else "converted",
                    each.plan.content,
                    made.compression,
                    " ".join(map(str, made.overviews)),
                    "" if each.plan.pass_through or not each.plan.lossless else "equal",
                    "; ".join(each.plan.notes),
                ]
            )


def test_every_file_ends_as_a_cog_or_with_a_reason(outcomes: list[Outcome], corpus: Path) -> None:
    with (corpus / "MANIFEST.csv").open(newline="") as manifest:
        good = {
            row["file"]
            for row in csv.DictReader(manifest)
            if row["kind"] == "raster" and row["open"] == "ok" and row["file"].startswith("raster/")
        }
    refused = {str(each.source.relative_to(corpus)): each.reason for each in outcomes if each.cog is None}

    assert all(refused.values())
    assert {
        name: reason
        for name, reason in refused.items()
        if name in good and not name.endswith((".vrt", ".nc"))
    } == {
        "raster/developmentseed+rio-stac/dataset.h5": "the file has 3 rasters in it and none of its own; "
        "which is meant cannot be said: //f16, //f32, //f64"
    }
    assert sum(each.cog is not None for each in outcomes) >= 60


def test_lossless_plans_without_a_warp_were_compared(outcomes: list[Outcome]) -> None:
    for each in outcomes:
        if each.plan is not None and each.plan.warp is None:
            assert each.plan.lossless, each.source


def test_what_a_raster_says_of_itself_is_kept(outcomes: list[Outcome]) -> None:
    for each in outcomes:
        if each.plan is None or each.cog is None or each.plan.warp is not None or each.plan.pass_through:
            continue
        with (
            opened(str(each.source), [*DRIVERS, *sorted(WHOLE_DRIVERS - {"netCDF"})]) as source,
            opened(str(each.cog), ["GTiff"]) as cog,
        ):
            for name in KEPT:
                one, other = getattr(source, name), getattr(cog, name)
                assert repr(one) == repr(other), (each.source, name)
            assert cog.crs == source.crs, each.source
            assert len(cog.gcps[0]) == len(source.gcps[0]), each.source
            assert bool(cog.rpcs) == bool(source.rpcs), each.source
            for band in source.indexes:
                assert cog.tags(band) == source.tags(band), each.source
                assert cog.mask_flag_enums[band - 1] == source.mask_flag_enums[band - 1], each.source
            assert source.tags().items() <= cog.tags().items(), each.source


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("bad/mapnik+test-data/blank.tiff", "not recognized"),
        ("bad/mapnik+test-data/cannot_read_a_vrt.vrt", "not recognized"),
        ("raster/rasterio+rasterio/RGB.byte.gcp.vrt", "not recognized"),
        ("bad/mmomtchev+node-gdal-async/huge-sparse.tiff", "decompression bomb"),
        ("bad/python-pillow+Pillow/libtiff_segfault.tif", "decompression bomb"),
        ("bad/mmomtchev+node-gdal-async/truncated.tiff", "is not within the file's 1024 bytes"),
        ("bad/rasterio+rasterio/corrupt.tif", "ends at byte 307086, but the file has 298232 bytes"),
        ("bad/image-rs+image-tiff/sample-get-lzw-stuck.tiff", "ends at byte 11774"),
        ("bad/python-pillow+Pillow/crash-2020-10-test.tif", "the file has 4883 bytes"),
        ("raster/mmomtchev+node-gdal-async/unsupported-srs.tif", "the CRS cannot be interpreted"),
    ],
)
def test_what_is_wrong_with_a_file_is_its_reason(
    outcomes: list[Outcome], corpus: Path, file: str, reason: str
) -> None:
    (outcome,) = [each for each in outcomes if each.source == corpus / file]

    assert reason in outcome.reason


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("cogeotiff+rio-cogeo/image_colormap.tif", "categorical"),
        ("georust+gdal/labels.tif", "categorical"),
        ("stactools-packages+landsat/LC08_L2SP_005009_20150710_20200908_02_T2_QA_PIXEL.TIF", "bitmask"),
        ("stactools-packages+landsat/LC08_L2SP_005009_20150710_20200908_02_T2_SR_B4.TIF", "continuous"),
        ("GeoTIFF+test-data/wind_direction.tif", "circular"),
        ("corteva+rioxarray/cint16.tif", "complex"),
        ("rasterio+rasterio/RGB.byte.tif", "picture"),
        ("rasterio+rasterio/N10W110.hgt.zip", "continuous"),
        ("GeoTIFF+test-data/gpm_1d.20240617.tif", "continuous"),
    ],
)
def test_what_values_are(outcomes: list[Outcome], corpus: Path, file: str, content: str) -> None:
    (outcome,) = [each for each in outcomes if each.source == corpus / "raster" / file]

    assert outcome.plan is not None
    assert outcome.plan.content == content


def gdals_codes(cogs: list[Path]) -> tuple[list[str], str]:
    """The validator's code for each, "0" for a valid one, and what it says. Skips where there is none."""
    if not GDAL_VALIDATOR.exists():
        pytest.skip("apt-get install gdal-bin python3-gdal brings GDAL's validator")
    command = ["/usr/bin/python3", "-c", VALIDATE, *map(str, cogs)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split(), answer.stderr


def test_gdals_own_validator_agrees(outcomes: list[Outcome]) -> None:
    made = [(each.source, each.cog) for each in outcomes if each.cog is not None]
    codes, said = gdals_codes([cog for _, cog in made])
    assert [source for (source, _), code in zip(made, codes, strict=True) if code != "0"] == [], said


def test_gdals_own_validator_agrees_about_cogs_of_tiles(tmp_path: Path) -> None:
    """Whose blocks it did not write in their places."""
    pixels = numpy.random.default_rng(1).integers(0, 60, (2, 1101, 1300), "uint16")
    pixels[:, :600, :600] = 0
    source = write_raster(tmp_path / "source.tif", pixels, nodata=0)
    asked: list[tuple[int, dict[str, Any]]] = [
        (512, {"block_size": 128}),
        (512, {"block_size": 256, "compression": "none", "bigtiff": "yes"}),
        (512, {"block_size": 512, "compression": "zstd"}),
        (288, {"block_size": 144, "compression": "lzw"}),
    ]

    made = [
        outcome_of(source, tmp_path / f"{number}.tif", tile_size=size, profile=profile)
        for number, (size, profile) in enumerate(asked)
    ]

    assert [each.reason for each in made] == [""] * len(asked)
    codes, said = gdals_codes([tmp_path / f"{number}.tif" for number in range(len(asked))])
    assert codes == ["0"] * len(asked), said


def test_overviews_of_a_factor_of_one_are_made_anew(outcomes: list[Outcome], corpus: Path) -> None:
    """The one file of 101 of which GDAL's COG driver alone makes an invalid COG: it keeps such overviews."""
    path = corpus / "raster" / "cogeotiff+rio-cogeo" / "image_dec.tif"
    with rasterio.open(path) as source:
        assert source.overviews(1) == [1]
    (outcome,) = [each for each in outcomes if each.source == path]

    assert outcome.plan is not None
    assert outcome.cog is not None
    assert not outcome.plan.pass_through
    assert describe_cog(str(outcome.cog)).overviews == []


def test_tiles_give_the_same_pixels(corpus: Path, tmp_path: Path) -> None:
    files = [
        "rasterio+rasterio/RGB2.byte.tif",
        "mapnik+test-data/dataraster-int32.tif",
        "rasterio+rasterio/alpha.tif",
    ]
    for number, file in enumerate(files):
        path = corpus / "raster" / file

        outcome = outcome_of(path, tmp_path / f"{number}.tif", tile_size=512)

        assert outcome.cog is not None, outcome.reason
        with rasterio.open(outcome.cog) as cog, rasterio.open(path) as source:
            assert numpy.ma.allequal(cog.read(masked=True), source.read(masked=True))
