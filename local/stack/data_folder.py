"""Which files of a person's folder can become blobs, and why the others cannot."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Beyond these, XML 1.0 has no way to write a character (section 2.2), and it makes "\r" a "\n": a storage
# emulator cannot list a container any more that holds such a name.
_NOT_LISTABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Skipped:
    """A file that is not uploaded: its path relative to the folder, fit to be printed, and why."""

    name: str
    reason: str


@dataclass
class FolderContent:
    """The regular files below a folder, in the order of their names, and what else is there."""

    files: list[Path] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def content_of(folder: Path) -> FolderContent:
    """Look at all that is below the folder, hidden files too, without opening any.

    Folders that are links are not entered: they could lead round in circles.
    """
    content = FolderContent()
    inside = folder.resolve()
    for path in _below(folder, content):
        reason = _why_not(path, path.relative_to(folder), inside)
        if reason is None:
            content.files.append(path)
        else:
            content.skipped.append(Skipped(printable(path, folder), reason))
    return content


def printable(path: Path, folder: Path) -> str:
    """The path relative to the folder, with escapes for what is no text and would steer a terminal."""
    text = os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _below(folder: Path, content: FolderContent) -> Iterator[Path]:
    def cannot_list(error: OSError) -> None:
        reason = f"a folder that cannot be listed: {error.strerror}"
        content.skipped.append(Skipped(printable(Path(error.filename), folder), reason))

    for parent, folders, files in os.walk(folder, onerror=cannot_list):
        folders.sort()
        yield from (Path(parent, name) for name in folders if Path(parent, name).is_symlink())
        yield from (Path(parent, name) for name in sorted(files))


def _why_not(path: Path, name: Path, inside: Path) -> str | None:
    """Why the file is not uploaded; None if it is."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if _NOT_LISTABLE.search(str(name)):
        return "its name holds a control character"
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except OSError as error:
        return f"a broken link: {error.strerror}" if path.is_symlink() else str(error.strerror)
    except RuntimeError:
        return "a link that leads to itself"
    if not target.is_relative_to(inside):
        return "a link that leads out of the folder"
    if stat.S_ISDIR(mode):
        return "a link to a folder"
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a regular file")
