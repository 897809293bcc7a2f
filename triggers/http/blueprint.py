"""All endpoints, as functions."""

from __future__ import annotations

import azure.functions as func

from triggers.threads import REQUESTS_AT_ONCE, Threads

from . import (
    callbacks,
    catalog,
    features,
    health,
    limits,
    listings,
    maintenance,
    metrics,
    operations,
    reference,
    results,
    schedules,
    status,
    submission,
)
from .dependencies import HttpDependencies
from .routing import register


def build(api: HttpDependencies) -> func.Blueprint:
    """A blueprint with a function for each URL of the API."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    threads = Threads("http", REQUESTS_AT_ONCE)
    jobs = (
        submission,
        status,
        results,
        listings,
        operations,
        limits,
        callbacks,
        schedules,
        maintenance,
        health,
        metrics,
    )
    found = [endpoint for module in (*jobs, catalog, features) for endpoint in module.endpoints(api)]
    for endpoint in (*found, *reference.endpoints(api, found)):
        register(blueprint, endpoint, api.settings, threads, api.tracing)
    return blueprint
