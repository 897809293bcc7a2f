"""Finds what an HDF5 file (netCDF 4 is one) would have its library read from other files of the machine.

Three things do, and GDAL follows all of them without asking: a dataset whose values are in external files, a
virtual dataset, which is put together from datasets of other files, and a link to an object in another file
(HDF5 User Guide, "Storage Properties", "Virtual Dataset", "External Links").

The file is walked here with the library itself, which reads nothing of another file as long as links are
only looked at and no values are read. It must be the very bytes that GDAL is given afterwards.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from .raster_metadata import Refused

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS = 20_000
"""Groups, datasets and types of a file that are looked at: within a second."""

NOT_FOLLOWED = "references to other files are not followed"


class DamagedHdf5(Exception):
    """The library cannot find its way through the file; the text says what it says."""


def refuse_references(file: Path | bytes) -> None:
    """Raise `Refused` where the file refers to another, `DamagedHdf5` where that cannot be found out."""
    import h5py

    source = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        # Nobody else has the file: locks, which not all file systems know, are of no use.
        with h5py.File(source, "r", locking=False) as opened:
            _Walk().through(opened)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise DamagedHdf5(str(error).strip("'\"")[:300]) from error


class _Walk:
    """From the root through all hard links: soft ones lead to what is found by these, or nowhere."""

    def __init__(self) -> None:
        self._found: dict[int, Any] = {}
        """Objects by their address in the file."""
        self._pending: list[tuple[str, Any]] = []

    def through(self, opened: Any) -> None:
        import h5py

        self._add("", h5py.h5g.open(opened.id, b"/"))
        while self._pending:
            name, found = self._pending.pop()
            if isinstance(found, h5py.h5g.GroupID):
                self._links(name, found)
            elif isinstance(found, h5py.h5d.DatasetID):
                _refuse_storage(name, found.get_create_plist())
        for found in self._found.values():
            for attribute in _attributes(found):
                self._refuse_unnamed(attribute, opened)

    def _add(self, name: str, found: Any) -> None:
        import h5py

        address = h5py.h5o.get_info(found).addr
        if address in self._found:
            if isinstance(found, h5py.h5g.GroupID):
                # The netCDF library goes round in circles until the process dies of it.
                raise Refused(f"{name[:100]} is a group that has another name, too")
            return
        if len(self._found) >= MAX_OBJECTS:
            raise Refused(f"has more than {MAX_OBJECTS} objects in it")
        self._found[address] = found
        self._pending.append((name, found))

    def _links(self, path: str, group: Any) -> None:
        import h5py

        names: list[bytes] = []
        group.links.iterate(names.append)
        for name in names:
            full = f"{path}/{name.decode('utf-8', 'replace')}"
            kind = group.links.get_info(name).type
            if kind == h5py.h5l.TYPE_HARD:
                self._add(full, h5py.h5o.open(group, name))
            elif kind != h5py.h5l.TYPE_SOFT:
                raise Refused(f"{full[:100]} leads to another file: {NOT_FOLLOWED}")

    def _refuse_unnamed(self, attribute: Any, opened: Any) -> None:
        """References lead from a variable to its dimensions, and might lead to what has no link."""
        import h5py

        for reference in _references(attribute):
            if not reference:
                continue
            target = h5py.h5r.dereference(reference, opened.id)
            if target is None or h5py.h5o.get_info(target).addr not in self._found:
                raise Refused("refers to an object in it that no name leads to")


def _refuse_storage(name: str, properties: Any) -> None:
    import h5py

    if properties.get_external_count():
        raise Refused(f"{name[:100]} keeps its values in another file: {NOT_FOLLOWED}")
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        raise Refused(f"{name[:100]} is made of datasets of other files: {NOT_FOLLOWED}")


def _attributes(found: Any) -> list[Any]:
    """Those that hold references."""
    import h5py

    count = h5py.h5a.get_num_attrs(found)
    attributes = (h5py.h5a.open(found, index=index) for index in range(count))
    return [one for one in attributes if one.get_type().detect_class(h5py.h5t.REFERENCE)]


def _references(attribute: Any) -> list[Any]:
    """All object and region references in it, at any depth of lists and records."""
    import h5py
    import numpy

    values = numpy.empty(attribute.shape, dtype=attribute.dtype)
    attribute.read(values)
    found: list[Any] = []
    pending: list[Any] = [values]
    while pending:
        value = pending.pop()
        if isinstance(value, h5py.h5r.Reference):
            found.append(value)
        elif isinstance(value, numpy.ndarray):
            pending += [value[name] for name in value.dtype.names] if value.dtype.names else value.flat
    return found
