"""The app's settings in Azure: each is one that something reads, and has a value that it takes."""

from __future__ import annotations

import json
import os
import re
from unittest.mock import patch

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices

from interfaces.settings import Settings
from repositories.credentials import DATABASE_SCOPE
from repositories.pgstac_schema import EXTENSIONS
from tests.fix_stack import CHECKOUT
from triggers.threads import REQUESTS_AT_ONCE

from .installations import INFRA, KINDS, SECRETS, app_settings, installation
from .syntax import template, text

READ_BY_OTHERS = {
    # https://learn.microsoft.com/azure/azure-functions/functions-reference#common-properties-for-identity-based-connections
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    # azure-identity's DefaultAzureCredential
    "AZURE_CLIENT_ID",
    # https://learn.microsoft.com/azure/azure-functions/functions-app-settings#applicationinsights_authentication_string
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
}
NEEDED = {
    *("database_url", "database_direct_url", "database_identity", "storage_account_name"),
    *("jobs_queue", "tasks_queue", "results_container", "scratch_container"),
    *("task_memory_limit", "task_scratch_limit", "batch_parallelism"),
    "applicationinsights_connection_string",
}
"""Without these the app would start, and not do what it is there for, or not as much of it."""
INSTANCE_TEMPORARY_BYTES = 800_000_000
"""https://learn.microsoft.com/azure/azure-functions/functions-scale#service-limits, Flex Consumption."""
HOST_BYTES = 128 * 1024**2
"""Beside the 272 MB that the platform adds to each instance for itself and the host."""


def names() -> dict[str, str]:
    """The fields of the model, by the names that the environment may have for them."""
    found: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [name]
        found |= {str(choice).lower(): name for choice in choices}
    return found


def read(settings: dict[str, str]) -> Settings:
    with patch.dict(os.environ, settings, clear=True):
        return Settings()


def everything(kind: str) -> dict[str, str]:
    """With those that only the app itself is given."""
    deployed = [one for one in installation(kind).resources() if one.type == "Microsoft.Web/sites/config"]
    return dict(deployed[0].body["properties"]) if deployed else app_settings(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_one_that_the_app_or_its_host_reads(kind: str) -> None:
    unknown = {name for name in everything(kind) if name.lower() not in names()} - READ_BY_OTHERS
    assert unknown == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_one_that_the_settings_model_takes(kind: str) -> None:
    settings = everything(kind)
    taken = read(settings)
    assert all(isinstance(value, str) for value in settings.values())
    assert taken.database_identity
    assert taken.storage_connection_string.get_secret_value() == ""
    assert taken.sends_signals


def test_a_value_that_the_model_does_not_take_is_noticed() -> None:
    with pytest.raises(ValueError, match="task_memory_limit"):
        read({**app_settings("prod"), "TASK_MEMORY_LIMIT": "128MiB"})


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_that_has_no_useful_default_is_set(kind: str) -> None:
    fields = names()
    assert {fields[name.lower()] for name in app_settings(kind) if name.lower() in fields} >= NEEDED


def test_the_secret_of_callbacks_is_a_setting_where_there_is_one() -> None:
    assert "CALLBACK_SECRET" not in everything("prod")
    assert everything("prod, secrets")["CALLBACK_SECRET"] == SECRETS["CALLBACK_SECRET"]


@pytest.mark.parametrize("kind", KINDS)
def test_queues_and_containers_that_settings_name_are_there_and_poison_queues_too(kind: str) -> None:
    settings, made = read(app_settings(kind)), installation(kind).resources()
    found = {one.type.rsplit("/", 1)[1]: set[str]() for one in made}
    for one in made:
        found[one.type.rsplit("/", 1)[1]].add(str(one.body["name"]))
    queues = {settings.jobs_queue, settings.tasks_queue}
    assert found["queues"] == queues | {f"{queue}-poison" for queue in queues}
    named = {settings.results_container, settings.scratch_container, settings.retention_archive_container}
    assert named - {""} <= found["containers"]


def test_jobs_may_use_the_containers_that_the_identity_may_and_no_others() -> None:
    for kind in KINDS:
        settings, given = read(app_settings(kind)), installation(kind).parameters["dataContainers"]
        assert settings.source_containers.split(", ") == [one["name"] for one in given]
        writable = [one["name"] for one in given if one["access"] == "write"]
        assert settings.target_containers.split(", ") == writable


@pytest.mark.parametrize("kind", KINDS)
def test_the_app_reaches_the_database_as_its_identity_and_verifies_it(
    kind: str,
) -> None:
    made, settings = installation(kind), read(app_settings(kind))
    pooled = made.modules()["database"].parameters["sku"]["tier"] != "Burstable"
    for url, port in (
        (settings.database_url, "6432" if pooled else "5432"),
        (settings.database_direct_url, "5432"),
    ):
        given = conninfo_to_dict(url.get_secret_value())
        assert given == {
            "user": made.outputs["DATABASE_APP_NAME"],
            "host": made.outputs["DATABASE_HOST"],
            "port": port,
            "dbname": made.outputs["DATABASE_NAME"],
            # Of PgBouncer no session may be asked for anything, such as `options`.
            "sslmode": "verify-full",
        }
    assert DATABASE_SCOPE == "https://ossrdbms-aad.database.windows.net/.default"


def test_the_server_allows_the_extensions_that_postgis_and_pgstac_need() -> None:
    for kind in KINDS:
        parameters = {
            one.body["name"]: one.body["properties"]["value"]
            for one in installation(kind).resources()
            if one.type.endswith("/configurations")
        }
        assert parameters["azure.extensions"].lower().split(",") == [*EXTENSIONS]


def test_a_worker_takes_no_more_than_its_instance_has() -> None:
    limits = template(INFRA / "modules/settings.bicep").variables["memoryLimits"]
    sizes = dict(re.findall(r"'(\d+)': '(\w+)'", text(limits)))
    assert sorted(map(int, sizes)) == [512, 2048, 4096]
    for size, limit in sizes.items():
        taken = read({"TASK_MEMORY_LIMIT": limit}).task_memory_limit
        assert 0.7 * int(size) * 1024**2 < taken <= int(size) * 1024**2 - HOST_BYTES
    assert read(app_settings("prod")).task_scratch_limit < INSTANCE_TEMPORARY_BYTES


def test_batches_are_sized_for_all_instances_that_there_may_be() -> None:
    host = json.loads((CHECKOUT / "host.json").read_text())["extensions"]["queues"]
    for kind in KINDS:
        instances = installation(kind).parameters["maximumInstanceCount"]
        at_once = instances * (host["batchSize"] + host["newBatchThreshold"])
        assert read(app_settings(kind)).batch_parallelism == at_once


def test_the_host_takes_no_body_that_the_app_would_refuse_for_its_size() -> None:
    largest = int(app_settings("prod")["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"])
    assert 0 < largest - read(app_settings("prod")).catalog_max_body_bytes < 1024**2


def test_an_instance_gets_as_many_requests_as_there_are_threads_for() -> None:
    site = next(one for one in installation("prod").resources() if one.type == "Microsoft.Web/sites")
    scale = site.body["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["triggers"] == {"http": {"perInstanceConcurrency": REQUESTS_AT_ONCE}}
