"""Parts that are measured again stand beside what was published, and say of what they are."""

from __future__ import annotations

from bench.main import measured_again


def test_only_the_parts_asked_for_are_replaced() -> None:
    published = {
        "machine": {"commit": "old"},
        "throughput": {"runs": {"ours": 1}},
        "floor": ["old"],
        "submission": {"ours": 1},
        "again": {"submission": {"commit": "older"}},
    }
    results = {"machine": {"commit": "new"}, "throughput": {"runs": {}}, "floor": ["new"], "sizes": {}}
    merged = measured_again(published, results, ["floor"])
    assert merged["floor"] == ["new"]
    assert merged["throughput"] == {"runs": {"ours": 1}}
    assert merged["machine"] == {"commit": "old"}
    assert merged["again"] == {"submission": {"commit": "older"}, "floor": {"commit": "new"}}


def test_a_part_that_could_not_be_measured_stays_as_it_was() -> None:
    published = {"machine": {"commit": "old"}, "floor": ["old"]}
    merged = measured_again(published, {"machine": {"commit": "new"}}, ["floor"])
    assert (merged["floor"], merged["again"]) == (["old"], {})
