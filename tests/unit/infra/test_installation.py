"""What an installation may do, is reached by, and leaves room for."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from interfaces.settings import Settings
from tests.fix_stack import CHECKOUT

from .deployment import Resource
from .installations import DEPLOYER, KINDS, app_settings, installation
from .test_settings import read

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}
# https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-limits#maximum-connections
USER_CONNECTIONS = {
    "Standard_B2s": 414,
    "Standard_D2ds_v5": 844,
    "Standard_D4ds_v5": 1703,
    "Standard_D8ds_v5": 3422,
}
PGBOUNCER_CLIENTS = 5000
"""`pgbouncer.max_client_conn` as it is unless it is changed."""
PAGE = (CHECKOUT / "docs/deployment.md").read_text()
QUEUE_FUNCTIONS = re.findall(r'on_queue\("(\w+)"', (CHECKOUT / "triggers/queues.py").read_text())
TIMERS = re.findall(r'on_timer\("(\w+)"', (CHECKOUT / "triggers/timers.py").read_text())


def rights(kind: str, who: str) -> set[tuple[str, str]]:
    """What somebody may do: the role, and the last name of what it is for."""
    made = [
        one for one in installation(kind).resources() if one.type == "Microsoft.Authorization/roleAssignments"
    ]
    found = [
        (ROLES[str(one.body["properties"]["roleDefinitionId"]).rsplit("/", 1)[1]], one.body["scope"])
        for one in made
        if one.body["properties"]["principalId"] == who
    ]
    return {(role, scope.name.rsplit("/", 1)[-1]) for role, scope in found}


def app_rights(kind: str) -> set[tuple[str, str]]:
    """Those of the app's identity."""
    return rights(kind, installation(kind).outputs["DATABASE_APP_OBJECT_ID"])


def blobs_and_queues(kind: str) -> set[tuple[str, str]]:
    return {(role, scope) for role, scope in app_rights(kind) if role.startswith("Storage")}


def one_of(kind: str, of: str) -> Resource:
    return next(one for one in installation(kind).resources() if one.type == of)


def test_the_app_may_do_with_storage_what_the_document_says_and_nothing_else() -> None:
    table = re.findall(r"^\| (Storage [\w ]+) \| (.+?) \|", PAGE, re.MULTILINE)
    documented = {(role, scope) for role, scopes in table for scope in re.findall(r"`([\w-]+)`", scopes)}
    assert documented == blobs_and_queues("prod")


def test_the_app_may_read_what_jobs_read_and_change_only_what_they_write() -> None:
    found = {scope: role for role, scope in app_rights("prod")}
    assert found["bronze"] == "Storage Blob Data Reader"
    assert found["silver"] == "Storage Blob Data Contributor"
    account = installation("prod").outputs["STORAGE_ACCOUNT_NAME"]
    assert account not in found


def test_the_role_that_the_host_documents_is_one_parameter_away() -> None:
    account = installation("dev, all blobs").outputs["STORAGE_ACCOUNT_NAME"]
    found = {(role, scope) for role, scope in app_rights("dev, all blobs") if "Blob" in role}
    assert found == {("Storage Blob Data Owner", account)}


def test_who_deploys_gets_at_the_data_in_development_only() -> None:
    assert rights("dev", DEPLOYER) == {
        ("Storage Blob Data Contributor", "bronze"),
        ("Storage Blob Data Contributor", "silver"),
    }
    assert rights("prod", DEPLOYER) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_way_in_but_by_entra(kind: str) -> None:
    assert (
        one_of(kind, "Microsoft.Storage/storageAccounts").body["properties"]["allowSharedKeyAccess"] is False
    )
    assert one_of(kind, "Microsoft.Insights/components").body["properties"]["DisableLocalAuth"] is True
    database = one_of(kind, "Microsoft.DBforPostgreSQL/flexibleServers").body["properties"]
    secret = kind == "prod, secrets"
    assert database["authConfig"]["passwordAuth"] == ("Enabled" if secret else "Disabled")
    assert (database["administratorLoginPassword"] is not None) is secret


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_installation_is_reached_through_its_network_only(kind: str) -> None:
    private = installation(kind).parameters["privateNetworking"]
    made = installation(kind).resources()
    storage = one_of(kind, "Microsoft.Storage/storageAccounts").body["properties"]
    database = one_of(kind, "Microsoft.DBforPostgreSQL/flexibleServers").body["properties"]
    public = "Disabled" if private else "Enabled"
    assert storage["publicNetworkAccess"] == database["network"]["publicNetworkAccess"] == public
    groups = {
        one.body["properties"]["privateLinkServiceConnections"][0]["properties"]["groupIds"][0]
        for one in made
        if one.type == "Microsoft.Network/privateEndpoints"
    }
    assert groups == ({"blob", "queue", "postgresqlServer"} if private else set())
    assert any(one.type.endswith("/firewallRules") for one in made) is not private
    if kind != "prod, kubernetes":
        subnet = one_of(kind, "Microsoft.Web/sites").body["properties"]["virtualNetworkSubnetId"]
        assert (subnet or "").endswith("/subnets/functions") is private


