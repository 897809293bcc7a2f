"""Vector files that would have a library read files of the machine, or ask a server."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pyogrio
import shapely

from tests.hostile_rasters import zipped

POINT = {"type": "Feature", "properties": {"a": 1}, "geometry": {"type": "Point", "coordinates": [1, 2]}}


def virtual(source: str) -> bytes:
    return (
        f'<OGRVRTDataSource><OGRVRTLayer name="{Path(source).stem}"><SrcDataSource>{source}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    ).encode()


def geojson(crs: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "crs": crs, "features": [POINT]}).encode()


def files(canary: Path, text: Path, url: str, folder: Path) -> dict[str, bytes]:
    """Names and contents. `canary` is a GeoJSON of the machine's, `text` a text file, `url` a listener's."""
    remote = f"/vsicurl/{url}/x.geojson"
    found = {
        f"virtual/{kind}.{extension}": virtual(str(source))
        for kind, source in (("local", canary), ("remote", remote))
        for extension in ("vrt", "geojson", "gml", "kml", "csv", "shp", "gpx", "gpkg", "fgb", "xlsx")
    }
    found |= {
        "crs/link.geojson": geojson({"type": "link", "properties": {"href": f"{url}/crs", "type": "proj4"}}),
        "crs/url.geojson": geojson({"type": "URL", "properties": {"url": f"{url}/crs"}}),
        "crs/name.geojson": geojson({"type": "name", "properties": {"name": f"{url}/crs"}}),
        "crs/init.geojson": geojson({"type": "name", "properties": {"name": f"+init={text}:key"}}),
        "crs/init-link.geojson": geojson({"type": "link", "properties": {"href": f"+init={text}:key"}}),
        "crs/file.geojson": geojson({"type": "link", "properties": {"href": f"file://{text}"}}),
        "crs/link.topojson": json.dumps(
            {
                "type": "Topology",
                "crs": {"type": "link", "properties": {"href": f"{url}/crs"}},
                "objects": {"a": {"type": "Point", "coordinates": [1, 2]}},
                "arcs": [],
            }
        ).encode(),
        "service/wfs.gml": f"<OGRWFSDataSource><URL>{url}/wfs</URL></OGRWFSDataSource>".encode(),
        "service/pipeline.geojson": json.dumps(
            {"type": "gdal_streamed_alg", "command_line": f"gdal vector pipeline ! read {canary}"}
        ).encode(),
        "service/view.tab": (
            f'!table\n!version 100\n\nOpen Table "{canary}" Hide\nCreate View x As\nSelect * From canary\n'
        ).encode(),
    }
    found |= xml(text, url) | archives(canary, remote) | databases(canary, folder)
    found["database/init.gpkg"] = defined_in(text, found["database/view.gpkg"], folder)
    return found | shapes(url, text, folder)


def xml(text: Path, url: str) -> dict[str, bytes]:
    """KML, GML, GPX and their schemas."""
    entity = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{text}">]>'
    doctype = f'<!DOCTYPE a SYSTEM "{url}/a.dtd">'
    kml = (
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{}<Placemark>{}<Point><coordinates>1,2'
        "</coordinates></Point></Placemark></Document></kml>"
    )
    gml = (
        '<ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="http://ogr.maptools.org/ {url}/schema.xsd"><gml:featureMember>'
        '<ogr:p gml:id="a">'
        f'<ogr:geometryProperty><gml:Point srsName="{url}/srs"><gml:pos>1 2</gml:pos></gml:Point>'
        "</ogr:geometryProperty><ogr:a>1</ogr:a></ogr:p></gml:featureMember><gml:featureMember>"
        f'<ogr:p gml:id="b"><ogr:geometryProperty xlink:href="{url}/xlink#a"/></ogr:p></gml:featureMember>'
        "</ogr:FeatureCollection>"
    )
    schema = (
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:import namespace="a" '
        f'schemaLocation="{url}/import.xsd"/><xs:include schemaLocation="file://{text}"/></xs:schema>'
    )
    link = f"<NetworkLink><Link><href>{url}/link.kml</href></Link></NetworkLink>"
    style = f"<styleUrl>{url}/style.kml#a</styleUrl>"
    icon = f"<Style><IconStyle><Icon><href>{url}/icon.png</href></Icon></IconStyle></Style>"
    return {
        "xml/link.kml": kml.format(link, "").encode(),
        "xml/style.kml": kml.format(icon, style).encode(),
        "xml/entity.kml": (entity + kml.format("", "<name>&x;</name>")).encode(),
        "xml/doctype.kml": (doctype + kml.format("", "")).encode(),
        "xml/utf-16.kml": (entity + kml.format("", "<name>&x;</name>")).encode("utf-16"),
        "xml/links.gml": gml.encode(),
        "xml/entity.gml": (entity + gml.replace("<ogr:a>1", "<ogr:a>&x;")).encode(),
        "xml/schema.gml": gml.encode(),
        "xml/init.gml": gml.replace(f"{url}/srs", f"+init={text}:key").encode(),
        "xml/schema.xsd": schema.encode(),
        "xml/entity.gpx": (
            entity + '<gpx version="1.1" creator="a"><wpt lat="1" lon="2"><name>&x;</name></wpt></gpx>'
        ).encode(),
        "xml/sheet.xlsx": zipped(
            {
                "[Content_Types].xml": b"<Types/>",
                "xl/workbook.xml": (
                    f"{entity}<workbook><sheets><sheet name='&x;'/></sheets></workbook>"
                ).encode(),
            }
        ),
        "xml/sheet.ods": zipped({"content.xml": f"{entity}<office>&x;</office>".encode()}),
    }


def archives(canary: Path, remote: str) -> dict[str, bytes]:
    """Zip files whose members lead out, refer elsewhere, or are archives again."""
    link = zipfile.ZipInfo("link.geojson")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as archive:
        archive.writestr(link, str(canary))
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        member = tarfile.TarInfo("link.geojson")
        member.type, member.linkname = tarfile.SYMTYPE, str(canary)
        tar.addfile(member)
    inner = zipped({"a.vrt": virtual(remote), "a.geojson": virtual(str(canary))})
    return {
        "archive/slip.zip": zipped({"../../../canary.geojson": geojson(None)}),
        "archive/absolute.zip": zipped({str(canary): geojson(None)}),
        "archive/link.zip": linked.getvalue(),
        "archive/virtual.zip": inner,
        "archive/nested.zip": zipped({"inner.zip": inner}),
        "archive/tar.zip": tarred.getvalue(),
        "archive/virtual.kmz": zipped({"doc.kml": virtual(remote)}),
        "archive/7z.zip": b"7z\xbc\xaf\x27\x1c" + bytes(64),
    }


def databases(canary: Path, folder: Path) -> dict[str, bytes]:
    """GeoPackages that SQLite or GDAL would read something else for."""
    made: dict[str, bytes] = {}
    statements = {
        "virtual": f"CREATE VIRTUAL TABLE x USING VirtualOGR('{canary}')",
        "shape": f"CREATE VIRTUAL TABLE x USING VirtualShape('{canary}', UTF-8, 4326)",
        "view": f"CREATE VIEW x AS SELECT ogr_datasource_load_layers('{canary}')",
        "extension": f"CREATE VIEW x AS SELECT load_extension('{canary}')",
        "trigger": f"CREATE TRIGGER x AFTER INSERT ON p BEGIN SELECT load_extension('{canary}'); END",
    }
    for name, statement in statements.items():
        path = folder / f"{name}.gpkg"
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb([shapely.Point(1, 2)]),
            field_data=[],
            fields=[],
            geometry_type="Point",
            layer="p",
            driver="GPKG",
            crs="EPSG:4326",
        )
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA writable_schema = on")
            kind = statement.split()[1].lower().replace("virtual", "table")
            about = "p" if kind == "trigger" else "x"
            database.execute("INSERT INTO sqlite_master VALUES (?, 'x', ?, 0, ?)", (kind, about, statement))
            database.execute("INSERT INTO gpkg_contents (table_name, data_type) VALUES ('x', 'attributes')")
            database.commit()
        made[f"database/{name}.gpkg"] = path.read_bytes()
    return made


def defined_in(text: Path, package: bytes, folder: Path) -> bytes:
    """A GeoPackage whose CRS is defined in a file; the definition is too long to lie in one piece."""
    path = folder / "init.gpkg"
    path.write_bytes(package)
    definition = f"{' ' * 4070}+init={text}:key"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA writable_schema = on")
        database.execute("DELETE FROM sqlite_master WHERE name = 'x'")
        database.execute("DELETE FROM gpkg_contents WHERE table_name = 'x'")
        database.execute("UPDATE gpkg_spatial_ref_sys SET definition = ? WHERE srs_id = 4326", (definition,))
        database.commit()
    return path.read_bytes()


def shapes(url: str, text: Path, folder: Path) -> dict[str, bytes]:
    """A shapefile and a table whose sidecars name other files."""
    path = folder / "s.shp"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb([shapely.Point(1, 2)]),
        field_data=[],
        fields=[],
        geometry_type="Point",
        driver="ESRI Shapefile",
        crs="EPSG:4326",
    )
    made = {f"shape/{p.name}": p.read_bytes() for p in folder.glob("s.*")}
    grid = (
        f'GEOGCS["a",DATUM["a",SPHEROID["a",6378137,298.25]],PRIMEM["Greenwich",0],UNIT["degree",0.01745],'
        f'EXTENSION["PROJ4","+proj=longlat +ellps=bessel +nadgrids={text} +no_defs"]]'
    )
    return made | {
        "shape/u.shp": made["shape/s.shp"],
        "shape/u.dbf": made["shape/s.dbf"],
        "shape/u.shx": made["shape/s.shx"],
        "shape/u.prj": f"+init={text}:key".encode(),
        "table/b.csv": b"a,x,y\n1,1,2\n",
        "table/b.prj": f"+init={text}:key".encode(),
        "shape/s.cpg": f"../../..{text}".encode(),
        "shape/s.prj": f"{url}/prj".encode(),
        "shape/t.shp": made["shape/s.shp"],
        "shape/t.dbf": made["shape/s.dbf"],
        "shape/t.shx": made["shape/s.shx"],
        "shape/t.prj": grid.encode(),
        "table/a.csv": b"a,x,y\n1,1,2\n",
        "table/a.csvt": f"Integer,CoordX,CoordY\n{text}".encode(),
        "table/a.prj": f"{url}/prj".encode(),
        "table/wkt.csv": f'a,wkt\n1,"<gml:Point srsName=""{url}/srs""/>"\n'.encode(),
    }
