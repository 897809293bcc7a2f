"""Zip files of strangers: what is refused before a byte is unpacked."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from interfaces.errors import PermanentTaskError, TaskError
from services.vector import archives


def packed(*members: tuple[str | zipfile.ZipInfo, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    file.seek(0)
    return file


def refusal(file: io.BytesIO) -> str:
    with pytest.raises(PermanentTaskError) as caught:
        archives.checked(archives.opened(file), len(file.getvalue()))
    return caught.value.detail


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.shp", "leads out of its folder"),
        ("a/../../b.shp", "leads out of its folder"),
        ("..\\a.shp", "leads out of its folder"),
        ("/etc/a.shp", "has an absolute path"),
        ("C:\\a.shp", "has an absolute path"),
    ],
)
def test_members_outside_of_the_folder_are_refused(name: str, reason: str) -> None:
    assert reason in refusal(packed((name, b"x")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused() -> None:
    assert "it has several members 'a.csv'" in refusal(
        packed(("a.csv", b"1"), ("b.csv", b"1"), ("a.csv", b"2"))
    )


def test_a_symbolic_link_is_refused() -> None:
    link = zipfile.ZipInfo("a.shp")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "is a symbolic link" in refusal(packed((link, b"/etc/passwd")))


def test_a_bomb_is_refused_by_its_own_account() -> None:
    assert "would become 20.0 MiB" in refusal(packed(("a.shp", bytes(20 * 1024**2))))


def test_a_bomb_that_lies_about_its_size_is_cut_off(tmp_path: Path) -> None:
    file = packed(("a.shp", bytes(3 * 1024**2)))
    archive = archives.opened(file)
    [member] = archive.infolist()
    member.file_size = 10
    with pytest.raises(PermanentTaskError, match=r"is larger than it says|cannot be unpacked"):
        archives.unpack(archive, member, tmp_path / "a", lambda: None)
    assert (tmp_path / "a").stat().st_size <= 10


def test_what_is_no_zip_file_is_refused() -> None:
    with pytest.raises(PermanentTaskError, match="is not a zip file"):
        archives.opened(io.BytesIO(b"PK nothing"))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    content = bytearray(packed(("a.shp", bytes(range(256)) * 100)).getvalue())
    content[60:70] = bytes(10)
    archive = archives.opened(io.BytesIO(bytes(content)))
    with pytest.raises(PermanentTaskError, match=r"member 'a\.shp' cannot be unpacked"):
        archives.unpack(archive, archive.infolist()[0], tmp_path / "a", lambda: None)


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("a.shp", b"x" * 100_000)
    archive = archives.opened(content)
    # Everything that is written there finds no space.
    full = Path("/dev/full")

    class Full(type(full)):  # type: ignore[misc]
        def open(self, *_: object, **__: object) -> object:
            return full.open("wb", buffering=0)

    with pytest.raises(TaskError, match="No space left") as raised:
        archives.unpack(archive, archive.infolist()[0], Full("/dev/full"), lambda: None)
    assert not isinstance(raised.value, PermanentTaskError)
