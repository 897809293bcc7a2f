"""What places a raster on the Earth: its transform, ground control points or RPCs, and in which CRS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from interfaces.conversions import Grid
from interfaces.errors import PermanentTaskError
from services.raster_footprint import EARTH_RADII

if TYPE_CHECKING:
    import pyproj
    from numpy import ndarray
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader
    from rasterio.rpc import RPC
    from rasterio.transform import Affine

Points = tuple["ndarray", "ndarray"]
"""xs and ys, of one shape."""

RPC_CRS = "EPSG:4326"
"""RPCs give geodetic longitude and latitude in WGS 84 by definition (STDI-0002, RPC00B)."""
EXACT = 1e-9


@dataclass(frozen=True)
class Placement:
    """Where the pixels of a raster lie."""

    width: int
    height: int
    by: Literal["transform", "gcps", "rpcs", "nothing"]
    transform: Affine
    crs: CRS | None
    """Of the coordinates that `points` gives."""
    assumed: bool = False
    """The CRS is not the raster's own, but the one it was said to have."""
    gcps: Sequence[GroundControlPoint] = ()
    rpcs: RPC | None = None

    @property
    def north_up(self) -> bool:
        """Columns go to the east, rows to the south, nothing is turned or sheared."""
        a, b, _, d, e, _ = tuple(self.transform)[:6]
        return self.by == "transform" and a > 0 and e < 0 and b == d == 0

    @property
    def straight(self) -> bool:
        """Placed by a transform whose rows and columns run along the axes, whichever way."""
        a, b, _, d, e, _ = tuple(self.transform)[:6]
        return self.by == "transform" and abs(b) + abs(d) <= EXACT * (abs(a) + abs(e))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top of a straight raster."""
        a, _, c, _, e, f = tuple(self.transform)[:6]
        (left, right), (bottom, top) = sorted((c, c + a * self.width)), sorted((f, f + e * self.height))
        return left, bottom, right, top

    def points(self, columns: ndarray, rows: ndarray) -> Points:
        """Coordinates of pixel corners (0, 0 is the upper left corner of the raster)."""
        import numpy
        from rasterio.transform import GCPTransformer, RPCTransformer

        if self.by == "transform":
            a, b, c, d, e, f = tuple(self.transform)[:6]
            return a * columns + b * rows + c, d * columns + e * rows + f
        if self.by == "gcps":
            transformer = GCPTransformer(self.gcps)
        else:
            transformer = RPCTransformer(self.rpcs, RPC_HEIGHT=str(rpc_height(self.rpcs)))
        with transformer:
            xs, ys = transformer.xy(rows.ravel().tolist(), columns.ravel().tolist(), offset="ul")
        return numpy.reshape(xs, columns.shape), numpy.reshape(ys, columns.shape)


def rpc_height(rpcs: RPC) -> float:
    """Metres above the ellipsoid at which RPCs are evaluated: the middle of the heights they were made for.

    GDAL would take 0 m, which moves a scene of mountains by hundreds of metres.
    """
    return float(rpcs.height_off)


def placement(dataset: DatasetReader, assume_crs: str | None) -> Placement:
    """What places the raster; `assume_crs` counts only where it names no CRS itself.

    A raster that names another CRS than the assumed keeps its own: a job over many files assumes a CRS for
    those that lack one, and must not move the others.

    To be asked of a dataset that was just opened: GDAL reports a CRS that cannot be interpreted once, and
    says that there is none from then on. Raises PermanentTaskError for such a CRS.
    """
    from rasterio.crs import CRS

    gcps, rpcs = dataset.gcps[0], dataset.rpcs
    if not dataset.transform.is_identity:
        by: Literal["transform", "gcps", "rpcs", "nothing"] = "transform"
    elif gcps:
        by = "gcps"
    else:
        by = "rpcs" if rpcs else "nothing"
    crs = CRS.from_user_input(RPC_CRS) if by == "rpcs" else own_crs(dataset, by)
    assumed = crs is None and assume_crs is not None
    return Placement(
        width=dataset.width,
        height=dataset.height,
        by=by,
        transform=dataset.transform,
        crs=CRS.from_user_input(assume_crs) if assumed else crs,
        assumed=assumed,
        gcps=gcps,
        rpcs=rpcs,
    )


def on_grid(grid: Grid) -> Placement:
    """The placement of a raster that fills the grid."""
    from rasterio.crs import CRS
    from rasterio.transform import Affine

    crs = CRS.from_user_input(grid.crs) if grid.crs else None
    return Placement(grid.width, grid.height, "transform", Affine(*grid.transform), crs)


def own_crs(dataset: DatasetReader, by: str = "transform") -> CRS | None:
    """The CRS that the raster names; for ground control points theirs comes first.

    Raises PermanentTaskError where it cannot be interpreted.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError

    try:
        crs = (dataset.gcps[1] if by == "gcps" else None) or dataset.crs
        # What PROJ could not say of the CRS is raised by whatever is asked next: here, not further on.
        _ = dataset.colorinterp
        if not crs:
            return None
        crs.to_wkt(version="WKT2_2019")
    except (CRSError, CPLE_BaseError) as error:
        raise PermanentTaskError(f"the raster's CRS cannot be interpreted: {error}"[:300]) from None
    return crs


def for_proj(crs: CRS) -> pyproj.CRS:
    """The same CRS for pyproj, whose transformations go on where single points fail."""
    import pyproj

    return pyproj.CRS.from_wkt(crs.to_wkt(version="WKT2_2019"))


def spelled(crs: CRS) -> str:
    """An authority code where that says all of the CRS, else WKT2."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    authority = crs.to_authority()
    if authority:
        code = ":".join(authority)
        try:
            if CRS.from_user_input(code) == crs:
                return code
        except CRSError:
            pass  # an authority that only its own files know
    text: str = crs.to_wkt(version="WKT2_2019")
    return text


def check_same_body(source: CRS, target: CRS) -> None:
    """Raise PermanentTaskError when there is no way from one CRS to the other.

    Earth's CRSs go to Earth's; those of another body only to others of a body of that size; local ones,
    which have no ellipsoid, nowhere.
    """
    radii = []
    for what, crs in (("the raster's CRS", source), ("target_crs", target)):
        ellipsoid = for_proj(crs).ellipsoid
        if ellipsoid is None:
            raise PermanentTaskError(
                f"{what} is a local one (no ellipsoid): nothing can be warped from or to it"
            )
        radii.append(float(ellipsoid.semi_major_metre))
    on_earth = [EARTH_RADII[0] <= radius <= EARTH_RADII[1] for radius in radii]
    if on_earth == [True, True] or abs(radii[0] - radii[1]) < 0.01 * radii[0]:
        return
    what = "the raster's CRS is" if not on_earth[0] else "target_crs is"
    other = radii[0] if not on_earth[0] else radii[1]
    raise PermanentTaskError(
        f"{what} not one of the Earth (its ellipsoid has a radius of {other:.0f} m), and the other is of "
        f"another body: the raster cannot be warped from one to the other"
    )
