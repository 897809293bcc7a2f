"""What jobs about rasters share: which rasters, where the results go, and how a COG is to be made."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from .containers import TargetContainer, Time
from .contracts import JobParameters
from .crs_references import names_a_file
from .registrations import CollectionId
from .sources import BlobSources, checked_template

GIGAPIXEL = 1_000_000_000
FLOAT32_MAX = 3.4028235e38 * (1 + 1e-7)
"""And what is rounded to it."""


class RasterSources(BlobSources):
    """Which rasters a job is about.

    Without a glob or extensions in the filter, only names with the extension of a raster format are taken.
    """


TEMPLATE_FIELDS = ("stem", "name", "folder", "extension", "container", "date", "year", "month", "day")


def _template(template: str) -> str:
    return checked_template(template, TEMPLATE_FIELDS, (".tif", ".tiff"))


PathTemplate = Annotated[
    str,
    AfterValidator(_template),
    Field(
        description="Name of the COG: text with {stem}, {name}, {folder}, {extension}, {container} of the "
        "source, and {date}, {year}, {month}, {day} of its datetime (UTC)"
    ),
]


def _crs(text: str) -> str:
    """A CRS with x and y on a map, as PROJ understands it, an authority's code in capitals."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    if names_a_file(text.encode("utf-8", "replace")):
        raise ValueError("is a CRS that names a file, and those are not read")
    try:
        crs = CRS.from_user_input(text)
    except CRSError as error:
        raise ValueError(f"is no CRS that PROJ knows: {error}"[:300]) from None
    if crs.is_geocentric:
        raise ValueError("is a geocentric CRS, whose x and y are no place on a map")
    if crs.is_vertical and not crs.is_compound:
        raise ValueError("is a vertical CRS, which has no x and y")
    return text.upper() if re.fullmatch(r"[A-Za-z]+:\w+", text) else text


Crs = Annotated[str, Field(min_length=3, max_length=20_000), AfterValidator(_crs)]


def _target_crs(text: str) -> str:
    if text == "same":
        return text
    from pyproj import CRS

    name = _crs(text)
    if CRS.from_user_input(name).is_compound:
        raise ValueError("is a compound CRS, and heights are not converted: name its horizontal part")
    return name


TargetCrs = Annotated[str, Field(min_length=3, max_length=20_000), AfterValidator(_target_crs)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _pair(value: Any) -> Any:
    return [value, value] if isinstance(value, int | float) and not isinstance(value, bool) else value


Resolution = Annotated[
    list[Positive],
    Field(min_length=2, max_length=2),
    BeforeValidator(_pair, json_schema_input_type=Positive | list[Positive]),
]
"""Pixel size [x, y] in units of the target CRS; a single number stands for both."""

Resampling = Literal["nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode"]
OverviewResampling = Literal["nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode"]
Compression = Literal["deflate", "zstd", "lerc", "jpeg", "webp", "lzw", "none"]
LOSSY: frozenset[Compression] = frozenset({"jpeg", "webp"})
DataType = Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
Overwrite = Literal["never", "if_changed", "always"]
Placement = Literal["rectify", "keep", "refuse"]


class CogProfile(JobParameters):
    """How pixels are stored. `auto` picks by data type and content: deflate, or zstd for floats."""

    compression: Literal["auto", "deflate", "zstd", "lerc", "jpeg", "webp", "lzw", "none"] = "auto"
    level: Annotated[int, Field(ge=1, le=22, description="Of deflate (1 to 9) and zstd (1 to 22)")] | None = (
        None
    )
    quality: (
        Annotated[int, Field(ge=1, le=100, description="Of jpeg and webp; webp 100 is lossless")] | None
    ) = None
    max_z_error: Annotated[float, Field(ge=0, allow_inf_nan=False, description="Of lerc; 0 is lossless")] = (
        0.0
    )
    predictor: Literal["auto", "none", "horizontal", "floating_point"] = "auto"
    block_size: Annotated[int, Field(ge=128, le=4096, multiple_of=16, description="Pixels")] = 512
    overviews: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=0, le=30)],
        Field(description="How many levels; auto: until the smallest fits into one block"),
    ] = "auto"
    overview_resampling: Literal["auto"] | OverviewResampling = "auto"
    bigtiff: Literal["if_safer", "yes", "no"] = "if_safer"

    @field_validator("level")
    @classmethod
    def _level_of_the_compression(cls, level: int | None, info: ValidationInfo) -> int | None:
        compression = info.data.get("compression")
        if level is None or compression is None:
            return level
        most = {"deflate": 9, "zstd": 22}.get(compression)
        if most is None:
            raise ValueError("level goes with deflate and zstd")
        if level > most:
            raise ValueError(f"level of {compression} is at most {most}")
        return level

    @field_validator("quality", "max_z_error", "predictor")
    @classmethod
    def _option_of_the_compression(cls, value: Any, info: ValidationInfo) -> Any:
        compression, name = info.data.get("compression"), info.field_name or ""
        if compression is None or value in (None, 0, "auto", "none"):
            return value
        takers: dict[str, tuple[Compression, ...]] = {
            "quality": ("jpeg", "webp"),
            "max_z_error": ("lerc",),
            "predictor": ("deflate", "zstd", "lzw"),
        }
        *others, last = takers[name]
        if compression not in takers[name]:
            raise ValueError(f"{name} goes with {', '.join(others)}{' and ' if others else ''}{last}")
        return value

    @property
    def lossless(self) -> bool:
        """True when the compression gives back what went in."""
        if self.compression == "webp":
            return self.quality == 100
        return self.compression != "jpeg" and self.max_z_error == 0


