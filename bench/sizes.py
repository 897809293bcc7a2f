"""How much is measured: fully, or quickly."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes of all experiments; `limit` is the longest that one run may take, seconds."""

    ours: tuple[int, ...]
    peers: tuple[int, ...]
    polling: tuple[int, ...]
    rounds: int
    limit: float
    transactions: int
    peers_transactions: bool
    submissions: int
    jobs_at_once: int
    floor: tuple[int, ...]
    floor_rounds: int
    scaling: int
    waiting: int
    blobs: int
    cogs: int
    conversion: int
    """Pixels a side, of three bands."""
    conversion_rounds: int
    small_rasters: int
    chunked: int
    """Pixels a side."""
    catalog: int
    """Items."""
    catalog_rounds: int
    searched_items: int
    searches: int
    polygons: int
    polygons_rounds: int


FULL = Sizes(
    ours=(1, 30, 1_000, 10_000, 100_000),
    peers=(1, 30, 1_000, 10_000),
    polling=(1, 30),
    rounds=5,
    limit=180,
    transactions=1_000,
    peers_transactions=True,
    submissions=50,
    jobs_at_once=200,
    floor=(1_000, 10_000),
    floor_rounds=5,
    scaling=10_000,
    waiting=400,
    blobs=5_000,
    cogs=1_000,
    conversion=6_000,
    conversion_rounds=5,
    small_rasters=1_000,
    chunked=65_536,
    catalog=100_000,
    catalog_rounds=3,
    searched_items=100_000,
    searches=500,
    polygons=1_000_000,
    polygons_rounds=3,
)
QUICK = Sizes(
    ours=(1, 30, 1_000),
    peers=(30, 300),
    polling=(30,),
    rounds=1,
    limit=30,
    transactions=1_000,
    peers_transactions=False,
    submissions=10,
    jobs_at_once=20,
    floor=(1_000,),
    floor_rounds=1,
    scaling=1_000,
    waiting=100,
    blobs=500,
    cogs=50,
    conversion=2_000,
    conversion_rounds=3,
    small_rasters=100,
    chunked=8_192,
    catalog=20_000,
    catalog_rounds=1,
    searched_items=5_000,
    searches=100,
    polygons=50_000,
    polygons_rounds=1,
)
