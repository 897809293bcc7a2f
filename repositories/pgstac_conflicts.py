"""What gets in the way of a transaction on pgstac for a moment, and what does so for good."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg import errors

from interfaces.catalog import CatalogNotSetUp, CatalogState, ItemsRefused
from interfaces.errors import ServiceUnavailable

T = TypeVar("T")

ATTEMPTS = 6
"""Of a transaction that others' locks or partitions got in the way of."""
IN_THE_WAY = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.LockNotAvailable,
    errors.ObjectInUse,
    errors.CheckViolation,
    errors.UndefinedTable,
    errors.DuplicateTable,
)
"""A constraint of a partition was tightened by others meanwhile, as in pypgstac's loader. Or
pgstac's functions list a partition that others have undone, or make one that others are making."""
MISSING = (errors.UndefinedTable, errors.UndefinedFunction, errors.InvalidSchemaName, errors.UndefinedColumn)
UNREADABLE = (errors.DataError, errors.IntegrityError, errors.InternalError_, errors.RaiseException)
VANISHED = ("could not open relation", "cache lookup failed", "tuple concurrently")
"""How PostgreSQL's messages begin where a table has gone between two steps of one statement. Those errors are
internal, and so are PostGIS's about geometries."""


def tried(transaction: Callable[[], T]) -> T:
    """The transaction's answer, again where others got in its way. Raises `ItemsRefused` for bad data."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return transaction()
        except (ServiceUnavailable, psycopg.Error) as error:
            cause = error.__cause__ if isinstance(error, ServiceUnavailable) else error
            if not may_pass(cause) or attempt == ATTEMPTS:
                if isinstance(error, UNREADABLE):
                    raise ItemsRefused(_first_line(error)) from error
                raise
        time.sleep(random.uniform(0, 0.05 * 2**attempt))
    raise AssertionError  # the last attempt returns or raises


def may_pass(error: BaseException | None) -> bool:
    """Whether the same transaction may succeed a moment later."""
    if isinstance(error, errors.InternalError_):
        return str(error).startswith(VANISHED)
    if isinstance(error, errors.UniqueViolation):
        # Two made one table or type at once.
        return error.diag.schema_name == "pg_catalog"
    return isinstance(error, IN_THE_WAY)


def check_set_up(state: CatalogState, error: psycopg.Error) -> None:
    """Raise `CatalogNotSetUp` where an error of the kind `MISSING` means that pgstac is not there.

    pgstac's functions raise such errors too, for a partition that went, or is not yet to be seen.
    """
    if not state.ready:
        raise CatalogNotSetUp("the database has no pgstac, or an older one: run stac_setup") from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]
