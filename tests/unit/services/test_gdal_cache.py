"""GDAL's cache of blocks belongs to the whole process, and keeps its size whoever opens and ends sessions."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import ctypes, threading
from services.gdal_session import GdalSessions
from rasterio import _base
import rasterio
gdal = ctypes.CDLL(_base.__file__)
gdal.GDALGetCacheMax64.restype = ctypes.c_int64
sessions = GdalSessions(50_000_000)
seen, begun, over = [], threading.Event(), threading.Event()
def convert():
    with sessions.in_memory(), rasterio.Env(VRT_NUM_THREADS="2"):
        begun.set()
        over.wait(20)
        seen.append(gdal.GDALGetCacheMax64())
def inspect():
    with sessions.session("/vsiaz/a/b.tif", [], {}):
        begun.wait(20)
other = threading.Thread(target=inspect)
other.start()
thread = threading.Thread(target=convert)
thread.start()
other.join()
seen.append(gdal.GDALGetCacheMax64())
over.set()
thread.join()
seen.append(gdal.GDALGetCacheMax64())
print(seen)
"""

MORE = """
import ctypes
from services.gdal_session import GdalSessions
from rasterio import _base
gdal = ctypes.CDLL(_base.__file__)
gdal.GDALGetCacheMax64.restype = ctypes.c_int64
sessions, seen = GdalSessions(50_000_000), []
def look():
    seen.append(gdal.GDALGetCacheMax64() // 1_000_000)
with sessions.more_cache(20_000_000):
    look()
    with sessions.in_memory():
        look()
        with sessions.more_cache(5_000_000):
            look()
    look()
look()
with GdalSessions().more_cache(1):
    look()
print(seen)
"""


def test_it_is_larger_while_somebody_needs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MORE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[70, 70, 75, 70, 50, 50]", done.stderr


def test_the_size_of_the_cache_holds_in_every_thread_while_sessions_begin_and_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[50000000, 50000000, 50000000]", done.stderr
