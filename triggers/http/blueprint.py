"""All endpoints, as functions."""

from __future__ import annotations

import azure.functions as func

from triggers.threads import REQUESTS_AT_ONCE, Threads

from . import (
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
from .dependencies import HttpDependencies
from .rate_limits import RateLimits
from .routing import register


def build(api: HttpDependencies) -> func.Blueprint:
    """A blueprint with a function for each URL of the API."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    threads = Threads("http", REQUESTS_AT_ONCE)
    counts = RateLimits(api.settings)
    jobs = (submission, status, results, listings, operations, limits, callbacks, schedules)
    looks = (maintenance, health, metrics, views, monitoring, dashboard)
    found = [endpoint for module in (*jobs, *looks, catalog, features) for endpoint in module.endpoints(api)]
    for endpoint in (*found, *reference.endpoints(api, found)):
        register(blueprint, endpoint, api.settings, threads, api.tracing, counts)
    return blueprint
