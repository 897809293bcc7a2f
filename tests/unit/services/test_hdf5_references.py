"""What an HDF5 file may not do: have the library read another file of the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy
import pytest

from services.hdf5_references import DamagedHdf5, refuse_references
from services.raster_metadata import Refused

from .rasters import inspect, readable, unreadable

SECRET = bytes(range(256))
Make = Callable[[h5py.File, Path], None]


def external(file: h5py.File, secret: Path) -> None:
    file.create_dataset("band", shape=(16, 16), dtype="u1", external=[(str(secret), 0, 256)])


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout(shape=(16, 16), dtype="u1")
    layout[:] = h5py.VirtualSource(secret, "band", shape=(16, 16))
    file.create_virtual_dataset("band", layout)


def link(file: h5py.File, secret: Path) -> None:
    file["band"] = h5py.ExternalLink(secret, "band")


def deep(file: h5py.File, secret: Path) -> None:
    external(file.create_group("a/b/c"), secret)
    file["band"] = h5py.SoftLink("/a/b/c/band")


@pytest.mark.parametrize("suffix", ["h5", "nc", "hdf5", "dat"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (external, "keeps its values in another file"),
        (virtual, "made of datasets of other files"),
        (link, "leads to another file"),
        (deep, "keeps its values in another file"),
    ],
)
def test_references_to_other_files_are_refused(tmp_path: Path, make: Make, reason: str, suffix: str) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(SECRET)
    path = tmp_path / f"a.{suffix}"
    with h5py.File(path, "w") as file:
        make(file, secret)

    report = unreadable(inspect(path, statistics=True))

    assert report.status == "refused"
    assert reason in report.reason
    assert str(tmp_path) not in report.reason


@pytest.mark.parametrize("suffix", ["tif", "jp2", "img"])
def test_hdf5_under_another_formats_name_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with h5py.File(path, "w") as file:
        file["band"] = numpy.zeros((16, 16), "u1")

    report = unreadable(inspect(path))

    assert (report.status, report.reason) == ("refused", "holds HDF5, which its name does not say")


def test_what_is_no_netcdf_is_not_given_to_its_library(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    path.write_bytes(b"netcdf a {\ndimensions:\nvariables:\n}\n")

    assert unreadable(inspect(path)).reason == "not a raster: text"


def test_a_dataset_behind_a_user_block_is_not_overlooked(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(SECRET)
    path = tmp_path / "a.nc"
    with h5py.File(path, "w", userblock_size=512) as file:
        external(file, secret)

    assert not inspect(path).readable


def test_a_damaged_file_is_called_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["band"] = numpy.zeros((160, 160), "u1")
    path.write_bytes(path.read_bytes()[:9000])

    assert unreadable(inspect(path)).status == "broken"


def test_dimensions_and_links_within_the_file_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    with h5py.File(path, "w") as file:
        band = file.create_dataset("band", data=numpy.arange(256, dtype="u1").reshape(16, 16))
        for number, name in enumerate("yx"):
            file[name] = numpy.arange(16.0)
            file[name].make_scale(name)
            band.dims[number].attach_scale(file[name])
        file["again"] = h5py.SoftLink("/band")

    assert readable(inspect(path)).driver == "netCDF"


def test_a_reference_to_what_no_name_leads_to_is_refused(tmp_path: Path) -> None:
    """Its own links are not all that leads to an object: the libraries follow references to dimensions."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["hidden"] = numpy.zeros(4)
        file["band"] = numpy.zeros((4, 4))
        file["band"].attrs["kept"] = file["hidden"].ref
        file["kept"] = h5py.SoftLink("/nowhere")
    content = path.read_bytes()
    with h5py.File(path, "r+") as file:
        del file["hidden"]

    refuse_references(content)
    with pytest.raises((Refused, DamagedHdf5)):
        refuse_references(path)


@pytest.mark.parametrize("suffix", ["h5", "nc"])
def test_groups_in_a_circle_do_not_kill_the_process(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with h5py.File(path, "w") as file:
        file["band"] = numpy.zeros((16, 16), "u1")
        group = file.create_group("round")
        group["again"] = group

    report = unreadable(inspect(path))

    assert (report.status, report.reason) == ("refused", "/round/again is a group that has another name, too")
