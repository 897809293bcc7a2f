"""In which encoding text is, whatever a file says of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest

from interfaces.errors import PermanentTaskError
from services.vector import columns, encodings


def nothing() -> None:
    """Is called in between."""


def dbf(
    tmp_path: Path,
    *values: bytes,
    cpg: str | None = None,
    language: int = 0,
    width: int = 10,
    kind: bytes = b"C",
) -> Path:
    """A dBASE file with one field, and its .cpg."""
    record = (width + 1).to_bytes(2, "little")
    head = bytes([3, 1, 1, 1]) + len(values).to_bytes(4, "little") + (65).to_bytes(2, "little") + record
    head += bytes(17) + bytes([language]) + bytes(2)
    field = b"NAME".ljust(11, b"\0") + kind + bytes(4) + bytes([width]) + bytes(15)
    path = tmp_path / "data.dbf"
    path.write_bytes(head + field + b"\r" + b"".join(b" " + value.ljust(width) for value in values) + b"\x1a")
    if cpg is not None:
        path.with_suffix(".cpg").write_text(cpg)
    return path


UTF8 = "México".encode()
LATIN1 = "México".encode("latin1")


@pytest.mark.parametrize(
    ("values", "encoding", "cut"),
    [
        ([UTF8, b"plain"], "utf-8", False),
        (["0123456é89".encode()[:10], "012345678é".encode()[:10]], "utf-8", True),
        ([UTF8, LATIN1], "other", False),
        ([b"plain"], "ascii", False),
    ],
)
def test_utf8_is_told_by_all_texts_of_a_dbf(
    tmp_path: Path, values: list[bytes], encoding: str, cut: bool
) -> None:
    found = encodings.dbf_text(dbf(tmp_path, *values), nothing)
    assert (found.encoding, found.cut) == (encoding, cut)


@pytest.mark.parametrize(
    ("text", "cpg", "asked", "encoding", "note"),
    [
        (UTF8, None, None, "utf-8", "names no encoding: its text is UTF-8"),
        (UTF8, "UTF-8", None, "utf-8", None),
        (UTF8, "65001", None, "utf-8", None),
        # It lies: as it says, the text would be MÃ©xico.
        (UTF8, "ISO-8859-1", None, "utf-8", "its .cpg says 'ISO-8859-1': its text is UTF-8"),
        (UTF8, "no such thing", None, "utf-8", "its .cpg says 'no such thing': its text is UTF-8"),
        (LATIN1, "ANSI 1252", None, "cp1252", None),
        (LATIN1, "88591", None, "iso8859-1", None),
        (LATIN1, None, "iso8859-1", "iso8859-1", None),
        (b"plain", "no such thing", None, None, None),
    ],
)
def test_a_shapefile_is_read_in_the_encoding_that_its_text_is_in(
    tmp_path: Path, text: bytes, cpg: str | None, asked: str | None, encoding: str | None, note: str | None
) -> None:
    found, notes = encodings.of_shapefile(dbf(tmp_path, text, cpg=cpg), asked, nothing)
    assert (found, notes) == (encoding, [] if note is None else [note])


@pytest.mark.parametrize(
    ("cpg", "asked", "reason"),
    [
        ("UTF-8", None, "the .cpg says UTF-8, and the text of the .dbf is not"),
        ("ISO-8859-1", "utf-8", "the parameter says UTF-8, and the text of the .dbf is not"),
        ("zlib", None, "the .cpg says 'zlib', which is not known"),
        (None, None, "the .dbf names none, and its text is not UTF-8"),
    ],
)
def test_text_that_nobody_can_tell_the_encoding_of_is_refused(
    tmp_path: Path, cpg: str | None, asked: str | None, reason: str
) -> None:
    with pytest.raises(PermanentTaskError, match=f"^encoding: {reason}: name the file's encoding$"):
        encodings.of_shapefile(dbf(tmp_path, LATIN1, cpg=cpg), asked, nothing)


def test_what_the_width_of_a_field_may_have_cost_is_noted(tmp_path: Path) -> None:
    full = dbf(tmp_path, b"x" * 254, width=254)
    assert encodings.of_shapefile(full, None, nothing)[1] == [
        "column 'NAME' has texts as long as a .dbf can hold: they may be cut"
    ]
    long = dbf(tmp_path, b"12345678901234567890", width=20, kind=b"N")
    assert encodings.of_shapefile(long, None, nothing)[1] == [
        "numbers of column 'NAME' may have more digits than 15, and lose those"
    ]


def test_text_that_is_cut_in_the_midst_of_a_character_is_read_to_there() -> None:
    cut = pyarrow.array([b"ab\xc3", None, "é".encode()]).view(pyarrow.string())
    assert columns.arrow(cut, "text", "text").to_pylist() == ["ab", None, "é"]
    bad = pyarrow.array([b"\xe9b"]).view(pyarrow.string())
    with pytest.raises(PermanentTaskError, match=r"invalid continuation byte \(byte 0xe9\)"):
        columns.arrow(bad, "text", "text")


@pytest.mark.parametrize(
    ("written", "asked", "foreign"),
    [
        ("utf-8", None, None),
        ("utf-8-sig", None, None),
        ("utf-8", "utf-8", None),
        ("utf-16", None, "utf-16"),
        ("utf-32", None, "utf-32"),
        ("latin1", "latin1", "latin1"),
        ("utf-16-le", "utf-16-le", "utf-16-le"),
    ],
)
def test_a_table_of_text_is_brought_into_utf8(
    tmp_path: Path, written: str, asked: str | None, foreign: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks end in the midst of characters.
    monkeypatch.setattr(encodings, "BLOCK", 3)
    path = tmp_path / "a.csv"
    path.write_bytes("name\nMéxico\n".encode(written))
    assert encodings.foreign(path, asked, nothing) == foreign
    if foreign is not None:
        encodings.to_utf8(path, tmp_path / "b.csv", foreign, nothing)
        assert (tmp_path / "b.csv").read_text("utf-8") == "name\nMéxico\n"


def test_a_table_of_text_with_nul_characters_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("name\nb\n".encode("utf-16-le"))
    with pytest.raises(PermanentTaskError, match="the text has NUL characters: name the file's encoding"):
        encodings.foreign(path, None, nothing)


def test_a_table_of_text_that_is_not_in_its_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"name\n" + LATIN1)
    with pytest.raises(PermanentTaskError, match=r"the text is not UTF-8 \(byte 0xe9 near 6\): name"):
        encodings.foreign(path, None, nothing)
    with pytest.raises(PermanentTaskError, match=r"the text is not ascii \(byte 0xe9 near 6\): name"):
        encodings.to_utf8(path, tmp_path / "b.csv", "ascii", nothing)


def test_a_name_in_a_large_dbf_is_found_in_any_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "RECORDS", 3)
    table = dbf(tmp_path, *[b"plain"] * 7, LATIN1, b"plain")
    assert encodings.dbf_text(table, nothing).encoding == "other"
