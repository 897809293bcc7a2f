"""Unpacks zip files that nobody vouches for, into a folder of scratch space, under names of ours."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from interfaces.errors import PermanentTaskError, TaskError
from services.budget import size_text

MAX_MEMBERS = 10_000
MAX_RATIO = 200
"""Bytes that a byte may become: text compresses to a tenth, grids of zeros to a hundredth."""
FREE_BYTES = 1024**2
"""Below that a ratio is nobody's danger."""
BLOCK = 1024**2
Member = zipfile.ZipInfo
WRONG_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError)


def opened(file: BinaryIO) -> zipfile.ZipFile:
    """The archive, none of whose members is read yet. Raises `PermanentTaskError` when it is none."""
    try:
        return zipfile.ZipFile(file)
    except WRONG_ZIP as error:
        raise PermanentTaskError(f"is not a zip file that can be read: {error}"[:300]) from error


def checked(archive: zipfile.ZipFile, packed: int) -> list[zipfile.ZipInfo]:
    """The files of an archive of `packed` bytes, once nothing speaks against unpacking them.

    Raises `PermanentTaskError` naming the member for paths that lead out of the folder, symbolic links,
    encryption, and for what is a bomb by its own account.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise PermanentTaskError(f"the zip file has {len(members)} members, more than {MAX_MEMBERS}")
    for member in members:
        reason = _refused(member)
        if reason is not None:
            raise PermanentTaskError(f"the zip file is refused: member {member.filename[:200]!r} {reason}")
    names = Counter(member.filename for member in members)
    if members and names.most_common(1)[0][1] > 1:
        raise PermanentTaskError(
            f"the zip file is refused: it has several members {names.most_common(1)[0][0][:200]!r}"
        )
    total = sum(member.file_size for member in members)
    if total > FREE_BYTES and total > MAX_RATIO * packed:
        raise PermanentTaskError(
            f"the zip file is refused: it would become {size_text(total)}, {total // max(packed, 1)} times "
            f"its size; at most {MAX_RATIO} times are allowed"
        )
    return [member for member in members if not member.is_dir()]


def head(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> bytes:
    """The first bytes of a member. Raises `PermanentTaskError` for what cannot be unpacked."""
    try:
        with archive.open(member) as packed:
            return packed.read(size)
    except (*WRONG_ZIP, RuntimeError) as error:
        raise PermanentTaskError(
            f"member {member.filename[:200]!r} cannot be unpacked: {error}"[:500]
        ) from error


def unpack(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, check: Callable[[], None]
) -> None:
    """Write one member to a path of ours. What it says of its size is not believed.

    Raises `PermanentTaskError` for what is wrong with the archive, and `TaskError` where the disk is full.
    """
    written = 0
    try:
        with archive.open(member) as packed, target.open("xb") as file:
            while block := packed.read(BLOCK):
                check()
                written += len(block)
                if written > member.file_size:
                    raise PermanentTaskError(
                        f"the zip file is refused: member {member.filename[:200]!r} is larger than it says"
                    )
                file.write(block)
    except (*WRONG_ZIP, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            # Of the system: decompressors raise it without a number.
            raise TaskError(f"temporary files cannot be written: {error.strerror}") from error
        raise PermanentTaskError(
            f"member {member.filename[:200]!r} cannot be unpacked: {error}"[:500]
        ) from error


def _refused(member: zipfile.ZipInfo) -> str | None:
    name = member.filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in PurePosixPath(name).parts:
        return "leads out of its folder (zip slip)"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 0x1:
        return "is encrypted"
    return None
