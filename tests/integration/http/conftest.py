"""The API on a real database, with an engine in the test's own process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.signals import Signals
from repositories.activity import Activity
from repositories.audit import Audit
from repositories.catalog_api import CatalogApi
from repositories.costs import CostRepository
from repositories.coverage import Coverage
from repositories.diagnostics import Diagnostics
from repositories.explanation import JobExplanation
from repositories.features_api import FeaturesApi
from repositories.inspection import Inspection
from repositories.invariants import Invariants
from repositories.job_views import JobViews
from repositories.job_watch import JobWatch
from repositories.pgstac_schema import PgstacSchema
from repositories.results import Results
from repositories.schema import Schema
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client
from triggers.http import HttpDependencies, build
from triggers.http.access_dependencies import Identities


def client_of(world: World, identities: Identities | None = None) -> Client:
    """The API of a world. `identities`: who calls, in place of keys."""
    database = world.databases[0]
    return Client(
        build(
            HttpDependencies(
                settings=world.settings,
                jobs=world.engine,
                limits=world.engine.limits,
                callbacks=world.engine.callbacks,
                schedules=world.engine.schedules,
                retention=world.engine.retention,
                inspection=Inspection(database),
                views=JobViews(database),
                coverage=Coverage(database),
                activity=Activity(database),
                explanation=JobExplanation(database),
                costs=CostRepository(database),
                watch=JobWatch(world.settings, database),
                results=Results(database),
                diagnostics=Diagnostics(database),
                invariants=Invariants(database, world.queues, world.settings),
                schema=Schema(database),
                queues=world.queues,
                blobs=world.blobs,
                breakers=world.breakers,
                signals=Signals(world.settings, database, world.queues, world.breakers, world.engine.worker),
                catalog=PgstacSchema(database),
                catalog_api=CatalogApi(world.settings),
                features_api=FeaturesApi(world.settings),
                audit=Audit(database),
                identities=identities,
            )
        )
    )


@pytest.fixture
def api(world: World) -> Client:
    """The API of this test's world."""
    return client_of(world)


@pytest.fixture
def make_api(make_world: Callable[..., World]) -> Callable[..., tuple[Client, World]]:
    """Makes worlds with other settings, and their API."""

    def make(**overrides: object) -> tuple[Client, World]:
        made = make_world(**overrides)
        return client_of(made), made

    return make