class Scaling(JobParameters):
    """Linear: source values `from_range` become `to_range`; what lies outside is cut to it."""

    from_range: Annotated[list[Finite], Field(min_length=2, max_length=2)]
    to_range: Annotated[list[Finite], Field(min_length=2, max_length=2)]

    @field_validator("from_range")
    @classmethod
    def _rises(cls, values: list[float]) -> list[float]:
        if values[0] >= values[1]:
            raise ValueError("the first value must be below the second")
        return values

    @field_validator("to_range")
    @classmethod
    def _differ(cls, values: list[float]) -> list[float]:
        if values[0] == values[1]:
            raise ValueError("the two values must differ")
        return values


def holds(dtype: DataType, value: float) -> bool:
    """True when the data type has the value, a finite one."""
    if dtype == "float64":
        return True
    if dtype == "float32":
        return abs(value) <= FLOAT32_MAX
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    low, high = (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return value.is_integer() and low <= value <= high


class CogOptions(JobParameters):
    """What is to be made of a raster. Without any of it: the same pixels as a COG."""

    assume_crs: Annotated[Crs, Field(description="CRS of rasters that name none")] | None = None
    target_crs: Annotated[
        TargetCrs, Field(description='"same", an authority code such as EPSG:3857, or WKT')
    ] = "same"
    resolution: Resolution | None = None
    resampling: Literal["auto"] | Resampling = "auto"
    web_optimized: Annotated[
        bool, Field(description="EPSG:3857, aligned to the zoom levels and tiles of web maps")
    ] = False
    placement: Annotated[
        Placement,
        Field(
            description="Of rasters that are rotated, or placed by GCPs or RPCs. rectify: warp them; keep: "
            "their pixels stay, with the rotated transform, GCPs or RPCs; refuse: they fail"
        ),
    ] = "rectify"
    profile: CogProfile = CogProfile()
    nodata: Annotated[
        Literal["keep", "mask"] | Finite,
        Field(description="keep; mask: turn nodata into a mask; a number: the value that stands for no data"),
    ] = "keep"
    bands: (
        Annotated[
            list[Annotated[int, Field(ge=1, le=65535)]],
            Field(min_length=1, max_length=1000, description="Band numbers, from 1, in the order wanted"),
        ]
        | None
    ) = None
    data_type: DataType | None = None
    scaling: Scaling | None = None
    datetime: (
        Annotated[Time, Field(description="Of all rasters of the job; else from tag or name")] | None
    ) = None

    @field_validator("web_optimized")
    @classmethod
    def _grid_of_web_maps(cls, wanted: bool, info: ValidationInfo) -> bool:
        if wanted and info.data.get("target_crs", "same") not in ("same", "EPSG:3857"):
            raise ValueError("web_optimized means EPSG:3857; leave target_crs out")
        if wanted and info.data.get("resolution") is not None:
            raise ValueError("web_optimized takes the resolution of a zoom level; leave resolution out")
        return wanted

    @field_validator("placement")
    @classmethod
    def _pixels_that_stay(cls, placement: Placement, info: ValidationInfo) -> Placement:
        asked = info.data
        moved = asked.get("target_crs", "same") != "same" or asked.get("resolution") is not None
        if placement == "keep" and (moved or asked.get("web_optimized")):
            raise ValueError(
                "placement keep leaves pixels where they are; leave out target_crs, resolution and "
                "web_optimized"
            )
        return placement

    @field_validator("nodata")
    @classmethod
    def _nodata_that_is_stored_as_it_is(
        cls, nodata: Literal["keep", "mask"] | float, info: ValidationInfo
    ) -> Literal["keep", "mask"] | float:
        profile = info.data.get("profile")
        if profile is not None and not isinstance(nodata, str) and not profile.lossless:
            raise ValueError(
                f"profile.compression {profile.compression} is lossy and would change pixels around nodata: "
                'ask for "mask", or for a lossless compression'
            )
        return nodata

    @field_validator("bands")
    @classmethod
    def _bands_of_a_picture(cls, bands: list[int] | None, info: ValidationInfo) -> list[int] | None:
        profile = info.data.get("profile")
        if bands is None or profile is None or profile.compression not in LOSSY:
            return bands
        if len(bands) > 4 or (profile.compression == "webp" and len(bands) < 3):
            least = "3" if profile.compression == "webp" else "1 or 3"
            raise ValueError(
                f"profile.compression {profile.compression} stores {least} bands and alpha, not {len(bands)}"
            )
        return bands

    @field_validator("data_type")
    @classmethod
    def _type_of_all_that_is_asked(cls, dtype: DataType | None, info: ValidationInfo) -> DataType | None:
        profile, nodata = info.data.get("profile"), info.data.get("nodata", "keep")
        if dtype is None or profile is None:
            return dtype
        if profile.compression in LOSSY and dtype != "uint8":
            raise ValueError(f"profile.compression {profile.compression} stores uint8 only")
        if profile.predictor == "floating_point" and not dtype.startswith("float"):
            raise ValueError(f"profile.predictor floating_point is for floats, not for {dtype}")
        if not isinstance(nodata, str) and not holds(dtype, nodata):
            raise ValueError(f"{dtype} has no value {nodata:.17g}, which is asked for nodata")
        return dtype

    @property
    def crs_wanted(self) -> str | None:
        """The CRS to warp to; None for the raster's own."""
        if self.web_optimized:
            return "EPSG:3857"
        return None if self.target_crs == "same" else self.target_crs


class MosaicOptions(JobParameters):
    """How the rasters of a mosaic lie on each other and how fine it is."""

    order: Annotated[
        Literal["listed", "name", "newest_last", "resolution"],
        Field(
            description="Later ones cover earlier ones: as listed, by name, by datetime (those without one "
            "lowest), or the finest last"
        ),
    ] = "listed"
    pixel_size: Annotated[
        Literal["finest", "coarsest", "first"],
        Field(description="Whose resolution the mosaic takes where none is given"),
    ] = "finest"


def _cog_name(name: str) -> str:
    if "{" in name or "}" in name:
        raise ValueError("is a name, in which braces stand for nothing")
    return _template(name)


class Target(JobParameters):
    """Where COGs go, and what happens to one that is there."""

    target_container: TargetContainer
    overwrite: Annotated[
        Overwrite,
        Field(
            description="if_changed: only when the source or what is asked is not what it was made from; "
            "a blob that was not published by such a job is refused"
        ),
    ] = "if_changed"
    chunk_threshold: Annotated[
        int, Field(ge=1, description="Rasters of more pixels than this are converted in tiles, each a task")
    ] = GIGAPIXEL
    thumbnail: Annotated[bool, Field(description="Write a PNG of at most 512 pixels beside each COG")] = True
    collection_id: (
        Annotated[
            CollectionId,
            Field(
                description="Collection of the catalog for the items; else one named like target_container"
            ),
        ]
        | None
    ) = None

    @property
    def collection(self) -> str:
        """The collection of the items, in the catalog."""
        return self.collection_id or self.target_container


class CogTarget(Target):
    """Each COG gets a name of its own."""

    path_template: PathTemplate = "{folder}/{stem}.tif"


class MosaicTarget(Target):
    """There is one COG."""

    target_name: Annotated[
        str, AfterValidator(_cog_name), Field(description="Name of the COG, ending in .tif or .tiff")
    ]
