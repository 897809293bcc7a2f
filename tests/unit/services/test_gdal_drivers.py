"""Formats that GDAL must not open, whoever names them."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
from rasterio.errors import RasterioIOError

from services.gdal_session import GdalSessions

from .rasters import write_raster

WMS = """<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}</ServerUrl></Service>
<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1</LowerRightX>
<LowerRightY>0</LowerRightY><SizeX>64</SizeX><SizeY>64</SizeY><TileLevel>0</TileLevel></DataWindow>
<BandsCount>1</BandsCount><BlockSizeX>64</BlockSizeX><BlockSizeY>64</BlockSizeY></GDAL_WMS>"""


def test_web_services_are_not_opened(tmp_path: Path) -> None:
    plain = write_raster(tmp_path / "a.tif")
    (tmp_path / "a.tif.msk").write_text(WMS)

    with GdalSessions().in_memory():
        with pytest.raises(RasterioIOError):
            rasterio.open(WMS)
        with rasterio.open(plain) as dataset:
            assert dataset.mask_flag_enums[0][0].name == "all_valid"
    # A new environment registers drivers anew.
    with rasterio.Env(), pytest.raises(RasterioIOError):
        rasterio.open(WMS)
