"""Installations as `azd up` would make them, of each kind that there can be."""

from __future__ import annotations

from functools import cache

from tests.fix_stack import CHECKOUT

from .deployment import Deployment
from .syntax import template

INFRA = CHECKOUT / "infra"
FILES = sorted([*INFRA.rglob("*.bicep"), *INFRA.glob("*.bicepparam")])
DEPLOYER = "11111111-1111-1111-1111-111111111111"
SECRETS = {
    "DATABASE_PASSWORD": "a-password",
    "CALLBACK_SECRET": "whsec_bm90IGEgc2VjcmV0LCBidXQgbG9uZyBlbm91Z2g=",
}

KINDS: dict[str, dict[str, str]] = {
    "dev": {"DEPLOYMENT_PROFILE": "dev"},
    "dev, private": {"DEPLOYMENT_PROFILE": "dev", "PRIVATE_NETWORKING": "true"},
    "dev, all blobs": {
        "DEPLOYMENT_PROFILE": "dev",
        "BLOB_ACCESS": "account",
        "DEPLOYER_ADDRESS": "192.0.2.1",
    },
    "prod": {"DEPLOYMENT_PROFILE": "prod"},
    "prod, public": {
        "DEPLOYMENT_PROFILE": "prod",
        "PRIVATE_NETWORKING": "false",
        "ALERT_EMAIL": "ops@example.org",
    },
    "prod, kubernetes": {
        "DEPLOYMENT_PROFILE": "prod",
        "HOSTING": "kubernetes",
        "KUBERNETES_ISSUER": "https://issuer.example.org/",
    },
    "prod, secrets": {"DEPLOYMENT_PROFILE": "prod", **SECRETS},
}


@cache
def installation(kind: str) -> Deployment:
    """What is deployed where the environment of `azd` says this."""
    environment = {
        "AZURE_ENV_NAME": "an-environment",
        "AZURE_LOCATION": "northeurope",
        "AZURE_PRINCIPAL_ID": DEPLOYER,
        "AZURE_PRINCIPAL_NAME": "somebody@example.org",
        **KINDS[kind],
    }
    given = Deployment(INFRA / "main.bicepparam", {}, environment)
    asked = template(INFRA / "main.bicep").parameters
    values = {name: given.variable(name) for name in given.template.variables if name in asked}
    return Deployment(INFRA / "main.bicep", values)


def app_settings(kind: str) -> dict[str, str]:
    """The app's settings, as Azure hands them to it."""
    found: dict[str, str] = installation(kind).modules()["settings"].outputs["settings"]
    return found
