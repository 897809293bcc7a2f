"""Handlers reach the containers that jobs may use and their scratch space, by whatever call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interfaces.blobs import BlobRepository
from interfaces.errors import AccessDenied
from interfaces.settings import Settings
from repositories.confined_blobs import ConfinedBlobRepository
from tests.doubles.memory_blobs import MemoryBlobs

Call = Callable[[BlobRepository, str], object]
READS: dict[str, Call] = {
    "list_pages": lambda blobs, container: list(blobs.list_pages(container)),
    "list_level": lambda blobs, container: list(blobs.list_level(container)),
    "properties": lambda blobs, container: blobs.properties(container, "a"),
    "read": lambda blobs, container: blobs.read(container, "a"),
    "gdal_path": lambda blobs, container: blobs.gdal_path(container, "a"),
    "copy from": lambda blobs, container: blobs.copy(
        container, "a", "silver", "copied", content_type="x/y", metadata={}, if_unchanged=None
    ),
}
WRITES: dict[str, Call] = {
    "write": lambda blobs, container: blobs.write(container, "b", b"x"),
    "write_stream": lambda blobs, container: blobs.write_stream(container, "b", [b"x"]),
    "copy to": lambda blobs, container: blobs.copy(
        "bronze", "a", container, "copied", content_type="x/y", metadata={}, if_unchanged=None
    ),
    "delete": lambda blobs, container: blobs.delete(container, ["a"]),
    "ensure_container": lambda blobs, container: blobs.ensure_container(container),
}


class Memory(MemoryBlobs):
    def gdal_path(self, container: str, name: str) -> str:
        return f"/vsimem/{container}/{name}"


@pytest.fixture
def memory() -> MemoryBlobs:
    made = Memory()
    for container in ("bronze", "silver", "gold", "job-scratch", "job-results", "azure-webjobs-secrets"):
        made.write(container, "a", b"abc")
    return made


@pytest.fixture
def blobs(memory: MemoryBlobs) -> ConfinedBlobRepository:
    return ConfinedBlobRepository(memory, Settings(source_containers="bronze", target_containers="silver"))


@pytest.mark.parametrize("container", ["gold", "job-results", "azure-webjobs-secrets", "$root"])
@pytest.mark.parametrize("call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
def test_no_call_reaches_another_container(
    blobs: ConfinedBlobRepository, memory: MemoryBlobs, call: Call, container: str
) -> None:
    with pytest.raises(AccessDenied, match="container: "):
        call(blobs, container)
    assert [item.name for page in memory.list_pages("gold") for item in page] == ["a"]


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_what_may_be_read_is_not_written(blobs: ConfinedBlobRepository, call: Call) -> None:
    with pytest.raises(AccessDenied, match="target_containers"):
        call(blobs, "bronze")


@pytest.mark.parametrize("container", ["bronze", "silver", "job-scratch"])
@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_sources_targets_and_scratch_space_are_read(
    blobs: ConfinedBlobRepository, call: Call, container: str
) -> None:
    assert call(blobs, container)


@pytest.mark.parametrize("container", ["silver", "job-scratch"])
@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_targets_and_scratch_space_are_written(
    blobs: ConfinedBlobRepository, call: Call, container: str
) -> None:
    call(blobs, container)
