"""host.json: names, defaults and limits.

https://learn.microsoft.com/azure/azure-functions/functions-host-json
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from local.functions_host.errors import HostConfigurationError
from local.functions_host.host_json import MessageEncoding, load_host_json, parse_host_json

ROOT = Path(__file__).parents[3]


def test_absent_settings_have_the_documented_defaults() -> None:
    options = parse_host_json({"version": "2.0"})
    assert options.route_prefix == "api"
    assert options.queues.batch_size == 16
    assert options.queues.new_batch_threshold == 8
    assert options.queues.max_dequeue_count == 5
    assert options.queues.visibility_timeout == timedelta(0)
    assert options.queues.message_encoding is MessageEncoding.BASE64
    assert options.singleton.listener_lock_period == timedelta(minutes=1)


def test_the_default_new_batch_threshold_is_half_of_the_batch_size() -> None:
    options = parse_host_json({"extensions": {"queues": {"batchSize": 32}}})
    assert options.queues.new_batch_threshold == 16


def test_a_function_timeout_of_minus_one_means_none() -> None:
    assert parse_host_json({"functionTimeout": "-1"}).function_timeout is None


@pytest.mark.parametrize(
    ("queues", "named"),
    [
        ({"batchSize": 33}, "batchSize"),
        ({"batchSize": 0}, "batchSize"),
        ({"batchSize": "16"}, "batchSize"),
        ({"maxDequeueCount": 0}, "maxDequeueCount"),
        ({"maxPollingInterval": "00:00:00.050"}, "maxPollingInterval"),
        ({"visibilityTimeout": "-00:00:01"}, "visibilityTimeout"),
        ({"messageEncoding": "utf-16"}, "messageEncoding"),
    ],
)
def test_values_out_of_their_documented_range_are_refused_by_name(
    queues: dict[str, object], named: str
) -> None:
    with pytest.raises(HostConfigurationError, match=named):
        parse_host_json({"extensions": {"queues": queues}})


def test_a_file_that_is_not_a_version_2_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    for text in ("", "[]", json.dumps({"version": "1.0"})):
        path.write_text(text)
        with pytest.raises(HostConfigurationError, match=r"host\.json"):
            load_host_json(path)


def test_this_projects_host_json_is_valid() -> None:
    options = load_host_json(ROOT / "host.json")
    assert options.queues.max_polling_interval == timedelta(seconds=1)
    assert options.queues.visibility_timeout == timedelta(seconds=10)
    assert options.function_timeout == timedelta(minutes=10)
