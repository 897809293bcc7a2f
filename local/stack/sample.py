"""A few small files in the input container of the first start, until a person brings their own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient

from .progress import Progress
from .sample_files import NAMES, write_sample
from .storage import INPUT_CONTAINER, upload_folder

_MARK = {"origin": "sample"}


def load_sample(connection_string: str, progress: Progress) -> None:
    """Put the sample files into the input container, marked by their metadata."""
    with tempfile.TemporaryDirectory(prefix="sample-") as name:
        write_sample(Path(name))
        upload_folder(connection_string, Path(name), INPUT_CONTAINER, progress, _MARK)


def remove_sample(connection_string: str) -> None:
    """Take the sample files out again, but not a person's own files of the same names."""
    with ContainerClient.from_connection_string(connection_string, INPUT_CONTAINER) as container:
        for name in NAMES:
            try:
                found = container.get_blob_client(name).get_blob_properties()
            except ResourceNotFoundError:
                continue
            if found.metadata == _MARK:
                container.delete_blob(name, etag=found.etag, match_condition=MatchConditions.IfNotModified)
