"""Which PostgreSQL is used, and what keeps its packages from touching the system."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.stack import packages


def pretend(prefix: Path, version: int, *, postgis: bool = True) -> Path:
    """Files as the packages of one version have them; the folder of its programs."""
    programs = prefix / f"usr/lib/postgresql/{version}/bin"
    extension = prefix / f"usr/share/postgresql/{version}/extension"
    for folder in (programs, extension):
        folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (programs / name).touch()
    if postgis:
        (extension / "postgis-3.control").touch()
        (extension / "postgis.control").touch()
    return programs


def test_the_newest_version_that_has_postgis_is_used(tmp_path: Path) -> None:
    pretend(tmp_path, 9)
    wanted = pretend(tmp_path, 15)
    pretend(tmp_path, 17, postgis=False)
    found = packages._find(tmp_path)
    assert found
    assert found.bin == wanted


def test_a_client_alone_is_not_a_server(tmp_path: Path) -> None:
    (pretend(tmp_path, 15) / "postgres").unlink()
    assert packages._find(tmp_path) is None


def test_packages_that_were_unpacked_only_in_part_are_not_used(tmp_path: Path) -> None:
    pretend(tmp_path, 15)
    assert packages._find_unpacked(tmp_path) is None
    (tmp_path / "complete").touch()
    assert packages._find_unpacked(tmp_path) is not None


def test_unpacked_programs_are_told_where_their_libraries_are(tmp_path: Path) -> None:
    pretend(tmp_path, 15)
    (tmp_path / "complete").touch()
    for name in ("x86_64-linux-gnu/libproj.so.25", "x86_64-linux-gnu/blas/libblas.so.3"):
        (tmp_path / "usr/lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "usr/lib" / name).touch()
    found = packages._find_unpacked(tmp_path)
    assert found
    folders = [tmp_path / "usr/lib/x86_64-linux-gnu", tmp_path / "usr/lib/x86_64-linux-gnu/blas"]
    assert found.env["LD_LIBRARY_PATH"] == ":".join(map(str, folders))
    assert found.env["PROJ_DATA"] == str(tmp_path / "usr/share/proj")


def test_the_links_that_the_packages_scripts_would_make_are_made(tmp_path: Path) -> None:
    pretend(tmp_path, 15)
    control = tmp_path / "usr/share/postgresql/15/extension/postgis.control"
    control.unlink()
    packages._link_postgis(tmp_path)
    assert control.resolve().name == "postgis-3.control"


def test_no_system_cluster_is_made_and_no_trace_of_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "etc/postgresql-common/createcluster.d/ours.conf"
    file.parent.parent.parent.mkdir()
    monkeypatch.setattr(packages, "_NO_CLUSTER", file)
    with packages._without_system_cluster():
        assert file.read_text() == "create_main_cluster = false\n"
    assert list((tmp_path / "etc").iterdir()) == []


def test_a_persons_own_configuration_of_clusters_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "etc/postgresql-common/createcluster.d/ours.conf"
    file.parent.mkdir(parents=True)
    theirs = file.with_name("theirs.conf")
    theirs.touch()
    monkeypatch.setattr(packages, "_NO_CLUSTER", file)
    with packages._without_system_cluster():
        pass
    assert list(file.parent.iterdir()) == [theirs]
