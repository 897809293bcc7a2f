"""The identity with which the process speaks to the database in Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .database import TokenProvider, TokenUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

DATABASE_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
"""Scope of Entra tokens for Azure Database for PostgreSQL. Source: Microsoft Learn, "Connect with managed
identity to Azure Database for PostgreSQL"."""

# The heartbeat may be who asks, whose leases end while it waits. Who wants a connection asks again anyway.
CONNECT_SECONDS = 5
READ_SECONDS = 10
RETRIES = 2


def database_token() -> TokenProvider:
    """Tokens for the database from `DefaultAzureCredential`, which caches and refreshes them by itself."""
    from azure.identity import DefaultAzureCredential

    return provider(
        DefaultAzureCredential(
            connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retry_total=RETRIES
        )
    )


def provider(credential: TokenCredential) -> TokenProvider:
    """A credential's tokens for the database. Of an error, its kind is told; the rest is the cause."""
    from azure.core.exceptions import AzureError

    def token() -> str:
        try:
            return credential.get_token(DATABASE_SCOPE).token
        except AzureError as error:
            raise TokenUnavailable(f"the identity provider gave no token ({type(error).__name__})") from error

    return token
