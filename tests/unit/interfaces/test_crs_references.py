"""A CRS that would have PROJ read a file is found, however it is written down."""

from __future__ import annotations

import random
import time
from unittest.mock import Mock

import pytest
from pydantic import TypeAdapter, ValidationError

from interfaces import crs_references
from interfaces.crs_references import names_a_file
from interfaces.rasters import Crs


@pytest.mark.parametrize(
    "text",
    [
        b"+init=/etc/a:key",
        b"+INIT = ../a:key",
        b"+init=requirements.txt:key",
        b"init=~/a:key",
        b"+init=C:\\a:key",
        b"+init=\\\\server\\a:key",
        b'{"name": "+\\u0069nit\\u003d\\u002fetc/a:key"}',
        b'{"name": "+\\u0049NIT=\\/etc/a\\u003Akey"}',
        b"<SRS>+i&#110;it=&#47;etc/a:key</SRS>",
        b"<SRS>+i&#x6e;it&#x3D;./a&#58;key</SRS>",
        "+init=/etc/a:key".encode("utf-16"),
        "+init=/etc/a:key".encode("utf-16-be"),
        b"+proj=longlat +nadgrids=@/etc/a",
        b'EXTENSION["PROJ4","+proj=longlat +geoidgrids=./a"]',
        b"+nadgrids=http://example.org/a",
    ],
)
def test_a_definition_that_names_a_file_is_found(text: bytes) -> None:
    assert names_a_file(b"x" * 2000 + text)


@pytest.mark.parametrize(
    "text",
    [
        b"+init=epsg:4326",
        b"+proj=merc +nadgrids=@null +wktext",
        b'{"definition": "/etc/init", "grids": ["/a"], "units=m": "./a"}',
        b'GEOGCS["WGS 84",DATUM["WGS_1984"]]',
        b"\x00\x01" * 1000,
        b"GET /page?init=true&x=/a HTTP",
        b"+init=IGNF:LAMB93 +init=esri:102100",
    ],
)
def test_what_names_none_is_left_alone(text: bytes) -> None:
    assert not names_a_file(text)


def test_a_long_text_takes_little_time() -> None:
    block = b'{"type":"Feature","properties":{"unit":"initial definition = a"},"geometry":null},\n' * 12_000
    began = time.process_time()
    assert not names_a_file(block)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text", ["+init=/etc/a:key", "+proj=longlat +ellps=bessel +nadgrids=/etc/a +type=crs"]
)
def test_no_parameter_names_such_a_crs(text: str) -> None:
    with pytest.raises(ValidationError, match="names a file, and those are not read"):
        TypeAdapter(Crs).validate_python(text)


def test_parameters_name_others() -> None:
    assert TypeAdapter(Crs).validate_python("epsg:25832") == "EPSG:25832"
    assert TypeAdapter(Crs).validate_python("+proj=utm +zone=32 +ellps=GRS80")


def test_numbers_are_not_gone_through_at_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of features are mostly that, and there are gigabytes of them."""
    thorough = Mock(search=Mock(return_value=None))
    monkeypatch.setattr(crs_references, "_NAMES_A_FILE", thorough)
    for seed in range(8):
        assert not names_a_file(random.Random(seed).randbytes(2**20))
    assert thorough.search.call_count == 0
