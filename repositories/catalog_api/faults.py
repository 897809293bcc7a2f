"""What the database says, as errors of ours: nothing of it is told to a client by chance."""

from __future__ import annotations

import psycopg
from psycopg import errors

from interfaces.errors import (
    CatalogMissing,
    Conflict,
    InvalidRequest,
    NotFound,
    OrchestratorError,
    ServiceUnavailable,
)

NOT_SET_UP = "the database has no STAC catalog yet: run the job stac_setup"
MISSING = (errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedObject)
UNREADABLE = (
    errors.DataError,
    errors.RaiseException,
    errors.NotNullViolation,
    errors.CheckViolation,
    errors.InternalError_,
    errors.UndefinedColumn,
    errors.DatatypeMismatch,
    errors.CannotCoerce,
    errors.SyntaxError,
)
"""What pgstac and PostGIS say of a filter, a geometry or an item that they cannot read."""
LONGEST = 500


def told(error: psycopg.Error) -> OrchestratorError | None:
    """The error that says what went wrong; None where that is the connection, or nobody foresaw it."""
    if isinstance(error, errors.UndefinedTable) and error.diag.context:
        # Inside of one of pgstac's functions: others have made or undone a partition meanwhile.
        return ServiceUnavailable("the catalog's partitions are being changed: try again")
    if isinstance(error, MISSING):
        return CatalogMissing(NOT_SET_UP)
    if isinstance(error, errors.QueryCanceled):
        return ServiceUnavailable("the catalog took too long to answer: ask for less, or more precisely")
    if isinstance(error, errors.UniqueViolation):
        return Conflict("it exists already")
    if isinstance(error, errors.NoDataFound):
        return NotFound("there is no such item or collection")
    if isinstance(error, errors.ForeignKeyViolation):
        return NotFound("there is no such collection")
    if isinstance(error, errors.CheckViolation) and error.diag.table_name == "items":
        # Each collection has a partition of this table.
        return NotFound("there is no such collection")
    if isinstance(error, UNREADABLE):
        return InvalidRequest(f"the catalog refuses this: {_primary(error)}")
    return None


def _primary(error: psycopg.Error) -> str:
    """The server's message without its context, which quotes pgstac's functions."""
    return (error.diag.message_primary or type(error).__name__)[:LONGEST]
