"""One asynchronous queue and blob service client for each storage connection of a worker process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.functions_host.app_settings import AppSettings, StorageConnection
from local.functions_host.errors import HostConfigurationError

# The newest service version that Azurite accepts; the SDKs are usually ahead of it.
API_VERSION = "2025-11-05"

# The SDK's own first delay of 15 s would keep the listeners away long after a restarted server is back.
_RETRY: dict[str, Any] = {
    "initial_backoff": 1,
    "increment_base": 2,
    "random_jitter_range": 1,
    "retry_total": 3,
}


class StorageClients:
    """Clients by the name of the connection setting, made once and closed together."""

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._queues: dict[str | None, QueueServiceClient] = {}
        self._blobs: dict[str | None, BlobServiceClient] = {}
        self._credential: AsyncTokenCredential | None = None
        self._stack = AsyncExitStack()

    def queue(self, connection: str | None, name: str) -> QueueClient:
        """Return a client of the queue; it encodes and decodes nothing."""
        if connection not in self._queues:
            self._queues[connection] = self._queue_service(self._settings.storage_connection(connection))
            self._stack.push_async_callback(self._queues[connection].close)
        return self._queues[connection].get_queue_client(name)

    def container(self, connection: str | None, name: str) -> ContainerClient:
        """Return a client of the blob container."""
        if connection not in self._blobs:
            self._blobs[connection] = self._blob_service(self._settings.storage_connection(connection))
            self._stack.push_async_callback(self._blobs[connection].close)
        return self._blobs[connection].get_container_client(name)

    async def close(self) -> None:
        """Close all clients."""
        await self._stack.aclose()

    def _queue_service(self, connection: StorageConnection) -> QueueServiceClient:
        if connection.connection_string:
            return QueueServiceClient.from_connection_string(
                connection.connection_string, api_version=API_VERSION, **_RETRY
            )
        if not connection.queue_service_uri:
            raise HostConfigurationError("the storage connection names no queueServiceUri")
        return QueueServiceClient(connection.queue_service_uri, credential=self._identity())

    def _blob_service(self, connection: StorageConnection) -> BlobServiceClient:
        if connection.connection_string:
            return BlobServiceClient.from_connection_string(
                connection.connection_string, api_version=API_VERSION, **_RETRY
            )
        if not connection.blob_service_uri:
            raise HostConfigurationError("the storage connection names no blobServiceUri")
        return BlobServiceClient(connection.blob_service_uri, credential=self._identity())

    def _identity(self) -> AsyncTokenCredential:
        if self._credential is None:
            # Imported here because it takes half a second and a connection string needs none of it.
            from azure.identity.aio import DefaultAzureCredential

            credential = DefaultAzureCredential()
            self._stack.push_async_callback(credential.close)
            self._credential = credential
        return self._credential
