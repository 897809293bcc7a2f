"""What this app can do: the catalogs, and the one list of what is registered in them.

A new workflow is one controller, its handlers, and its registrations here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from controllers.hello_world import HelloWorld
from controllers.list_container import ListContainer
from controllers.mosaic_to_cog import MosaicToCog
from controllers.raster_to_cog import RasterToCog, ReprojectRaster
from controllers.stac_register import StacRegister
from controllers.stac_setup import StacSetup
from controllers.summarize_container import SummarizeContainer
from controllers.validate_raster import ValidateRaster
from interfaces.blobs import BlobRepository
from interfaces.catalog import CatalogAdministration, CatalogRepository
from interfaces.catalog_items import CatalogItems
from interfaces.errors import PermanentTaskError, RegistrationError, UnknownJobType
from interfaces.layer_exports import LayerReader
from interfaces.layers import FeatureTables
from interfaces.publications import PublicationRepository
from interfaces.settings import Settings
from interfaces.workflows import JobController, RetryPolicy, TaskDefinition
from registration_collections import collection_jobs, collection_tasks
from registration_vectors import export_tasks, vector_jobs, vector_tasks
from repositories.confined_blobs import ConfinedBlobRepository
from services import hello, listing, raster_validation, summary
from services.cog.cataloguing import PublishCog, PublishCogParameters, WriteItem, WriteItemParameters
from services.cog.converting import (
    AssembleCog,
    AssembleCogParameters,
    ConvertRaster,
    ConvertRasterParameters,
)
from services.cog.estimates import cache_bytes
from services.cog.inspecting import InspectRaster, InspectRasterParameters
from services.cog.listing import ListRasters, ListRastersParameters
from services.cog.making import CogMaker
from services.cog.mosaicking import (
    ComposeMosaic,
    ComposeMosaicParameters,
    InspectMosaicPart,
    InspectMosaicPartParameters,
)
from services.cog.publishing import Publisher
from services.cog.resources import Resources
from services.gdal_session import GdalSessions
from services.raster_inspection import RasterInspector
from services.raster_opening import RasterOpener
from services.stac.lineage import software_versions
from services.stac.loading import LoadItems, LoadItemsParameters
from services.stac.registered_documents import RegisteredDocuments
from services.stac.registered_rasters import RegisteredRasters
from services.stac.registering import (
    BuildStacItems,
    BuildStacItemsParameters,
    FindStacSources,
    FindStacSourcesParameters,
)
from services.stac.setting_up import (
    ConfigureCatalog,
    ConfigureCatalogParameters,
    MigrateCatalog,
    MigrateCatalogParameters,
    VerifyCatalog,
    VerifyCatalogParameters,
)
from services.stac.validation import ItemValidator
from services.vector.files import VectorOpener


class JobCatalog:
    """The job types of this app."""

    def __init__(self, controllers: Iterable[JobController[Any]] = ()) -> None:
        self._controllers: dict[str, JobController[Any]] = {}
        for controller in controllers:
            self.register(controller)

    def register(self, controller: JobController[Any]) -> None:
        """Add a job type. Raises `RegistrationError` for a name that is taken, or no stages."""
        name = controller.job_type
        if name in self._controllers:
            raise RegistrationError(f"job type {name!r} is registered twice")
        if not controller.stages:
            raise RegistrationError(f"job type {name!r} has no stages")
        self._controllers[name] = controller

    def get(self, job_type: str) -> JobController[Any]:
        """The controller of a job type. Raises `UnknownJobType` with the list of known ones."""
        try:
            return self._controllers[job_type]
        except KeyError:
            known = ", ".join(sorted(self._controllers))
            raise UnknownJobType(f"no job type {job_type[:100]!r}; known are: {known}") from None

    def all(self) -> Sequence[JobController[Any]]:
        """Every controller, by name."""
        return [self._controllers[name] for name in sorted(self._controllers)]


class TaskCatalog:
    """The task types of this app."""

    def __init__(self, definitions: Iterable[TaskDefinition[Any]] = ()) -> None:
        self._definitions: dict[str, TaskDefinition[Any]] = {}
        for definition in definitions:
            self.register(definition)

    def register(self, definition: TaskDefinition[Any]) -> None:
        """Add a task type. Raises `RegistrationError` for a second one of the same name."""
        if definition.task_type in self._definitions:
            raise RegistrationError(f"task type {definition.task_type!r} is registered twice")
        self._definitions[definition.task_type] = definition

    def get(self, task_type: str) -> TaskDefinition[Any]:
        """The definition of a task type. Raises `PermanentTaskError` where there is none."""
        try:
            return self._definitions[task_type]
        except KeyError:
            known = ", ".join(sorted(self._definitions))
            raise PermanentTaskError(
                f"no task type {task_type!r} is registered; known are: {known}"
            ) from None

    def __contains__(self, task_type: str) -> bool:
        return task_type in self._definitions


def check(job_types: JobCatalog, task_types: TaskCatalog, function_timeout: timedelta) -> None:
    """Refuse catalogs that contradict themselves. Raises `RegistrationError` naming what does not fit."""
    for controller in job_types.all():
        keys = [stage.key for stage in controller.stages]
        if len(set(keys)) != len(keys):
            raise RegistrationError(f"job type {controller.job_type!r} uses a stage key twice")
        for number, stage in enumerate(controller.stages, 1):
            if stage.task_type not in task_types:
                raise RegistrationError(
                    f"job type {controller.job_type!r}, stage {number} ({stage.key}): "
                    f"task type {stage.task_type!r} is not registered"
                )
            timeout = task_types.get(stage.task_type).timeout
            if timeout >= function_timeout:
                # The host would kill the whole process, and everything else in it, first.
                raise RegistrationError(
                    f"task type {stage.task_type!r}: timeout {timeout} is not below "
                    f"functionTimeout {function_timeout}"
                )


def job_catalog() -> JobCatalog:
    """Every job type that a person can submit."""
    return JobCatalog(
        [
            HelloWorld(),
            ListContainer(),
            MosaicToCog(),
            RasterToCog(),
            ReprojectRaster(),
            *collection_jobs(),
            StacRegister(),
            StacSetup(),
            SummarizeContainer(),
            ValidateRaster(),
            *vector_jobs(),
        ]
    )


@dataclass(frozen=True)
class Ports:
    """What handlers are bound to."""

    blobs: BlobRepository
    publications: PublicationRepository
    catalog: CatalogRepository
    administration: CatalogAdministration
    items: CatalogItems
    tables: FeatureTables
    layers: LayerReader


def task_catalog(settings: Settings, ports: Ports) -> TaskCatalog:
    """Every task type, with its handler bound to what it needs."""
    storage = RetryPolicy(max_attempts=5, base_delay=timedelta(seconds=1), max_delay=timedelta(minutes=2))
    brief = timedelta(microseconds=100)
    ports = replace(ports, blobs=ConfinedBlobRepository(ports.blobs, settings))
    blobs = ports.blobs
    opener = RasterOpener(blobs, GdalSessions(cache_bytes(settings.task_memory_limit)))
    resources = Resources(settings)
    return TaskCatalog(
        [
            TaskDefinition(
                "hello_greeting",
                hello.GreetingParameters,
                hello.greet,
                expected_duration=brief,
                max_batch=250,
            ),
            TaskDefinition(
                "hello_reply", hello.ReplyParameters, hello.reply, expected_duration=brief, max_batch=250
            ),
            TaskDefinition(
                "partition_container",
                summary.PartitionParameters,
                summary.PartitionContainer(blobs),
                storage,
            ),
            TaskDefinition(
                "summarize_prefix", summary.SummarizePrefixParameters, summary.SummarizePrefix(blobs), storage
            ),
            TaskDefinition("list_blobs", listing.ListBlobsParameters, listing.ListBlobs(blobs), storage),
            TaskDefinition(
                "describe_blob",
                listing.DescribeBlobParameters,
                listing.DescribeBlob(blobs, RasterInspector(opener)),
                storage,
                expected_duration=timedelta(milliseconds=200),
                max_batch=50,
                waits_for_io=True,
            ),
            TaskDefinition("list_rasters", ListRastersParameters, ListRasters(blobs), storage),
            TaskDefinition(
                "validate_raster",
                raster_validation.ValidateRasterParameters,
                raster_validation.ValidateRaster(blobs, opener, resources),
                storage,
                expected_duration=timedelta(milliseconds=200),
                max_batch=10,
            ),
            *cog_tasks(settings, ports, opener, resources, storage),
            *catalog_tasks(settings, ports, opener, resources, storage),
            *vector_tasks(VectorOpener(blobs, resources), blobs, ports.tables, storage),
            *export_tasks(settings, blobs, ports.layers, resources, storage),
        ]
    )


def cog_tasks(
    settings: Settings, ports: Ports, opener: RasterOpener, resources: Resources, storage: RetryPolicy
) -> list[TaskDefinition[Any]]:
    """The task types of which conversions of rasters are made."""
    blobs = ports.blobs
    publisher = Publisher(blobs, ports.publications, settings.scratch_container, software_versions)
    maker = CogMaker(blobs, settings.scratch_container)
    brief = timedelta(milliseconds=20)
    return [
        *planning_tasks(blobs, opener, publisher, resources, storage),
        TaskDefinition(
            "convert_raster",
            ConvertRasterParameters,
            ConvertRaster(blobs, opener, maker, resources),
            storage,
            expected_duration=timedelta(milliseconds=500),
            max_batch=10,
        ),
        TaskDefinition(
            "assemble_cog",
            AssembleCogParameters,
            AssembleCog(blobs, opener, maker, resources, publisher),
            storage,
            expected_duration=brief,
            max_batch=50,
        ),
        TaskDefinition(
            "publish_cog",
            PublishCogParameters,
            PublishCog(blobs, publisher),
            storage,
            expected_duration=brief,
            max_batch=50,
            waits_for_io=True,
        ),
        TaskDefinition(
            "write_item",
            WriteItemParameters,
            WriteItem(blobs),
            storage,
            expected_duration=brief,
            max_batch=50,
            waits_for_io=True,
        ),
    ]


def planning_tasks(
    blobs: BlobRepository,
    opener: RasterOpener,
    publisher: Publisher,
    resources: Resources,
    storage: RetryPolicy,
) -> list[TaskDefinition[Any]]:
    """The task types that look at rasters and say what is to be made of them."""
    quick = timedelta(milliseconds=100)
    return [
        TaskDefinition(
            "inspect_raster",
            InspectRasterParameters,
            InspectRaster(blobs, opener, publisher, resources),
            storage,
            expected_duration=quick,
            max_batch=50,
            waits_for_io=True,
        ),
        TaskDefinition(
            "inspect_mosaic_part",
            InspectMosaicPartParameters,
            InspectMosaicPart(blobs, opener),
            storage,
            expected_duration=quick,
            max_batch=50,
            waits_for_io=True,
        ),
        TaskDefinition(
            "compose_mosaic", ComposeMosaicParameters, ComposeMosaic(publisher, resources), storage
        ),
    ]


def catalog_tasks(
    settings: Settings, ports: Ports, opener: RasterOpener, resources: Resources, storage: RetryPolicy
) -> list[TaskDefinition[Any]]:
    """The task types that set up the STAC catalog and fill it."""
    blobs, catalog, administration = ports.blobs, ports.catalog, ports.administration
    scratch = settings.scratch_container
    validator = ItemValidator(*([settings.stac_schemas] if settings.stac_schemas else []))
    return [
        *collection_tasks(settings, ports.items, blobs, validator, storage),
        TaskDefinition("migrate_catalog", MigrateCatalogParameters, MigrateCatalog(administration), storage),
        TaskDefinition(
            "configure_catalog", ConfigureCatalogParameters, ConfigureCatalog(administration), storage
        ),
        TaskDefinition("verify_catalog", VerifyCatalogParameters, VerifyCatalog(administration), storage),
        TaskDefinition(
            "find_stac_sources", FindStacSourcesParameters, FindStacSources(blobs, catalog), storage
        ),
        TaskDefinition(
            "build_stac_items",
            BuildStacItemsParameters,
            BuildStacItems(
                blobs,
                RegisteredDocuments(blobs, catalog, validator, scratch, resources),
                RegisteredRasters(blobs, opener, validator, scratch, resources.room),
            ),
            storage,
            expected_duration=timedelta(milliseconds=200),
            max_batch=10,
        ),
        TaskDefinition(
            "load_items",
            LoadItemsParameters,
            LoadItems(blobs, catalog, scratch, resources),
            storage,
            expected_duration=timedelta(seconds=1),
        ),
    ]
