"""App settings: `%NAME%` in binding values, and connections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local.functions_host.errors import HostConfigurationError

DEFAULT_CONNECTION = "AzureWebJobsStorage"
_PREFIX = "AzureWebJobs"
_EXPRESSION = re.compile(r"%([^%]*)%")

# What `UseDevelopmentStorage=true` stands for; the account and its key are published constants:
# https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


@dataclass(frozen=True)
class StorageConnection:
    """How to reach a storage account: a connection string, or service URIs used with an identity."""

    connection_string: str | None = None
    queue_service_uri: str | None = None
    blob_service_uri: str | None = None

    def __repr__(self) -> str:
        kind = "connection string" if self.connection_string else "identity"
        return f"<StorageConnection by {kind}>"


class AppSettings:
    """The app settings of the function app, which locally are its environment variables.

    Names are looked up without regard to case, as .NET configuration does.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in environment.items()}

    def get(self, name: str) -> str | None:
        """Return the setting's value, or None when it is not set."""
        return self._values.get(name.lower())

    def is_disabled(self, function_name: str) -> bool:
        """Tell whether `AzureWebJobs.NAME.Disabled` (or with `__` for each dot) is true.

        https://learn.microsoft.com/azure/azure-functions/disable-function
        """
        names = (f"AzureWebJobs{dot}{function_name}{dot}Disabled" for dot in (".", "__"))
        return any((self.get(name) or "").strip().lower() in ("true", "1") for name in names)

    def expand(self, text: str) -> str:
        """Replace each `%NAME%` by the app setting of that name.

        https://learn.microsoft.com/azure/azure-functions/functions-bindings-expressions-patterns#binding-expressions---app-settings

        Raises:
            HostConfigurationError: a setting is missing, or a percent sign has no partner.
        """
        if text.count("%") % 2:
            raise HostConfigurationError(f"{text!r}: a '%' has no closing '%'")

        def value_of(match: re.Match[str]) -> str:
            value = self.get(match[1])
            if value is None:
                raise HostConfigurationError(f"{text!r}: '%{match[1]}%' does not resolve to a value")
            return value

        return _EXPRESSION.sub(value_of, text)

    def storage_connection(self, name: str | None) -> StorageConnection:
        """Resolve a binding's `connection` property.

        It names a setting that holds a connection string, or is the prefix of settings for an
        identity-based connection (`NAME__accountName`, `NAME__queueServiceUri`, `NAME__blobServiceUri`).
        Without a name it is `AzureWebJobsStorage`; `AzureWebJobsNAME` is looked up before `NAME`.
        https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#connections

        Raises:
            HostConfigurationError: none of these settings is set.
        """
        name = self.expand(name) if name else DEFAULT_CONNECTION
        for candidate in (name,) if name.startswith(_PREFIX) else (_PREFIX + name, name):
            connection = self._connection(candidate)
            if connection is not None:
                return connection
        raise HostConfigurationError(
            f"storage connection {name!r}: set the app setting {name} to a connection string, "
            f"or {name}__queueServiceUri for an identity-based connection"
        )

    def _connection(self, name: str) -> StorageConnection | None:
        text = self.get(name)
        if text:
            if text.strip().lower().rstrip(";") == "usedevelopmentstorage=true":
                text = _DEVELOPMENT_STORAGE
            return StorageConnection(connection_string=text)
        account = self.get(f"{name}__accountName")
        queue_uri = self.get(f"{name}__queueServiceUri")
        blob_uri = self.get(f"{name}__blobServiceUri")
        if account:
            queue_uri = queue_uri or f"https://{account}.queue.core.windows.net"
            blob_uri = blob_uri or f"https://{account}.blob.core.windows.net"
        if queue_uri or blob_uri:
            return StorageConnection(queue_service_uri=queue_uri, blob_service_uri=blob_uri)
        return None
