"""Which storage errors no retry can mend, said to the engine in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from interfaces.blobs import BlobRepository
from interfaces.errors import AccessDenied, ContainerNotFound, InvalidRequest, PermanentTaskError


@contextmanager
def container_must_answer() -> Iterator[None]:
    """Turn a missing container and a refused permission into `PermanentTaskError`, keeping the message."""
    try:
        yield
    except (ContainerNotFound, AccessDenied, InvalidRequest) as error:
        raise PermanentTaskError(error.detail) from error


def target_must_exist(blobs: BlobRepository, target_container: str) -> None:
    """Find a target container that is missing before there is anything to write to it.

    Raises `PermanentTaskError`, which names the parameter. A container that may be written but not listed
    is none of it.
    """
    try:
        with suppress(AccessDenied):
            next(iter(blobs.list_pages(target_container, page_size=1)), None)
    except ContainerNotFound as error:
        raise PermanentTaskError(f"target_container: {error.detail}") from error
