"""Geometries as a batch brings them, and what a shaper makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow
import shapely

from interfaces.layers import TablePlan
from interfaces.vectors import GeometryOptions
from services.vector.shaping import Shaped, Shaper


def plan(kind: str, crs: str = "EPSG:4326", srid: int = 4326) -> TablePlan:
    return TablePlan(
        target_schema="features",
        target_table="t",
        original="t",
        if_exists="fail",
        columns=[],
        key=[],
        generated_key="fid",
        geometry_column="geom",
        geometry_type=kind,
        srid=srid,
        crs=crs,
        chunks=1,
        features=1,
        sources=[],
        parameters_hash="",
        notes=[],
    )


def no_curves(curves: Sequence[bytes], degrees: float) -> list[bytes | None]:
    raise AssertionError("there are no curves")


def shaped(
    kind: str,
    *wkts: str | bytes | None,
    crs: str = "EPSG:4326",
    target: str = "EPSG:4326",
    **options: Any,
) -> Shaped:
    column = [
        one if isinstance(one, bytes) or one is None else shapely.to_wkb(shapely.from_wkt(one), flavor="iso")
        for one in wkts
    ]
    shaper = Shaper(plan(kind, target, int(target.partition(":")[2])), crs, GeometryOptions(**options))
    return shaper.shape(pyarrow.array(column, pyarrow.binary()), no_curves)


def ewkb(result: Shaped) -> list[bytes | None]:
    made: list[bytes | None] = result.ewkb.to_pylist()
    return made


def wkt(one: bytes | None) -> str | None:
    return None if one is None else shapely.to_wkt(shapely.from_wkb(one), trim=True, output_dimension=4)
