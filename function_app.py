"""Composition root: settings, repositories, catalogs, engine, triggers. No logic."""

from __future__ import annotations

import gc

import azure.functions as func

import registration
from engine import Engine, logs, task_logs
from engine.signals import Signals
from interfaces.retention import Leavings
from interfaces.settings import Settings
from repositories.activity import Activity
from repositories.audit import Audit
from repositories.blobs import AzureBlobRepository
from repositories.breakers import Breakers
from repositories.catalog_api import CatalogApi
from repositories.costs import CostRepository
from repositories.coverage import Coverage
from repositories.credentials import database_token
from repositories.database import Database, owner_database
from repositories.diagnostics import Diagnostics
from repositories.entra import EntraIdentities
from repositories.explanation import JobExplanation
from repositories.feature_tables import PostgresFeatureTables
from repositories.features_api import FeaturesApi
from repositories.guarded_blobs import GuardedBlobRepository
from repositories.guarded_catalog import GuardedCatalog
from repositories.inspection import Inspection
from repositories.invariants import Invariants
from repositories.job_views import JobViews
from repositories.job_watch import JobWatch
from repositories.layer_exports import PostgresLayerReader
from repositories.pgstac import PgstacCatalog
from repositories.pgstac_administration import PgstacAdministration
from repositories.pgstac_items import PgstacItems
from repositories.pgstac_schema import PgstacSchema
from repositories.publications import PostgresPublicationRepository
from repositories.queues import AzureQueueRepository
from repositories.results import Results
from repositories.schema import Schema
from repositories.telemetry.service import telemetry
from services.cog.unfinished import UnfinishedPublications
from services.vector.publishing import AbandonedStaging
from triggers import http
from triggers import queues as queue_triggers
from triggers import timers as timer_triggers

settings = Settings()
breakers = Breakers(settings)
blobs = GuardedBlobRepository(AzureBlobRepository.from_settings(settings), breakers)
queues = AzureQueueRepository.from_settings(settings)
token = database_token() if settings.database_identity else None
database = Database(settings, token)
job_types = registration.job_catalog()
publications = PostgresPublicationRepository(database)
catalog = GuardedCatalog(PgstacCatalog(database), breakers)
tables = PostgresFeatureTables(database)
ports = registration.Ports(
    blobs=blobs,
    publications=publications,
    catalog=catalog,
    administration=PgstacAdministration(database),
    items=PgstacItems(database, catalog.breaker),
    tables=tables,
    layers=PostgresLayerReader(database),
)
task_types = registration.task_catalog(settings, ports)
registration.check(job_types, task_types, settings.function_timeout)
leavings: list[Leavings] = [UnfinishedPublications(blobs, publications), AbandonedStaging(tables)]
signalling = telemetry(settings)
logs.set_up(settings, signalling.log_handler)
task_logs.collect()
engine = Engine(settings, database, queues, blobs, job_types, task_types, leavings, signalling.tracing)
signals = Signals(settings, database, queues, breakers, engine.worker, dropped=signalling.dropped)
signalling.repeat(signals.process)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(queue_triggers.build(engine, settings))
app.register_functions(
    timer_triggers.build(engine, signals.sent_by(signalling.send) if signalling.on else None)
)
app.register_functions(
    http.build(
        http.HttpDependencies(
            settings=settings,
            jobs=engine,
            limits=engine.limits,
            callbacks=engine.callbacks,
            schedules=engine.schedules,
            retention=engine.retention,
            inspection=Inspection(database),
            views=JobViews(database),
            coverage=Coverage(database),
            activity=Activity(database),
            explanation=JobExplanation(database),
            costs=CostRepository(database),
            watch=JobWatch(settings, database),
            results=Results(database),
            diagnostics=Diagnostics(database),
            invariants=Invariants(database, queues, settings),
            schema=Schema(database, owner_database(settings, token)),
            queues=queues,
            blobs=blobs,
            breakers=breakers,
            signals=signals,
            catalog=PgstacSchema(database),
            catalog_api=CatalogApi(settings, token),
            features_api=FeaturesApi(settings, token),
            audit=Audit(database),
            tracing=signalling.tracing,
            identities=EntraIdentities(settings) if settings.access == "entra" else None,
        )
    )
)
# All that is there stays for good: a collector that need not walk through it again costs tasks a tenth less.
gc.freeze()
