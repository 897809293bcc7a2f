"""What the stages of a conversion hand on: the raster as it was found, and the plan of its COG."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from .containers import ReadContainer, WrittenContainer
from .contracts import Contract
from .rasters import CogOptions, Overwrite, Resampling

Transform = Annotated[list[float], Field(min_length=6, max_length=6)]
"""Row-major: x = a·column + b·row + c, y = d·column + e·row + f."""

Content = Literal["continuous", "picture", "categorical", "bitmask", "circular", "complex"]
"""What pixel values are: quantities, colours to look at, classes or labels, flags, directions, complex."""


class SourceBlob(Contract):
    """A blob as it was when its conversion was planned; `size` in bytes."""

    container: ReadContainer
    name: str
    etag: str
    size: Annotated[int, Field(ge=0)]
    last_modified: datetime | None = None
    sidecars: dict[str, str] = Field(default_factory=dict)
    """ETag of each blob that is read along with it (mask, overviews, metadata), by its name."""


class Grid(Contract):
    """The pixels of an output: `crs` is an authority code or WKT2, None where there is none."""

    crs: str | None
    transform: Transform
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]


class Warp(Contract):
    """How pixels get from the source onto another grid."""

    grid: Grid
    resampling: Resampling
    by: Literal["transform", "gcps", "rpcs"]
    """What places the source."""
    source_crs: str | None = None
    """Overrides the CRS that the source names, or the one it lacks."""


class MosaicSource(Contract):
    """What matters of a raster to the mosaic that it becomes part of."""

    source: SourceBlob
    driver: str
    grid: Grid
    """Its own pixels where it is north-up, else those that it would get in its own CRS."""
    pixels: Literal["north_up", "turned", "rectified"]
    """What has to be done to its own to lie on `grid`."""
    by: Literal["transform", "gcps", "rpcs"]
    source_crs: str | None = None
    """The CRS that it was said to have, where it names none."""
    band_count: int
    dtype: str
    colors: list[str]
    """Colour interpretation of each band, as rasterio names them."""
    palette: str | None = None
    """Digest of the colour table of the first band."""
    nodata: float | Literal["nan", "inf", "-inf"] | None = None
    masked: bool = False
    """It has a mask."""
    content: Content
    taken_at: datetime | None = None


class MosaicPart(Contract):
    """A raster's place in a mosaic."""

    source: SourceBlob
    driver: str
    window: Annotated[list[int], Field(min_length=4, max_length=4)]
    """Column, row, width and height on the mosaic's grid, pixels: its pixels are there and nowhere else."""
    by: Literal["pixels", "transform", "gcps", "rpcs"]
    """pixels: its own lie on the grid and are taken as they are; else it is warped onto the grid."""
    resampling: Resampling
    source_crs: str | None = None
    """As in `MosaicSource`."""
    moved_by: float = 0.0
    """Turns of the Earth in units of x that its coordinates are away from those of the grid."""


class Mosaic(Contract):
    """Many rasters as one: what a plan needs to know of it in the place of a single raster."""

    parts: Annotated[list[MosaicPart], Field(min_length=1)]
    """The lowest first."""
    grid: Grid
    band_count: int
    dtype: str
    colors: list[str]
    nodata: float | Literal["nan", "inf", "-inf"] | None
    """None: the mosaic has a mask, or an alpha band."""
    content: Content
    notes: list[str] = Field(default_factory=list)
    """What was decided, for a person to read."""


class Estimate(Contract):
    """What a conversion will take, at most."""

    memory_bytes: int
    scratch_bytes: int
    """Temporary disk space."""
    cache_bytes: int = 0
    """Of the memory, what GDAL's cache has to hold beyond its usual size."""
    output_bytes: int
    """Uncompressed pixels of the output, without overviews."""
    seconds: float


