"""checksum_blobs plans one task for each blob that was found."""

from __future__ import annotations

from controllers.checksum_blobs import ChecksumBlobs, ChecksumBlobsParameters
from interfaces.plans import Tasks, TasksFromItems

from .outcomes import stage_result, task_results

PARAMETERS = ChecksumBlobsParameters(container="bronze", prefix="rasters/")


def test_one_task_finds_the_blobs_and_each_is_read_by_one_of_its_own() -> None:
    first = ChecksumBlobs().plan(1, PARAMETERS, None)
    second = ChecksumBlobs().plan(2, PARAMETERS, stage_result(1, 1))

    assert isinstance(first, Tasks)
    assert list(first.parameters) == [{"container": "bronze", "prefix": "rasters/"}]
    assert second == TasksFromItems(common={"container": "bronze"}, max_failed_fraction=0.5)


def test_the_result_counts_what_was_read() -> None:
    sums = [{"name": name, "bytes": 10, "sha256": "…"} for name in ("a", "b")]

    result = ChecksumBlobs().aggregate(
        PARAMETERS, [stage_result(1, 1), stage_result(2, 2)], task_results(s1=[{}], s2=sums)
    )

    assert result == {"container": "bronze", "blobs": 2, "failed": 0, "bytes": 20}