def test_every_private_zone_is_known_in_the_network_and_has_its_endpoint() -> None:
    made = installation("prod").resources()
    zones = {one.id for one in made if one.type == "Microsoft.Network/privateDnsZones"}
    linked = {one.body["parent"].id for one in made if one.type.endswith("/virtualNetworkLinks")}
    used = {
        one.body["properties"]["privateDnsZoneConfigs"][0]["properties"]["privateDnsZoneId"]
        for one in made
        if one.type.endswith("/privateDnsZoneGroups")
    }
    assert zones == linked == used


def test_what_rows_refer_to_is_never_removed_behind_the_apps_back() -> None:
    for kind in KINDS:
        policy = one_of(kind, "Microsoft.Storage/storageAccounts/managementPolicies").body["properties"][
            "policy"
        ]
        settings = read(app_settings(kind))
        removed = [
            prefix
            for rule in policy["rules"]
            if "delete" in rule["definition"]["actions"]["baseBlob"]
            for prefix in rule["definition"]["filters"]["prefixMatch"]
        ]
        assert removed == [f"{settings.scratch_container}/"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_database_has_a_connection_for_every_instance_that_there_may_be(kind: str) -> None:
    made, settings = installation(kind), read(app_settings(kind))
    sku = made.modules()["database"].parameters["sku"]
    most = made.parameters["maximumInstanceCount"]
    # Each group of functions has as many instances of its own; a timer runs on one.
    groups = len(QUEUE_FUNCTIONS)
    ready = sum(one["instanceCount"] for one in made.parameters["alwaysReady"])
    of_http = settings.database_pool_size + settings.catalog_connections + settings.features_connections
    clients = (most + ready) * of_http + (groups * most + len(TIMERS)) * settings.database_pool_size
    listening = most + ready
    if sku["tier"] == "Burstable":
        assert clients <= USER_CONNECTIONS[sku["name"]]
    else:
        assert clients - listening <= PGBOUNCER_CLIENTS
        assert made.parameters["databasePooledConnections"] + listening < USER_CONNECTIONS[sku["name"]]


def test_instances_are_kept_ready_for_functions_that_there_are() -> None:
    for kind in KINDS:
        for ready in installation(kind).parameters["alwaysReady"]:
            assert ready["name"] in {"http", *(f"function:{name}" for name in QUEUE_FUNCTIONS + TIMERS)}


def test_runs_end_long_before_their_scratch_is_removed() -> None:
    longest = Settings().function_timeout
    for kind in KINDS:
        assert installation(kind).parameters["scratchDays"] * 86_400 > 100 * longest.total_seconds()


def test_subnets_of_the_network_do_not_overlap() -> None:
    from ipaddress import ip_network

    network = one_of("prod", "Microsoft.Network/virtualNetworks").body["properties"]
    space = ip_network(network["addressSpace"]["addressPrefixes"][0])
    subnets = sorted(ip_network(one["properties"]["addressPrefix"]) for one in network["subnets"])
    assert all(one.subnet_of(space) for one in subnets)  # type: ignore[arg-type]
    assert not any(one.overlaps(other) for one, other in pairwise(subnets))


def test_what_production_has_is_what_development_has_not() -> None:
    dev, prod = installation("dev").parameters, installation("prod").parameters
    assert (dev["privateNetworking"], prod["privateNetworking"]) == (False, True)
    assert prod["databaseHighAvailability"] == "ZoneRedundant"
    assert prod["storageSku"] == "Standard_ZRS"
    assert prod["softDeleteDays"] > 0
