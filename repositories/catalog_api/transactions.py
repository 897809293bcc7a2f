"""The library's transactions, refusing what the catalog could store but nobody could find or search past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stac_fastapi.extensions.transaction import TransactionExtension
from stac_fastapi.extensions.transaction.request import PartialCollection
from stac_fastapi.pgstac.models.extensions import Extensions
from stac_fastapi.pgstac.transactions import BulkTransactionsClient, TransactionsClient

from interfaces.errors import FieldError, InvalidRequest
from interfaces.storable_items import why_id_is_unfit, why_not_storable


class CheckedItems:
    """What the library's clients ask before they write, by the rules that jobs go by, too."""

    def _validate_item(self, request: Any, item: Any, collection_id: str, *args: Any, **kwargs: Any) -> None:
        super()._validate_item(request, item, collection_id, *args, **kwargs)  # type: ignore[misc]
        refuse(why_not_storable(item))


class CatalogTransactions(CheckedItems, TransactionsClient):  # type: ignore[misc]
    """Writes items and collections."""

    def _validate_collection(self, request: Any, collection: Mapping[str, Any]) -> None:
        super()._validate_collection(request, collection)
        refuse(why_id_is_unfit(collection.get("id")))

    async def update_collection(
        self, collection: Any, request: Any, collection_id: str | None = None, **kwargs: Any
    ) -> Any:
        """PUT /collections/{collection_id}."""
        _stays(collection_id, collection.id)
        return await super().update_collection(collection, request, collection_id=collection_id, **kwargs)

    async def patch_collection(self, collection_id: str, patch: Any, request: Any, **kwargs: Any) -> Any:
        """PATCH /collections/{collection_id}."""
        if isinstance(patch, PartialCollection):
            _stays(collection_id, patch.id)
        else:
            for step in patch:
                changed = {step.path} if step.op != "test" else set()
                if step.op == "move":
                    changed.add(step.from_)
                if changed & {"", "/id"}:
                    _stays(collection_id, getattr(step, "value", step.path))
        return await super().patch_collection(collection_id, patch, request, **kwargs)


class CatalogBulkTransactions(CheckedItems, BulkTransactionsClient):  # type: ignore[misc]
    """Writes many items at once, and says of each that is refused why."""


class CatalogExtensions(Extensions):  # type: ignore[misc]
    """The library's extensions, with the clients above."""

    @property
    def transaction(self) -> list[Any]:
        """The extensions that write."""
        extensions: list[Any] = super().transaction
        for extension in extensions:
            writes_one = isinstance(extension, TransactionExtension)
            extension.client = CatalogTransactions() if writes_one else CatalogBulkTransactions()
        return extensions


def refuse(found: Iterable[tuple[str, str]]) -> None:
    """Raise `InvalidRequest` with paths and reasons, if there are any."""
    errors = [FieldError(field=path, reason=reason) for path, reason in found]
    if errors:
        raise InvalidRequest("; ".join(f"{e.field}: {e.reason}" for e in errors), errors=errors)


def _stays(collection_id: str | None, wanted: object) -> None:
    """To pgstac another id is another collection, so that the one that is meant would stay as it is."""
    if None not in (collection_id, wanted) and wanted != collection_id:
        refuse([("id", f"must stay {collection_id!r}")])
