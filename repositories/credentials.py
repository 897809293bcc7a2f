"""The identity with which the process speaks to the database in Azure."""

from __future__ import annotations

from .database import TokenProvider

DATABASE_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
"""Scope of Entra tokens for Azure Database for PostgreSQL. Source: Microsoft Learn, "Connect with managed
identity to Azure Database for PostgreSQL"."""


def database_token() -> TokenProvider:
    """Tokens for the database from `DefaultAzureCredential`, which caches and refreshes them by itself."""
    from azure.identity import DefaultAzureCredential

    credential = DefaultAzureCredential()
    return lambda: credential.get_token(DATABASE_SCOPE).token
