"""The part of registration.py's list that is about collections of the STAC catalog."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from controllers.stac_collection import StacCollection
from controllers.stac_export import StacExport
from controllers.stac_validate import StacValidate
from interfaces.blobs import BlobRepository
from interfaces.catalog import CatalogNotSetUp
from interfaces.catalog_items import CatalogItems
from interfaces.settings import Settings
from interfaces.workflows import JobController, RetryPolicy, TaskDefinition
from services.export_blobs import ExportBlobs
from services.scratch import ScratchSpace
from services.stac.collections import (
    SummarizeItems,
    SummarizeItemsParameters,
    UpdateCollection,
    UpdateCollectionParameters,
)
from services.stac.exporting import (
    MARK,
    ExportCatalog,
    ExportCatalogParameters,
    ExportCollection,
    ExportCollectionParameters,
    ExportItems,
    ExportItemsParameters,
)
from services.stac.ranges import DivideCollections, DivideCollectionsParameters
from services.stac.validating import ValidateItems, ValidateItemsParameters
from services.stac.validation import ItemValidator


def collection_jobs() -> list[JobController[Any]]:
    """The job types."""
    return [StacCollection(), StacExport(), StacValidate()]


def collection_tasks(
    settings: Settings,
    items: CatalogItems,
    blobs: BlobRepository,
    validator: ItemValidator,
    storage: RetryPolicy,
) -> list[TaskDefinition[Any]]:
    """The task types."""
    catalog = replace(storage, permanent=(CatalogNotSetUp,))
    seconds = timedelta(seconds=5)
    exports = ExportBlobs(blobs, settings.scratch_container, MARK)
    scratch = ScratchSpace(settings.task_scratch_limit, settings.scratch_folder)
    return [
        TaskDefinition("divide_collections", DivideCollectionsParameters, DivideCollections(items), catalog),
        TaskDefinition(
            "summarize_items",
            SummarizeItemsParameters,
            SummarizeItems(items),
            catalog,
            expected_duration=seconds,
        ),
        TaskDefinition("update_collection", UpdateCollectionParameters, UpdateCollection(items), catalog),
        TaskDefinition(
            "validate_items",
            ValidateItemsParameters,
            ValidateItems(items, blobs, validator),
            catalog,
            expected_duration=timedelta(seconds=1),
        ),
        TaskDefinition(
            "export_items",
            ExportItemsParameters,
            ExportItems(items, exports, scratch),
            catalog,
            expected_duration=seconds,
        ),
        TaskDefinition(
            "export_collection",
            ExportCollectionParameters,
            ExportCollection(items, exports, scratch),
            catalog,
            expected_duration=seconds,
        ),
        TaskDefinition("export_catalog", ExportCatalogParameters, ExportCatalog(exports), catalog),
    ]
