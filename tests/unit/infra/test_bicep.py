"""The Bicep files: that they are Bicep, fit together, and name what Azure would take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree_sitter import Node, Parser

from .deployment import Deployment, Undefined
from .installations import FILES, INFRA, KINDS, SECRETS, installation
from .syntax import GRAMMAR, errors, template, text

# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
NAMES = {
    "Microsoft.DBforPostgreSQL/flexibleServers": r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*",
    "Microsoft.DBforPostgreSQL/flexibleServers/administrators": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.DBforPostgreSQL/flexibleServers/configurations": r"[-\w.]+",
    "Microsoft.DBforPostgreSQL/flexibleServers/databases": r"[a-z][a-z0-9_]{0,62}",
    "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules": r"[-\w.]{1,128}",
    "Microsoft.Authorization/roleAssignments": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.Insights/actionGroups": r"[^*<>%&:\\?+/]{1,260}",
    "Microsoft.Insights/components": r"[^%&\\?/]{1,260}",
    "Microsoft.Insights/scheduledQueryRules": r"[^*<>%{}&:\\?/#]{1,260}",
    # Also the name of the role in the database, which has 63 bytes.
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[a-zA-Z0-9][-\w]{2,62}",
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials": r"[-\w]{3,120}",
    "Microsoft.Network/privateDnsZones": r"[a-z0-9]+(\.[a-z0-9]+)+",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": r"[a-z0-9][-\w.]{0,78}\w",
    "Microsoft.Network/privateEndpoints": r"[a-z0-9][-\w.]{0,62}\w",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": r"[a-z0-9][-\w.]{0,78}\w",
    "Microsoft.Network/virtualNetworks": r"[a-z0-9][-\w.]{0,62}\w",
    "Microsoft.OperationalInsights/workspaces": r"[a-zA-Z0-9][-a-zA-Z0-9]{2,61}[a-zA-Z0-9]",
    "Microsoft.Resources/resourceGroups": r"[-\w.()]{0,89}[-\w()]",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices": r"default",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*",
    "Microsoft.Storage/storageAccounts/managementPolicies": r"default",
    "Microsoft.Storage/storageAccounts/queueServices": r"default",
    "Microsoft.Storage/storageAccounts/queueServices/queues": r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*",
    "Microsoft.Web/serverfarms": r"[-a-zA-Z0-9]{1,60}",
    # Longer ones have their host's id cut off.
    "Microsoft.Web/sites": r"[a-z0-9](?=.{1,31}$)[-a-z0-9]*[a-z0-9]",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": r"ftp|scm",
    "Microsoft.Web/sites/config": r"appsettings",
}


def identifiers(node: Node) -> Iterator[str]:
    if node.type == "identifier":
        yield text(node)
    for child in node.named_children:
        yield from identifiers(child)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_bicep(file: Path) -> None:
    assert errors(template(file).root) == []


def test_what_is_no_bicep_is_noticed() -> None:
    broken = b"param name string\nresource one 'Type@2020-01-01' = {\n  name: name,,\n}\n"
    assert errors(Parser(GRAMMAR).parse(broken).root_node) != []


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.suffix == ".bicep"], ids=lambda file: file.name
)
def test_what_a_file_declares_is_used_in_it(file: Path) -> None:
    found = template(file)
    names = list(identifiers(found.root))
    once = {name for name in names if names.count(name) == 1}
    assert once & {*found.parameters, *found.variables} == set()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_would_be_deployed_can_be_told(kind: str) -> None:
    made = installation(kind)
    assert len(made.resources()) > 40
    assert all(value not in (None, "") for value in made.outputs.values())


def test_a_module_without_a_parameter_that_it_needs_is_noticed() -> None:
    with pytest.raises(Undefined, match="lacks"):
        Deployment(INFRA / "modules/network.bicep", {"name": "a"})
    with pytest.raises(Undefined, match="knows no"):
        Deployment(INFRA / "modules/network.bicep", {"name": "a", "location": "b", "tags": {}, "prefix": "c"})


@pytest.mark.parametrize("kind", KINDS)
def test_every_resource_has_a_name_that_its_kind_may_have_and_no_other_has(kind: str) -> None:
    resources = installation(kind).resources()
    for one in resources:
        assert re.fullmatch(NAMES[one.type], str(one.body["name"])), (one.type, one.body["name"])
        assert re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", one.api), one
    ids = [one.id for one in resources]
    assert sorted(set(ids)) == sorted(ids)


def test_every_type_has_one_api_version_everywhere() -> None:
    versions: dict[str, set[str]] = {}
    for file in FILES:
        for declared in template(file).resources.values():
            kind, _, version = declared.what.partition("@")
            versions.setdefault(kind, set()).add(version)
    assert {kind: found for kind, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_leave_a_deployment_nowhere_but_in_settings_of_the_app(kind: str) -> None:
    made = installation(kind)
    shown = [str(made.outputs), *(str(module.outputs) for module in made.modules().values())]
    assert not any(secret in part for secret in SECRETS.values() for part in shown)


def test_parameters_that_hold_secrets_are_marked_so() -> None:
    for file in FILES:
        for name, parameter in template(file).parameters.items():
            if re.search(r"(?i)password|secret", name):
                assert "secure" in parameter.decorators, f"{file.name}: {name}"