class ConversionPlan(Contract):
    """Everything that decides what a COG will be: made once by the inspection, carried out by any worker."""

    sources: Annotated[list[SourceBlob], Field(min_length=1)]
    """One; for a mosaic those it is made of, the lowest first."""
    drivers: list[str]
    """GDAL's driver of each source."""
    subdataset: str | None = None
    """Name inside the file, where the raster is one of several in it."""
    pass_through: bool = False
    """The source is a valid COG and no change is asked: its bytes are copied as they are."""
    content: Content
    width: int
    height: int
    """Of the output, pixels."""
    band_count: int
    """Of the output, without a mask."""
    dtype: str
    """Of the output's bands."""
    nodata: float | Literal["nan", "inf", "-inf"] | None
    """Of the output."""
    options: CogOptions
    warp: Warp | None = None
    """None: the pixels stay where they are."""
    mosaic: Mosaic | None = None
    """In the place of a single source and its warp: all sources on one grid, in their own values."""
    assign_crs: str | None = None
    """Given to a raster that names none, without moving its pixels."""
    creation: dict[str, str]
    """Creation options of GDAL's COG driver."""
    lossless: bool
    """Pixels of the output equal those of the source, so that they are compared."""
    tile_size: int | None = None
    """Width and height of the tiles that are converted apart, pixels, a multiple of the block size; None: all
    at once."""
    full_width_tiles: bool = False
    """They are as wide as the raster, and `tile_size` is their height."""
    estimate: Estimate
    notes: list[str] = Field(default_factory=list)
    """What was decided, and warnings, for a person to read."""

    @property
    def tiles(self) -> int:
        """How many tiles are converted apart; 0: none."""
        if self.tile_size is None:
            return 0
        return -(-self.width // self._tile_width) * -(-self.height // self.tile_size)

    def window(self, tile: int) -> tuple[int, int, int, int]:
        """Column, row, width and height of a tile, pixels of the output; row by row from the upper left."""
        width, height = self._tile_width, self.tile_size or self.height
        row, column = divmod(tile, -(-self.width // width))
        x, y = column * width, row * height
        return x, y, min(width, self.width - x), min(height, self.height - y)

    @property
    def _tile_width(self) -> int:
        return self.width if self.full_width_tiles or self.tile_size is None else self.tile_size


class CogFile(Contract):
    """A COG that was made and checked: what its header says, in the words of the catalog."""

    size: int
    """Bytes."""
    md5: str
    """Of its bytes, hex."""
    grid: Grid
    band_count: int
    dtype: str
    nodata: float | Literal["nan", "inf", "-inf"] | None
    overviews: list[int]
    compression: str | None
    pixels_equal: bool | None
    """True when the masked pixels were compared with the source's, block by block; None: they may differ."""
    notes: list[str]
    item: dict[str, JsonValue]
    """Its STAC item, whose assets' hrefs are names relative to the COG's folder."""


class AcquisitionTime(Contract):
    """When the data of a raster were acquired (UTC), and what says so: `source`, named by `detail`."""

    instant: datetime
    source: Literal["parameter", "metadata", "name", "last_modified"]
    detail: str
    start: datetime | None = None
    end: datetime | None = None


class CogRequest(Contract):
    """Where a COG is to be published, and what makes two requests for it the same."""

    container: WrittenContainer
    name: str
    overwrite: Overwrite
    thumbnail: bool
    parameters_hash: str
    """SHA-256 of everything asked that decides the COG's bytes, hex."""
    time: AcquisitionTime


class MadeCog(Contract):
    """A COG that waits to be published: where its bytes lie, and what they were made from."""

    request: CogRequest
    sources: list[SourceBlob]
    pass_through: bool
    container: str
    blob: str
    """Its bytes; of one that passes through, the source itself."""
    thumbnail: str | None
    """The thumbnail's bytes, in the same container as scratch blobs are."""
    tiles: list[str] = Field(default_factory=list)
    """Scratch blobs of which it was assembled, to be removed with it."""
    file: CogFile


class MadeTile(Contract):
    """A tile of a chunked raster, as a blob of its own. The first one brings the plan."""

    request: CogRequest
    tile: int
    tiles: int
    blob: str
    digest: str | None
    """Of its masked pixels, which the COG must have; None: compression may change them, or `blocks` tells."""
    blocks: str | None = None
    """Checksum of its compressed blocks, where the COG is to have them as they are."""
    plan: ConversionPlan | None = None
