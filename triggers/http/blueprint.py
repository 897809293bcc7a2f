"""All endpoints, as functions."""

from __future__ import annotations

import azure.functions as func

from triggers.threads import REQUESTS_AT_ONCE, Threads

from . import (
    audit,
    callbacks,
    catalog,
    dashboard,
    features,
    health,
    limits,
    listings,
    maintenance,
    metrics,
    monitoring,
    operations,
    reference,
    results,
    schedules,
    status,
    submission,
    views,
)
from .access import EntraGate, KeyGate
from .dependencies import HttpDependencies
from .rate_limits import RateLimits
from .routing import Endpoint, register


def endpoints(api: HttpDependencies) -> list[Endpoint]:
    """Every endpoint of the API."""
    jobs = (submission, status, results, listings, operations, limits, callbacks, schedules)
    looks = (maintenance, health, metrics, views, monitoring, audit, dashboard)
    found = [endpoint for module in (*jobs, *looks, catalog, features) for endpoint in module.endpoints(api)]
    return [*found, *reference.endpoints(api, found)]


def build(api: HttpDependencies) -> func.Blueprint:
    """A blueprint with a function for each URL of the API."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    threads = Threads("http", REQUESTS_AT_ONCE)
    counts = RateLimits(api.settings)
    gate = KeyGate() if api.identities is None else EntraGate(api.identities)
    for endpoint in endpoints(api):
        register(blueprint, endpoint, api.settings, threads, api.tracing, gate, counts)
    return blueprint
