"""The part of registration.py's list that is about vector files."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from controllers.export_vector import ExportVector
from controllers.validate_vector import ValidateVector as ValidateVectorJob
from controllers.vector_to_postgis import VectorToPostgis
from interfaces.blobs import BlobRepository
from interfaces.layer_exports import LayerReader
from interfaces.layers import FeatureTables
from interfaces.settings import Settings
from interfaces.workflows import JobController, RetryPolicy, TaskDefinition
from services.cog.resources import Resources
from services.export_blobs import ExportBlobs
from services.vector.exporting import (
    MARK,
    ExportLayer,
    ExportLayerParameters,
    FindLayer,
    FindLayerParameters,
)
from services.vector.files import VectorOpener
from services.vector.inspecting import InspectVector, InspectVectorParameters
from services.vector.listing import ListVectors, ListVectorsParameters
from services.vector.loading import LoadChunk, LoadChunkParameters
from services.vector.preparing import PrepareTable, PrepareTableParameters
from services.vector.publishing import PublishLayer, PublishLayerParameters
from services.vector.validating import ValidateVector, ValidateVectorParameters


def vector_jobs() -> list[JobController[Any]]:
    """The job types."""
    return [ExportVector(), ValidateVectorJob(), VectorToPostgis()]


def vector_tasks(
    opener: VectorOpener, blobs: BlobRepository, tables: FeatureTables, storage: RetryPolicy
) -> list[TaskDefinition[Any]]:
    """The task types of which loads of vector files are made, and the one that looks at them only."""
    return [
        TaskDefinition("list_vectors", ListVectorsParameters, ListVectors(blobs), storage),
        TaskDefinition(
            "inspect_vector",
            InspectVectorParameters,
            InspectVector(opener),
            storage,
            expected_duration=timedelta(milliseconds=500),
        ),
        TaskDefinition(
            "prepare_table",
            PrepareTableParameters,
            PrepareTable(tables),
            storage,
            expected_duration=timedelta(milliseconds=50),
            max_batch=10,
        ),
        TaskDefinition("load_chunk", LoadChunkParameters, LoadChunk(opener, tables), storage),
        # So often that it outlasts an export, which holds the table for as long as a task may take.
        TaskDefinition(
            "publish_layer",
            PublishLayerParameters,
            PublishLayer(tables),
            replace(storage, max_attempts=12),
        ),
        TaskDefinition(
            "validate_vector",
            ValidateVectorParameters,
            ValidateVector(blobs, opener, tables),
            storage,
            expected_duration=timedelta(milliseconds=500),
        ),
    ]


def export_tasks(
    settings: Settings,
    blobs: BlobRepository,
    layers: LayerReader,
    resources: Resources,
    storage: RetryPolicy,
) -> list[TaskDefinition[Any]]:
    """The task types of which exports of layers are made."""
    exports = ExportBlobs(blobs, settings.scratch_container, MARK)
    return [
        TaskDefinition("find_layer", FindLayerParameters, FindLayer(layers, blobs), storage),
        TaskDefinition(
            "export_layer",
            ExportLayerParameters,
            ExportLayer(layers, exports, resources),
            storage,
            expected_duration=timedelta(seconds=5),
        ),
    ]
