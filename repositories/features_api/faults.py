"""What the database says, as errors of ours: nothing of it is told to a client by chance."""

from __future__ import annotations

import psycopg
from psycopg import errors

from interfaces.errors import InvalidRequest, NotFound, OrchestratorError, ServiceUnavailable

UNREADABLE = (
    errors.DataError,
    errors.InternalError_,
    errors.DatatypeMismatch,
    errors.CannotCoerce,
    errors.SyntaxError,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.WrongObjectType,
    errors.AmbiguousFunction,
    errors.IndeterminateDatatype,
    errors.GroupingError,
    errors.StatementTooComplex,
    errors.ProgramLimitExceeded,
)
"""What PostgreSQL and PostGIS say of a filter that does not fit its columns, or of a geometry."""
DROPPED = ("could not open relation with OID", "cache lookup failed")
"""What a statement is told whose table was dropped after it was planned."""
OTHER_CRS = "Operation on mixed SRID geometries"
"""What PostGIS says of a box in the CRS that the layer had when it was looked up."""
REPLACED = "the layer was replaced while it was read: try again"
PLACELESS = ("transform:", "could not form projection")
"""What PostGIS says of a vertex, or a CRS, without longitudes and latitudes. Loads reject such vertices."""
LONGEST = 500


def told(error: psycopg.Error) -> OrchestratorError | None:
    """The error that says what went wrong; None where that is the connection, or nobody foresaw it."""
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
        if "geo.layers" in (error.diag.message_primary or ""):
            # The migrations are missing, which the trigger says of every endpoint.
            return None
        return NotFound("the layer was removed while it was read")
    replaced = _primary(error).startswith(DROPPED) or OTHER_CRS in _primary(error)
    if isinstance(error, errors.UndefinedColumn) or replaced:
        # A filter's columns were looked up before.
        return ServiceUnavailable(REPLACED)
    if isinstance(error, errors.QueryCanceled):
        return ServiceUnavailable("the database took too long to answer: ask for less, or more precisely")
    if isinstance(error, errors.InsufficientPrivilege) or _primary(error).startswith('role "'):
        return ServiceUnavailable("the role that features are read as may not read this")
    if _primary(error).startswith(PLACELESS):
        return InvalidRequest(
            "the layer has geometries without longitudes and latitudes, in which they are answered "
            f"({_primary(error)}): geom-column=none leaves them out"
        )
    if isinstance(error, UNREADABLE):
        return InvalidRequest(f"the database refuses this: {_primary(error)}")
    return None


def _primary(error: psycopg.Error) -> str:
    """The server's message without its context, which quotes the whole query."""
    return (error.diag.message_primary or type(error).__name__)[:LONGEST]
