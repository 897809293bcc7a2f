"""Access to storage by identity, and what becomes of the SDK's errors."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import urllib3
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from interfaces.errors import (
    AccessDenied,
    BlobNotFound,
    Conflict,
    ContainerNotFound,
    NotFound,
    OrchestratorError,
    ServiceUnavailable,
)
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from repositories.storage_errors import storage_errors


class Identity:
    """Stands in for `DefaultAzureCredential`, which would look for a managed identity on the network."""

    made = 0

    def __init__(self) -> None:
        Identity.made += 1

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        return AccessToken("a-token", 2**31)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> StorageAccount:
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Identity)
    Identity.made = 0
    return StorageAccount(account_name="lake")


def test_without_a_connection_string_one_identity_serves_all_clients(account: StorageAccount) -> None:
    blob, queue = account.blob_service(), account.queue_service()

    assert blob.url == "https://lake.blob.core.windows.net/"
    assert queue.url == "https://lake.queue.core.windows.net/"
    assert account.blob_service() is blob
    assert account.queue_service() is queue
    account.gdal_options()
    assert Identity.made == 1


def test_gdal_is_given_the_identitys_token(account: StorageAccount) -> None:
    options = account.gdal_options()

    assert options["AZURE_STORAGE_ACCOUNT"] == "lake"
    assert options["AZURE_STORAGE_ACCESS_TOKEN"] == "a-token"
    assert "AZURE_STORAGE_CONNECTION_STRING" not in options


def test_no_identity_is_worth_another_attempt(
    account: StorageAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Identity, *scopes: str, **options: Any) -> AccessToken:
        raise ClientAuthenticationError("tenant 1234 client 5678 secret")

    monkeypatch.setattr(Identity, "get_token", refuse)

    with pytest.raises(ServiceUnavailable) as caught:
        account.gdal_options()
    assert "secret" not in str(caught.value)


def answer(status: int, code: str) -> HttpResponseError:
    response = SimpleNamespace(
        status_code=status, reason="reason?sig=secret", headers={"x-ms-error-code": code}
    )
    return HttpResponseError("https://lake?sig=secret", response=response)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answer(404, "ContainerNotFound"), ContainerNotFound),
        (answer(409, "ContainerBeingDeleted"), ContainerNotFound),
        (answer(404, "BlobNotFound"), BlobNotFound),
        (answer(404, ""), BlobNotFound),
        (answer(404, "QueueNotFound"), NotFound),
        (answer(403, "AuthorizationPermissionMismatch"), AccessDenied),
        (answer(401, "NoAuthenticationInformation"), AccessDenied),
        (answer(409, "BlobArchived"), Conflict),
        (answer(412, "ConditionNotMet"), Conflict),
        (answer(429, ""), ServiceUnavailable),
        (answer(500, "InternalError"), ServiceUnavailable),
        (answer(503, "ServerBusy"), ServiceUnavailable),
        (ServiceRequestError("no route to lake?sig=secret"), ServiceUnavailable),
        (ServiceResponseError("reset by lake?sig=secret"), ServiceUnavailable),
    ],
)
def test_each_answer_of_storage_is_one_of_our_errors_without_its_secrets(
    error: Exception, ours: type[OrchestratorError]
) -> None:
    with pytest.raises(OrchestratorError) as caught, storage_errors("bronze", "a.tif"):
        raise error

    assert type(caught.value) is ours
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_importing_the_handlers_and_repositories_imports_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "import repositories.blobs, repositories.queues\n"
        "import services.hello, services.listing, services.summary, services.raster_inspection\n"
        "import controllers.hello_world, controllers.list_container, controllers.summarize_container\n"
        "heavy = {'azure.storage', 'azure.core', 'azure.identity', 'requests', 'rasterio', 'rio_cogeo'}\n"
        "print(sorted({*heavy, 'numpy'} & sys.modules.keys()))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("code", ["ContainerNotFound", ""])
def test_whether_blobs_answer_is_found_out_by_what_an_identity_may_ask(
    code: str, account: StorageAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No role for data has `blobServices/getInfo/action`, which Get Account Information takes.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory#permissions-for-blob-service-operations
    """

    def send(self: object, request: requests.PreparedRequest, **options: object) -> requests.Response:
        answer = requests.Response()
        answer.request, answer.url = request, str(request.url)
        answer.raw = urllib3.HTTPResponse(BytesIO(), preload_content=False)
        container = "restype=container" in answer.url and answer.url.startswith("https://lake.blob")
        answer.status_code = 403 if not container else 404 if code else 200
        answer.headers["x-ms-error-code"] = code if container else "AuthorizationPermissionMismatch"
        answer.headers["Last-Modified"] = "Thu, 26 Nov 2026 00:00:00 GMT"
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    AzureBlobRepository(account).ping()
