"""What an instance refuses to start with, and the names it derives."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import azure.functions as func
import pytest

from local.functions_host.app_settings import AppSettings
from local.functions_host.errors import HostConfigurationError
from local.functions_host.function_app import read_functions
from local.functions_host.host_json import HostOptions
from local.functions_host.instance import Instance, host_id, thread_count
from local.functions_host.queue_processor import is_valid_queue_name, poison_queue_name

STORAGE = {"S": "UseDevelopmentStorage=true", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}


def start(app: func.FunctionApp, settings: Mapping[str, str]) -> None:
    Instance(read_functions(app), HostOptions(), AppSettings(settings), app_root=Path(), keys=None)


def queue_app(queue_name: str) -> func.FunctionApp:
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="msg", queue_name=queue_name, connection="S")
    def on_message(msg: func.QueueMessage) -> None: ...

    return app


@pytest.mark.parametrize(
    ("queue_name", "settings", "message"),
    [
        ("%MISSING%", STORAGE, "%MISSING%"),
        ("a_b", STORAGE, "not a valid queue name"),
        ("jobs", {}, "storage connection 'S'"),
    ],
)
def test_a_binding_that_cannot_be_resolved_is_refused_with_its_function(
    queue_name: str, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(HostConfigurationError, match=f"'on_message'.*{message}"):
        start(queue_app(queue_name), settings)


def test_a_schedule_that_is_not_valid_is_refused_with_its_function() -> None:
    app = func.FunctionApp()

    @app.timer_trigger(arg_name="timer", schedule="%WHEN%")
    def tick(timer: func.TimerRequest) -> None: ...

    with pytest.raises(HostConfigurationError, match=r"'tick'.*61"):
        start(app, {**STORAGE, "WHEN": "61 * * * * *"})


@pytest.mark.parametrize(
    ("name", "valid"),
    [("jobs", True), ("a-b-1", True), ("ab", False), ("a--b", False), ("-ab", False), ("Jobs", False)],
)
def test_queue_names_follow_the_rules_of_the_service(name: str, valid: bool) -> None:
    """https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata"""
    assert is_valid_queue_name(name) == valid
    assert not is_valid_queue_name("a" * 64)


def test_poison_queues_and_queues_with_long_names_have_no_poison_queue() -> None:
    assert poison_queue_name("jobs") == "jobs-poison"
    assert poison_queue_name("jobs-poison") is None
    assert poison_queue_name("a" * 57) is None


def test_the_thread_pool_setting_must_be_a_positive_integer(caplog: pytest.LogCaptureFixture) -> None:
    """PYTHON_THREADPOOL_THREAD_COUNT; Python's own default stands in for what is not."""
    assert thread_count(AppSettings({"PYTHON_THREADPOOL_THREAD_COUNT": "7"})) == 7
    assert thread_count(AppSettings({})) is None
    with caplog.at_level(logging.WARNING):
        for text in ("0", "-1", "many"):
            assert thread_count(AppSettings({"PYTHON_THREADPOOL_THREAD_COUNT": text})) is None
    assert len(caplog.records) == 3


def test_the_host_id_is_the_same_for_all_instances_of_an_app(tmp_path: Path) -> None:
    """https://learn.microsoft.com/azure/azure-functions/storage-considerations#host-id-considerations"""
    assert host_id(AppSettings({}), tmp_path) == host_id(AppSettings({}), tmp_path)
    assert host_id(AppSettings({}), tmp_path) != host_id(AppSettings({}), tmp_path / "other")
    assert len(host_id(AppSettings({}), tmp_path)) <= 32
    assert host_id(AppSettings({"AzureFunctionsWebHost__hostid": "Mine"}), tmp_path) == "mine"
