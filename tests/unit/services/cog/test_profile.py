"""Profiles as creation options, and what cannot be stored so."""

from __future__ import annotations

from typing import Any

import pytest

from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogProfile
from services.cog.profile import Pixels, creation_options, overview_count


def options_of(
    resampling: Any = "average", pixels: dict[str, Any] | None = None, **profile: Any
) -> dict[str, str]:
    what: dict[str, Any] = {
        "width": 2000,
        "height": 1000,
        "band_count": 1,
        "dtype": "uint8",
        "content": "continuous",
        "alpha": False,
        "palette": False,
        "nodata": None,
        **(pixels or {}),
    }
    return creation_options(CogProfile(**profile), Pixels(**what), resampling)


def test_the_options_of_the_default_profile() -> None:
    assert options_of() == {
        "COMPRESS": "DEFLATE",
        "BLOCKSIZE": "512",
        "BIGTIFF": "IF_SAFER",
        "OVERVIEW_RESAMPLING": "AVERAGE",
        "OVERVIEWS": "IGNORE_EXISTING",
        "OVERVIEW_COUNT": "2",
        "PREDICTOR": "STANDARD",
    }


@pytest.mark.parametrize(
    ("dtype", "compression", "predictor"),
    [
        ("uint8", "DEFLATE", "STANDARD"),
        ("int16", "DEFLATE", "STANDARD"),
        ("int64", "DEFLATE", "STANDARD"),
        ("float32", "ZSTD", "FLOATING_POINT"),
        ("float64", "ZSTD", "FLOATING_POINT"),
        ("complex64", "ZSTD", "NO"),
        ("complex_int16", "ZSTD", "NO"),
    ],
)
def test_compression_and_predictor_follow_from_the_data_type(
    dtype: str, compression: str, predictor: str
) -> None:
    made = options_of(resampling="nearest", pixels={"dtype": dtype})

    assert (made["COMPRESS"], made["PREDICTOR"]) == (compression, predictor)


def test_what_a_profile_names_is_handed_on() -> None:
    assert options_of(compression="zstd", level=17)["LEVEL"] == "17"
    assert options_of(compression="lerc", max_z_error=0.25)["MAX_Z_ERROR"] == "0.25"
    assert options_of(compression="lzw", predictor="none")["PREDICTOR"] == "NO"
    assert "PREDICTOR" not in options_of(compression="none")
    assert options_of(block_size=1024, overviews=3)["OVERVIEW_COUNT"] == "3"
    assert options_of(bigtiff="yes")["BIGTIFF"] == "YES"
    quality = options_of(compression="jpeg", quality=90)
    assert (quality["QUALITY"], quality["OVERVIEW_QUALITY"]) == ("90", "90")


@pytest.mark.parametrize(
    ("profile", "pixels", "reason"),
    [
        ({"compression": "jpeg"}, {"dtype": "uint16"}, "jpeg stores uint8 only, not uint16"),
        ({"compression": "webp"}, {"dtype": "float32", "band_count": 3}, "webp stores uint8 only"),
        ({"compression": "jpeg"}, {"band_count": 2}, "jpeg stores 1 or 3 bands and alpha, not 2 bands"),
        ({"compression": "jpeg"}, {"band_count": 4}, "jpeg stores 1 or 3 bands and alpha, not 4 bands"),
        ({"compression": "webp"}, {}, "webp stores 3 bands and alpha, not 1 bands"),
        ({"compression": "webp"}, {"band_count": 4}, "webp stores 3 bands and alpha, not 4 bands"),
        ({"compression": "jpeg"}, {"palette": True}, "cannot store indexes into a colour table"),
        ({"compression": "jpeg"}, {"nodata": 0.0}, 'nodata 0.0: ask for nodata "mask"'),
        ({"compression": "webp", "quality": 99}, {"nodata": 0.0, "band_count": 3}, "webp is lossy"),
        ({"compression": "lerc", "max_z_error": 0.1}, {"dtype": "float32", "nodata": -1.0}, "lerc is lossy"),
        ({"compression": "lerc"}, {"dtype": "int64"}, "lerc does not store int64"),
        ({"predictor": "floating_point", "compression": "zstd"}, {}, "is for floats, not for uint8"),
        ({"predictor": "horizontal", "compression": "zstd"}, {"dtype": "complex64"}, "none for complex"),
        ({"overviews": 0}, {}, "2000 × 1000 pixels is valid only with overviews"),
        ({}, {"width": 1, "height": 600}, "one pixel wide and 600 high"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_reason(
    profile: dict[str, Any], pixels: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PermanentTaskError, match=reason):
        options_of(resampling="nearest", pixels=pixels, **profile)


def test_complex_overviews_are_not_made_by_mode() -> None:
    with pytest.raises(PermanentTaskError, match="mode is not defined for complex"):
        options_of(resampling="mode", pixels={"dtype": "complex64"})


@pytest.mark.parametrize(
    ("profile", "pixels"),
    [
        ({"compression": "jpeg"}, {"band_count": 4, "alpha": True}),
        ({"compression": "webp"}, {"band_count": 4, "alpha": True}),
        ({"compression": "webp", "quality": 100}, {"band_count": 3, "nodata": 0.0}),
        ({"compression": "lerc"}, {"dtype": "float32", "nodata": -1.0}),
        ({"overviews": 0}, {"width": 512, "height": 512}),
        ({}, {"width": 1, "height": 512}),
        ({}, {"width": 600, "height": 1}),
    ],
)
def test_what_can_be_stored_is(profile: dict[str, Any], pixels: dict[str, Any]) -> None:
    assert options_of(resampling="nearest", pixels=pixels, **profile)["COMPRESS"]


@pytest.mark.parametrize(
    ("profile", "lossless"),
    [
        ({}, True),
        ({"compression": "jpeg"}, False),
        ({"compression": "webp"}, False),
        ({"compression": "webp", "quality": 100}, True),
        ({"compression": "lerc"}, True),
        ({"compression": "lerc", "max_z_error": 0.1}, False),
    ],
)
def test_which_profiles_give_back_what_went_in(profile: dict[str, Any], lossless: bool) -> None:
    assert CogProfile(**profile).lossless is lossless


@pytest.mark.parametrize(
    ("width", "height", "block", "count"),
    [
        (512, 512, 512, 0),
        (513, 1, 512, 1),
        (1, 100_000, 512, 8),
        (1024, 1024, 512, 1),
        (1025, 1024, 512, 1),
        (2048, 100, 512, 2),
        (3000, 3000, 4096, 1),
        (300, 300, 256, 1),
    ],
)
def test_overviews_go_on_until_one_fits_into_a_block(width: int, height: int, block: int, count: int) -> None:
    assert overview_count(width, height, block) == count
