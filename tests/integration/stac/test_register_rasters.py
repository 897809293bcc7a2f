"""stac_register of rasters in a real blob service: range reads, ids, times, and items that are valid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import rasterio.shutil
from azure.storage.blob import ContainerClient
from rasterio.transform import from_origin

from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from services.raster_opening import MAX_WHOLE_BYTES
from services.stac.validation import ItemValidator
from tests.fix_engine import World

from .conftest import Library

MakeContainer = Callable[[], ContainerClient]
CREATE = {"title": "Scenes"}


class Scenes(Library):
    """A library on a real blob service."""

    def __init__(self, world: World, blobs: AzureBlobRepository, source: str) -> None:
        self.world = world
        self.azure = blobs
        self.source = source

    def put_raster(self, name: str, **profile: Any) -> bytes:
        content = raster(**profile)
        self.azure.write(self.source, name, content)
        return content

    def names(self) -> list[str]:
        return [blob.name for page in self.azure.list_pages(self.source) for blob in page]

    def rasters(self, **parameters: Any) -> dict[str, Any]:
        given = {"collection_id": "scenes", "create_collection": CREATE, "prefix": ""} | parameters
        if "blob" in parameters:
            del given["prefix"]
        return self.register(120, container=self.source, kind="rasters", **given)


def raster(driver: str = "COG", size: int = 600, crs: str | None = "EPSG:32632", **profile: Any) -> bytes:
    data = numpy.random.default_rng(1).integers(0, 255, (1, size, size), "uint8")
    place = {} if crs is None else {"crs": crs, "transform": from_origin(500_000, 5_600_000, 10, 10)}
    with rasterio.MemoryFile() as file:
        with file.open(
            driver=driver, width=size, height=size, count=1, dtype="uint8", **place, **profile
        ) as dataset:
            dataset.write(data)
        return bytes(file.read())


@pytest.fixture
def scenes(
    catalog_database_url: str, storage_connection_string: str, container: MakeContainer
) -> Iterator[Scenes]:
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    world = World(
        catalog_database_url,
        storage=blobs,
        storage_connection_string=storage_connection_string,
        scratch_container=str(container().container_name),
    )
    world.rows("SET search_path = pgstac, public", fetch=False)
    yield Scenes(world, blobs, str(container().container_name))
    world.close()


def test_every_raster_gets_a_valid_item_that_is_found_where_and_when_it_is(scenes: Scenes) -> None:
    scenes.put_raster("2024/scene_20240501.tif")
    scenes.put_raster("2025/scene_20250601.tif", driver="GTiff")
    job = scenes.rasters()
    assert job["status"] == "completed", job["error"]
    assert (job["result"]["files"], job["result"]["items"], job["result"]["loaded"]) == (2, 2, 2)
    items = {found["assets"]["data"]["href"].rpartition("/")[2]: found for found in scenes.items("scenes")}
    cog, plain = items["scene_20240501.tif"], items["scene_20250601.tif"]
    assert ItemValidator().validate(cog).errors == ItemValidator().validate(plain).errors == ()
    assert cog["properties"]["datetime"] == "2024-05-01T00:00:00Z"
    assert "cloud-optimized" in cog["assets"]["data"]["type"]
    assert "cloud-optimized" not in plain["assets"]["data"]["type"]
    assert job["job_id"] in cog["properties"]["processing:lineage"]
    assert cog["properties"]["proj:code"] == "EPSG:32632"
    assert "?" not in cog["assets"]["data"]["href"]
    assert scenes.found(datetime="2024-05-01T00:00:00Z", bbox=[8, 50, 10, 51]) == [cog["id"]]
    assert scenes.world.violations() == {}


def test_the_same_stem_in_two_folders_is_two_items_and_again_the_same_two(scenes: Scenes) -> None:
    for name in ("a/x.tif", "b/x.tif", "a-x.tif"):
        scenes.put_raster(name)
    first = scenes.rasters()
    ids = [found["id"] for found in scenes.items()]
    assert (first["result"]["loaded"], len(set(ids))) == (3, 3)
    assert not any("/" in identifier for identifier in ids)
    second = scenes.again(first)
    assert (second["result"]["loaded"], second["result"]["replaced"]) == (3, 3)
    assert [found["id"] for found in scenes.items()] == ids


def test_an_id_that_another_file_has_is_not_taken_from_it(scenes: Scenes) -> None:
    for name in ("a/x.tif", "b/x.tif"):
        scenes.put_raster(name)
    job = scenes.rasters(id_template="{stem}")
    assert (job["result"]["loaded"], job["result"]["rejected"]) == (1, 1)
    [reject] = job["result"]["rejects"]
    assert (reject["id"], reject["path"]) == ("x", "id")
    [stored] = scenes.items()
    other = "b/x.tif" if stored["assets"]["data"]["href"].endswith("a/x.tif") else "a/x.tif"
    # By another job, too.
    job = scenes.rasters(id_template="{stem}", blob=other)
    assert (job["result"]["loaded"], job["result"]["rejected"]) == (0, 1)
    assert scenes.items() == [stored]


def test_times_are_those_that_are_asked_for(scenes: Scenes) -> None:
    scenes.put_raster("S2_2024123T101500_20200101.tif")
    scenes.rasters(collection_id="found")
    scenes.rasters(collection_id="pattern", datetime_pattern="S2_%Y%jT%H%M%S")
    scenes.rasters(collection_id="given", datetime="2021-02-03T04:05:06Z")
    scenes.rasters(collection_id="span", datetime="2021-02-03", end_datetime="2021-02-05")
    times = {found["collection"]: found["properties"] for found in scenes.items()}
    assert times["pattern"]["datetime"] == "2024-05-02T10:15:00Z"
    assert times["given"]["datetime"] == "2021-02-03T04:05:06Z"
    assert (times["span"]["start_datetime"], times["span"]["end_datetime"]) == (
        "2021-02-03T00:00:00Z",
        "2021-02-05T00:00:00Z",
    )
    assert times["found"]["datetime"] is not None


def test_what_cannot_have_an_item_fails_alone_with_the_reason(scenes: Scenes) -> None:
    scenes.put_raster("good.tif")
    scenes.put_raster("nowhere.tif", crs=None)
    scenes.azure.write(scenes.source, "text.tif", b"no raster at all")
    job = scenes.rasters(max_failed_fraction=1.0)
    assert job["status"] == "completed_with_errors"
    assert job["result"]["loaded"] == 1
    reasons = sorted(failure["reason"] for failure in job["result"]["failures"])
    assert reasons[0].startswith("nowhere.tif: no valid item: geometry: is null")
    assert reasons[1].startswith("text.tif: not a raster")


def test_a_raster_that_is_no_cog_is_refused_where_cogs_are_required(scenes: Scenes) -> None:
    scenes.put_raster("plain.tif", driver="GTiff")
    job = scenes.rasters(require_cog=True, max_failed_fraction=1.0)
    [failure] = job["result"]["failures"]
    assert failure["reason"] == "plain.tif: is no strictly valid COG"


def test_thumbnails_are_linked_where_they_are_and_made_where_that_is_asked(scenes: Scenes) -> None:
    scenes.put_raster("a.tif")
    scenes.rasters()
    [stored] = scenes.items()
    assert set(stored["assets"]) == {"data"}
    scenes.rasters(make_thumbnails=True)
    [stored] = scenes.items()
    assert stored["assets"]["thumbnail"]["href"].endswith("/a.thumbnail.png")
    assert scenes.names() == ["a.thumbnail.png", "a.tif"]
    # It is no raster to register, and is linked from now on.
    job = scenes.rasters(id_template="{stem}")
    assert job["result"]["files"] == 1
    [stored] = scenes.items()
    assert set(stored["assets"]) == {"data", "thumbnail"}


def test_only_a_part_of_a_large_raster_is_read(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    content = scenes.put_raster("large.tif", size=4000, compress="deflate")
    taken = []
    read = AzureBlobRepository.read

    def counted(self: AzureBlobRepository, *arguments: Any, **named: Any) -> bytes:
        taken.append(len(data := read(self, *arguments, **named)))
        return data

    monkeypatch.setattr(AzureBlobRepository, "read", counted)
    from services.raster_opening import RasterOpener

    reads: list[int | None] = []
    by_ranges = RasterOpener._by_ranges
    monkeypatch.setattr(RasterOpener, "_by_ranges", _noting(by_ranges, reads))
    job = scenes.rasters()
    assert job["result"]["loaded"] == 1
    assert sum(taken) < len(content) / 10
    [read_by_gdal] = reads
    assert read_by_gdal is not None
    assert read_by_gdal < len(content) / 2


def _noting(by_ranges: Any, reads: list[int | None]) -> Any:
    """The same, noting how much GDAL has read."""
    from contextlib import contextmanager

    @contextmanager
    def noted(*arguments: Any) -> Iterator[Any]:
        with by_ranges(*arguments) as reachable:
            yield reachable
        reads.append(reachable.bytes_read)

    return noted


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"collection_id": None}, "collection_id"),
        ({"datetime_pattern": "%Y"}, "datetime_pattern"),
        ({"datetime_pattern": "%Y%m%d%q"}, "datetime_pattern"),
        ({"datetime": "2024-01-01", "datetime_pattern": "%Y%m%d"}, "datetime"),
        ({"end_datetime": "2024-01-01"}, "end_datetime"),
        ({"id_template": "{nothing}"}, "id_template"),
        ({"collection_id": "a/b"}, "collection_id"),
        ({"kind": "documents", "require_cog": True}, "require_cog"),
        ({"create_collection": {"license": "see file"}}, "license"),
    ],
    ids=str,
)
def test_parameters_that_make_no_sense_are_refused_by_name(
    world: World, given: dict[str, Any], field: str
) -> None:
    from interfaces.errors import InvalidParameters

    parameters = {"container": "bronze", "prefix": "", "kind": "rasters", "collection_id": "a"} | given
    with pytest.raises(InvalidParameters, match=field):
        world.submit("stac_register", **parameters)


def test_rasters_of_the_corpus_are_registered_or_refused_with_the_reason(
    corpus: Path, scenes: Scenes
) -> None:
    """Some difficult ones: over the antimeridian, of another planet, without a place."""
    folder = corpus / "raster" / "developmentseed+rio-stac"
    for name in ("dataset_dateline.tif", "dataset_tiff_datetime.tif", "dataset.jp2", "issue_22.tif"):
        scenes.azure.write(scenes.source, name, (folder / name).read_bytes())
    job = scenes.rasters(max_failed_fraction=1.0)
    assert job["result"]["files"] == 4
    assert job["result"]["loaded"] + job["result"]["failed"] == 4
    dateline = scenes.item("dataset_dateline", "scenes")
    assert dateline["geometry"]["type"] == "MultiPolygon"
    assert dateline["bbox"][0] > dateline["bbox"][2]
    assert scenes.item("dataset", "scenes")["assets"]["data"]["type"] == "image/jp2"


def test_an_item_whose_crs_has_no_code_is_valid_as_the_catalog_gives_it_back(scenes: Scenes) -> None:
    """pgstac drops members that are null, as proj:code is then."""
    scenes.put_raster("own.tif", crs="+proj=laea +lat_0=41 +lon_0=9 +x_0=500000 +y_0=5600000 +ellps=bessel")
    job = scenes.rasters(datetime="2024-01-01")
    assert job["status"] == "completed", job["error"]
    [stored] = scenes.items()
    assert "proj:wkt2" in stored["properties"]
    assert ItemValidator().validate(stored).errors == ()


def test_the_smallest_float_as_nodata_is_registered_with_the_other_rasters(scenes: Scenes) -> None:
    lowest = float(numpy.finfo("float32").min)
    data = numpy.full((1, 64, 64), 1, "float32")
    with rasterio.MemoryFile() as file:
        profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "float32"}
        place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_600_000, 10, 10)}
        with file.open(**profile, **place, nodata=lowest) as dataset:
            dataset.write(data)
        scenes.azure.write(scenes.source, "a.tif", bytes(file.read()))
    scenes.put_raster("b.tif")
    job = scenes.rasters()
    assert (job["status"], job["result"]["loaded"]) == ("completed", 2), job["result"]
    [one] = [found for found in scenes.items() if found["properties"]["title"] == "a.tif"]
    assert float(one["assets"]["data"]["bands"][0]["nodata"]) == lowest


def test_a_netcdf_file_that_is_not_read_by_ranges_is_copied_and_registered(
    scenes: Scenes, tmp_path: Path
) -> None:
    plain, path = tmp_path / "plain.tif", tmp_path / "a_20240102.nc"
    plain.write_bytes(raster("GTiff", size=1200))
    rasterio.shutil.copy(plain, path, driver="netCDF")
    content = path.read_bytes()
    assert len(content) > MAX_WHOLE_BYTES
    scenes.azure.write(scenes.source, path.name, content)
    job = scenes.rasters()
    assert (job["status"], job["result"]["loaded"]) == ("completed", 1), job["result"]
    [item] = scenes.items()
    assert item["properties"]["datetime"] == "2024-01-02T00:00:00Z"
    data = item["assets"]["data"]
    assert (data["type"], data["file:size"]) == ("application/netcdf", len(content))
