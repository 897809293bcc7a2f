"""What GDAL downloads is part of the process's traffic, each byte once."""

from __future__ import annotations

from typing import Any

import pytest

from repositories.traffic import BLOB_TRAFFIC
from services.gdal_session import FORGET_AFTER, BytesRead, NetworkStatistics


class Counted(NetworkStatistics):
    """GDAL's statistics, with its counts in the hands of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, int] = {}
        self.__dict__["_gdal"] = self

    def _files(self) -> dict[str, int]:
        return dict(self.files)

    def VSINetworkStatsReset(self) -> None:  # noqa: N802 - GDAL's name
        self.files.clear()


@pytest.fixture
def statistics() -> Any:
    return Counted()


def test_a_file_that_two_sessions_read_at_once_is_counted_once(statistics: Counted) -> None:
    before = BLOB_TRAFFIC.read
    one, other = BytesRead(["/vsiaz/c/a"]), BytesRead(["/vsiaz/c/a"])
    with statistics.counting(one):
        statistics.files["/vsiaz/c/a"] = 100
        with statistics.counting(other):
            statistics.files["/vsiaz/c/a"] = 150
        assert BLOB_TRAFFIC.read - before == 150
        statistics.files["/vsiaz/c/b"] = 7
    assert (one.value, other.value) == (150, 50)
    assert BLOB_TRAFFIC.read - before == 157
    assert statistics.files == {}


def test_what_was_counted_before_gdal_forgets_is_not_counted_again(statistics: Counted) -> None:
    before = BLOB_TRAFFIC.read
    with statistics.counting(BytesRead(["/vsiaz/c/long"])):
        for _ in range(FORGET_AFTER + 1):
            with statistics.counting(BytesRead(["/vsiaz/c/a"])):
                statistics.files["/vsiaz/c/a"] = statistics.files.get("/vsiaz/c/a", 0) + 10
    assert BLOB_TRAFFIC.read - before == 10 * (FORGET_AFTER + 1)
