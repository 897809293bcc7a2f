"""The part of registration.py's list that is about vector files."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from interfaces.blobs import BlobRepository
from interfaces.layers import FeatureTables
from interfaces.workflows import RetryPolicy, TaskDefinition
from services.vector.files import VectorOpener
from services.vector.inspecting import InspectVector, InspectVectorParameters
from services.vector.listing import ListVectors, ListVectorsParameters
from services.vector.loading import LoadChunk, LoadChunkParameters
from services.vector.preparing import PrepareTable, PrepareTableParameters
from services.vector.publishing import PublishLayer, PublishLayerParameters


def vector_tasks(
    opener: VectorOpener, blobs: BlobRepository, tables: FeatureTables, storage: RetryPolicy
) -> list[TaskDefinition[Any]]:
    """The task types of which loads of vector files are made."""
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
        TaskDefinition("publish_layer", PublishLayerParameters, PublishLayer(tables), storage),
    ]
