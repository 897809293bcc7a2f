"""App settings: binding expressions, connections, disabled functions.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-expressions-patterns
https://learn.microsoft.com/azure/azure-functions/functions-reference#connections
"""

from __future__ import annotations

import pytest

from local.functions_host.app_settings import AppSettings
from local.functions_host.errors import HostConfigurationError


def test_a_name_between_percent_signs_is_replaced_by_the_app_setting() -> None:
    settings = AppSettings({"QUEUE": "jobs", "STAGE": "test"})
    assert settings.expand("%QUEUE%") == "jobs"
    assert settings.expand("a-%QUEUE%-%stage%") == "a-jobs-test"


def test_an_app_setting_that_is_missing_is_named() -> None:
    with pytest.raises(HostConfigurationError, match="'%QUEUE%' does not resolve"):
        AppSettings({}).expand("%QUEUE%")


def test_a_percent_sign_without_its_partner_is_refused() -> None:
    with pytest.raises(HostConfigurationError, match="no closing"):
        AppSettings({}).expand("50%")


def test_a_connection_names_the_setting_that_holds_the_connection_string() -> None:
    settings = AppSettings({"AzureWebJobsStorage": "default", "Other": "other"})
    assert settings.storage_connection("Other").connection_string == "other"
    assert settings.storage_connection(None).connection_string == "default"


def test_a_setting_with_the_prefix_azurewebjobs_is_preferred() -> None:
    settings = AppSettings({"AzureWebJobsOther": "with", "Other": "without"})
    assert settings.storage_connection("Other").connection_string == "with"


def test_a_connection_may_be_the_prefix_of_an_identity_based_one() -> None:
    by_uri = AppSettings({"Other__queueServiceUri": "https://q"}).storage_connection("Other")
    assert (by_uri.connection_string, by_uri.queue_service_uri) == (None, "https://q")
    by_account = AppSettings({"Other__accountName": "acc"}).storage_connection("Other")
    assert by_account.blob_service_uri == "https://acc.blob.core.windows.net"


def test_a_missing_connection_is_refused_by_name() -> None:
    with pytest.raises(HostConfigurationError, match="'Other'"):
        AppSettings({"AzureWebJobsStorage": "default"}).storage_connection("Other")


def test_use_development_storage_names_azurite() -> None:
    settings = AppSettings({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert "127.0.0.1:10001" in (settings.storage_connection(None).connection_string or "")


def test_a_connection_string_does_not_appear_in_the_representation() -> None:
    connection = AppSettings({"AzureWebJobsStorage": "AccountKey=abc"}).storage_connection(None)
    assert "abc" not in repr(connection)


@pytest.mark.parametrize("name", ["AzureWebJobs.tick.Disabled", "AzureWebJobs__tick__Disabled"])
def test_a_setting_disables_a_function(name: str) -> None:
    """https://learn.microsoft.com/azure/azure-functions/disable-function"""
    assert AppSettings({name: "true"}).is_disabled("tick")
    assert not AppSettings({name: "false"}).is_disabled("tick")
    assert not AppSettings({}).is_disabled("tick")
