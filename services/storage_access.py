"""Which storage errors no retry can mend, said to the engine in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from interfaces.errors import AccessDenied, ContainerNotFound, InvalidRequest, PermanentTaskError


@contextmanager
def container_must_answer() -> Iterator[None]:
    """Turn a missing container and a refused permission into `PermanentTaskError`, keeping the message."""
    try:
        yield
    except (ContainerNotFound, AccessDenied, InvalidRequest) as error:
        raise PermanentTaskError(error.detail) from error
