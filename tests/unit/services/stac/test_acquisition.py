"""When a raster's data were acquired, and what said so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.stac.acquisition import acquisition

UPLOADED = datetime(2026, 11, 26, 6, 30, tzinfo=UTC)


def iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("LC08_L2SP_005009_20150710_20200908_02_T2_SR_B4.TIF", "2015-07-10T00:00:00Z"),
        ("S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.tif", "2019-06-29T21:25:29Z"),
        ("m_3607824_se_17_1_20160620_sub.tif", "2016-06-20T00:00:00Z"),
        ("MOD13Q1.A2015191.h18v04.061.tif", "2015-07-10T00:00:00Z"),
        ("x_2016366.tif", "2016-12-31T00:00:00Z"),
        ("bremen_sea_ice_conc_2022_9_9.tif", "2022-09-09T00:00:00Z"),
        ("gpm_1d.20240617.tif", "2024-06-17T00:00:00Z"),
        ("a_2015-07-10.tif", "2015-07-10T00:00:00Z"),
        ("a_2015-07-10T10-11-12Z.tif", "2015-07-10T10:11:12Z"),
        ("20150710_101112.tif", "2015-07-10T10:11:12Z"),
        ("20150710101112.tif", "2015-07-10T10:11:12Z"),
        ("201507101011.tif", "2015-07-10T10:11:00Z"),
        ("20150710T101112.345Z.tif", "2015-07-10T10:11:12Z"),
        ("2015/07/10/scene.tif", "2015-07-10T00:00:00Z"),
        ("20010101/scene_20150710.tif", "2015-07-10T00:00:00Z"),
        ("forecast_20271001.tif", "2027-10-01T00:00:00Z"),
    ],
)
def test_a_time_in_the_name_is_found(name: str, time: str) -> None:
    found = acquisition(name, {}, UPLOADED)

    assert (iso(found.instant), found.source) == (time, "name")
    assert (found.start, found.end) == (None, None)
    assert found.detail in name


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        (
            "S1A_IW_GRDH_1SDV_20200101T101112_20200101T101137_030601_C1.tif",
            "2020-01-01T10:11:12Z",
            "2020-01-01T10:11:37Z",
        ),
        (
            "S3A_OL_1_EFR____20180105T002409_20180105T002540_20180106T053042.tif",
            "2018-01-05T00:24:09Z",
            "2018-01-05T00:25:40Z",
        ),
        ("ndvi_20200101-20200131.tif", "2020-01-01T00:00:00Z", "2020-01-31T23:59:59Z"),
        ("ndvi_2020-01-01_to_2020-01-31.tif", "2020-01-01T00:00:00Z", "2020-01-31T23:59:59Z"),
        ("mean_2016-02.tif", "2016-02-01T00:00:00Z", "2016-02-29T23:59:59Z"),
    ],
)
def test_a_span_in_the_name_has_a_start_and_an_end(name: str, start: str, end: str) -> None:
    found = acquisition(name, {}, UPLOADED)

    assert (iso(found.instant), iso(found.start), iso(found.end)) == (start, start, end)


@pytest.mark.parametrize(
    "name",
    [
        "RGB.byte.tif",
        "389225main_sw_1965_1024.jpg",
        "dom1_32_356_5699_1_nw_2020.tif",
        "1234201507101.tif",
        "9920150710.tif",
        "20150230.tif",
        "20151301.tif",
        "2015367.tif",
        "2015366.tif",
        "18991231.tif",
        "20990101.tif",
        "tile_2048_1024.tif",
        "x_2015191234.tif",
    ],
)
def test_a_number_that_is_no_plausible_time_is_none(name: str) -> None:
    found = acquisition(name, {}, UPLOADED)

    assert (found.instant, found.source) == (UPLOADED, "last_modified")


@pytest.mark.parametrize(
    ("tags", "start", "end", "detail"),
    [
        (
            {"time_coverage_start": "2020-01-01T00:00:00Z", "time_coverage_end": "2020-01-02T00:00:00Z"},
            "2020-01-01T00:00:00Z",
            "2020-01-02T00:00:00Z",
            "time_coverage_start",
        ),
        ({"ACQUISITIONDATETIME": "2015-03-04 05:06:07"}, "2015-03-04T05:06:07Z", None, "ACQUISITIONDATETIME"),
        (
            {"RANGEBEGINNINGDATE": "2015-03-04", "RANGEBEGINNINGTIME": "05:06:07.5"},
            "2015-03-04T05:06:07.500000Z",
            None,
            "RANGEBEGINNINGDATE, RANGEBEGINNINGTIME",
        ),
        (
            {"EXIF_DateTimeOriginal": "2015:03:04 05:06:07"},
            "2015-03-04T05:06:07Z",
            None,
            "EXIF_DateTimeOriginal",
        ),
        ({"TIFFTAG_DATETIME": "2015:03:04 05:06:07"}, "2015-03-04T05:06:07Z", None, "TIFFTAG_DATETIME"),
        (
            {"datetime": "2015-03-04T05:06:07+02:00"},
            "2015-03-04T03:06:07Z",
            None,
            "datetime",
        ),
        (
            {"time#units": "days since 2000-01-01 00:00:00", "NETCDF_DIM_time_VALUES": "{1,2.5}"},
            "2000-01-02T00:00:00Z",
            "2000-01-03T12:00:00Z",
            "time#units",
        ),
        (
            {"time#units": "hours since 1900-01-01", "NETCDF_DIM_time": "24"},
            "1900-01-02T00:00:00Z",
            None,
            "time#units",
        ),
    ],
)
def test_metadata_say_when(tags: Mapping[str, str], start: str, end: str | None, detail: str) -> None:
    found = acquisition("scene.tif", tags, UPLOADED)

    assert (iso(found.instant), found.source, found.detail) == (start, "metadata", detail)
    assert (iso(found.start), iso(found.end)) == (start if end else None, end)


@pytest.mark.parametrize(
    "text", ["", "0000:00:00 00:00:00", "yesterday", "2015-13-01", "9999-01-01", "2015:02:30 10:00:00"]
)
def test_a_tag_that_is_no_time_is_passed_over(text: str) -> None:
    found = acquisition("scene.tif", {"TIFFTAG_DATETIME": text, "time_coverage_start": text}, UPLOADED)

    assert found.source == "last_modified"


def test_the_times_for_which_grib_messages_are_valid_are_a_span() -> None:
    bands = [
        {"GRIB_REF_TIME": "1631944800", "GRIB_VALID_TIME": "1631980800"},
        {"GRIB_REF_TIME": "1631944800 sec UTC", "GRIB_VALID_TIME": "1631984400 sec UTC"},
    ]

    found = acquisition("gfs.grib2", {}, UPLOADED, bands=bands)

    assert (iso(found.start), iso(found.end)) == ("2021-09-18T16:00:00Z", "2021-09-18T17:00:00Z")
    assert found.detail == "GRIB_VALID_TIME"


def test_a_parameter_is_believed_before_anything_else() -> None:
    cest = timezone(timedelta(hours=2))
    tags = {"ACQUISITIONDATETIME": "2015-03-04 05:06:07"}

    found = acquisition("20150101.tif", tags, UPLOADED, given=datetime(2014, 1, 1, 1, tzinfo=cest))
    span = acquisition(
        "20150101.tif",
        tags,
        UPLOADED,
        given=(datetime(2014, 1, 1, tzinfo=UTC), datetime(2014, 2, 1, tzinfo=UTC)),
    )

    assert (iso(found.instant), found.source) == ("2013-12-31T23:00:00Z", "parameter")
    assert (iso(span.instant), iso(span.end)) == ("2014-01-01T00:00:00Z", "2014-02-01T00:00:00Z")


def test_metadata_of_the_acquisition_are_believed_before_the_name() -> None:
    found = acquisition("20200908.tif", {"ACQUISITIONDATETIME": "2015-03-04 05:06:07"}, UPLOADED)

    assert iso(found.instant) == "2015-03-04T05:06:07Z"


def test_the_time_of_the_file_is_believed_before_the_name_only_on_the_same_day() -> None:
    """gpm_1d.20240617.tif of the corpus is tagged 2024:06:18 14:14:24: it was processed the next day."""
    other = acquisition("gpm_1d.20240617.tif", {"TIFFTAG_DATETIME": "2024:06:18 14:14:24"}, UPLOADED)
    same = acquisition("scene_20240617.tif", {"TIFFTAG_DATETIME": "2024:06:17 14:14:24"}, UPLOADED)

    assert (iso(other.instant), other.source) == ("2024-06-17T00:00:00Z", "name")
    assert (iso(same.instant), same.source) == ("2024-06-17T14:14:24Z", "metadata")
