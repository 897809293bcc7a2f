"""The storage account: one credential and one client of each service per process."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from interfaces.errors import ServiceUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.pipeline.transport import RequestsTransport
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

C = TypeVar("C", bound=Any)
"""A service client of the SDK; the two have no base in common."""

EMULATOR_API_VERSION = "2025-11-05"
"""Azurite refuses versions newer than it knows."""
POOL_CONNECTIONS = 64
"""Kept-open connections per service: more than the threads of a worker, or they open one per call."""
RESPONSE_PIECE_BYTES = 256 * 1024
"""Of an answer that are taken from a connection at a time. The SDK's default of 4 KiB takes twice as long:
measured with blobs of 8 MiB on Azurite, 64 instead of 32 ms, of which 45 instead of 25 of this process."""
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
RETRIES = 4
"""Of the blob service, by the SDK's own policy, after about 1, 3, 5 and 9 s."""
QUEUE_RETRIES = 1
"""Within a second, for a connection that was closed while idle. The outbox repeats what could not be sent,
and meanwhile somebody may be waiting for the answer to a submission."""
QUEUE_READ_TIMEOUT_SECONDS = 10
COPY_SIGNATURE_LIFETIME = timedelta(minutes=15)
"""The service takes a block, or a blob of 256 MiB, within seconds."""
STORAGE_SCOPE = "https://storage.azure.com/.default"


class StorageAccount:
    """Makes the SDK's clients, each once, when first asked for.

    With a connection string (Azurite, tests) its key is used, otherwise `DefaultAzureCredential`. The
    SDK is imported on first use: an app that only answers /api/livez does not pay for it.
    """

    def __init__(
        self, connection_string: str = "", account_name: str = "", *, retries: int = RETRIES
    ) -> None:
        self._retries = retries
        self._connection_string = connection_string
        self._account_name = account_name
        self._lock = threading.Lock()
        self._blob_service: BlobServiceClient | None = None
        self._queue_service: QueueServiceClient | None = None

    @cached_property
    def _credential(self) -> TokenCredential:
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()

    def blob_service(self) -> BlobServiceClient:
        """The process's client of the blob service. Thread-safe."""
        from azure.storage.blob import BlobServiceClient, ExponentialRetry

        with self._lock:
            if self._blob_service is None:
                retry = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=self._retries)
                self._blob_service = self._client(BlobServiceClient, "blob", retry)
            return self._blob_service

    def queue_service(self) -> QueueServiceClient:
        """The process's client of the queue service. Thread-safe."""
        from azure.storage.queue import LinearRetry, QueueServiceClient

        with self._lock:
            if self._queue_service is None:
                retries = min(self._retries, QUEUE_RETRIES)
                retry = LinearRetry(backoff=0, retry_total=retries, random_jitter_range=1)
                self._queue_service = self._client(
                    QueueServiceClient, "queue", retry, QUEUE_READ_TIMEOUT_SECONDS
                )
            return self._queue_service

    def _client(
        self,
        kind: type[C],
        service: str,
        retry_policy: object,
        read_timeout: int = READ_TIMEOUT_SECONDS,
    ) -> C:
        options = {
            "retry_policy": retry_policy,
            "transport": _transport(read_timeout),
            "connection_timeout": CONNECT_TIMEOUT_SECONDS,
            "read_timeout": read_timeout,
        }
        client: C
        if not self._connection_string:
            client = kind(self._endpoint(service), credential=self._credential, **options)
            return client
        try:
            client = kind.from_connection_string(
                self._connection_string, api_version=EMULATOR_API_VERSION, **options
            )
        except ValueError:
            raise ServiceUnavailable(
                "storage is not configured: the connection string is malformed"
            ) from None
        return client

    def copy_source(self, container: str, name: str) -> tuple[str, str | None]:
        """The URL from which the service itself may read a blob, and an authorization to go with it; secret.

        With an identity the URL is plain, and its token goes beside it (`x-ms-copy-source-authorization`).
        With a connection string the URL is signed, for reading this one blob for a quarter of an hour.
        https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url#request-headers
        """
        client = self.blob_service().get_blob_client(container, name)
        if not self._connection_string:
            return str(client.url), f"Bearer {self._token()}"
        key = getattr(client.credential, "account_key", None)
        if key is None:
            # The connection string itself holds a signature, which the URL has already.
            return str(client.url), None
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        signature = generate_blob_sas(
            str(client.account_name),
            container,
            name,
            account_key=key,
            permission=BlobSasPermissions(read=True),
            expiry=datetime.now(UTC) + COPY_SIGNATURE_LIFETIME,
        )
        return f"{client.url}?{signature}", None

    def gdal_options(self) -> dict[str, str]:
        """What GDAL's /vsiaz/ needs to reach this account; secret, for one thread's configuration only.

        An access token is fetched anew each time: the identity library keeps it and renews it in time.
        """
        if self._connection_string:
            return {"AZURE_STORAGE_CONNECTION_STRING": self._connection_string}
        return {
            "AZURE_STORAGE_ACCOUNT": self._account_name,
            "CPL_AZURE_ENDPOINT": self._endpoint("blob"),
            "AZURE_STORAGE_ACCESS_TOKEN": self._token(),
        }

    def _token(self) -> str:
        from .storage_errors import storage_errors

        with self._lock:
            credential = self._credential
        with storage_errors():
            return credential.get_token(STORAGE_SCOPE).token

    def _endpoint(self, service: str) -> str:
        if not self._account_name:
            raise ServiceUnavailable(
                "storage is not configured: set AzureWebJobsStorage or its __accountName"
            )
        return f"https://{self._account_name}.{service}.core.windows.net"


def _transport(read_timeout: int) -> RequestsTransport:
    """The SDK's transport with a pool that fits the worker's threads; its own has 10 connections."""
    from azure.core.pipeline.transport import RequestsTransport
    from requests import Session
    from requests.adapters import HTTPAdapter

    session = Session()
    for scheme in ("https://", "http://"):
        # Retries are the SDK's policy alone: a second layer would multiply the attempts.
        session.mount(
            scheme,
            HTTPAdapter(pool_connections=POOL_CONNECTIONS, pool_maxsize=POOL_CONNECTIONS, max_retries=0),
        )
    return RequestsTransport(
        session=session,
        session_owner=False,
        connection_data_block_size=RESPONSE_PIECE_BYTES,
        connection_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout,
    )
