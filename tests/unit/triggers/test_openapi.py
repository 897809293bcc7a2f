"""The OpenAPI document, its page, and that both say what is registered."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any
from unittest.mock import Mock

import openapi_spec_validator
import pytest
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from pydantic import BaseModel

import registration
from interfaces.errors import InvalidRequest, OrchestratorError
from interfaces.jobs import JobTypeInfo
from interfaces.settings import Settings
from interfaces.tracing import NO_TRACING
from tests.fix_stack import CHECKOUT
from tests.unit.triggers.http_client import Client
from triggers.http import HttpDependencies, build, documents, openapi, problem_types, reference
from triggers.http.documents import health, jobs, listings, operations
from triggers.http.requests import Query, Request
from triggers.http.schemas import Schemas

JOB_TYPES = registration.job_catalog().all()
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
NO_JOB = "0" * 64


def dependencies(**given: Any) -> HttpDependencies:
    """Nothing that answers, but the job types."""
    others: dict[str, Any] = {field.name: Mock() for field in fields(HttpDependencies)}
    others["jobs"].job_types.return_value = [
        JobTypeInfo(
            job_type=one.job_type,
            description=one.description,
            needed_role=one.parameters_model.needed_role.label,
            parameters_schema=one.parameters_model.model_json_schema(),
            stages=[],
        )
        for one in JOB_TYPES
    ]
    known = {"settings": Settings(), "tracing": NO_TRACING, "identities": None}
    return HttpDependencies(**others | known | given)


@pytest.fixture(scope="module")
def api() -> Client:
    return Client(build(dependencies()))


@pytest.fixture(scope="module")
def document(api: Client) -> dict[str, Any]:
    answer = api.get("/api/openapi.json")
    assert answer.status == 200
    found: dict[str, Any] = answer.json()
    return found


def described(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Each operation by method and path."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def answered(api: Client) -> Iterator[tuple[str, str]]:
    """Each method that a function of ours answers, by its Allow header, and the function's path."""
    for route in api.routes:
        if "*" in route.template or route.template == "stac/search":
            continue  # of mounted applications, which describe themselves
        url = "/api/" + route.template.replace("{job_id}", NO_JOB).replace("{", "").replace("}", "")
        allowed = api.request("OPTIONS", url).headers["Allow"].split(", ")
        names = [one.job_type for one in JOB_TYPES] if "{job_type}" in route.template else [""]
        for method in set(allowed) - {"OPTIONS", "HEAD"}:
            for name in names:
                yield method, "/" + route.template.replace("{job_type}", name)


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(document)


def test_an_invalid_document_would_be_noticed(document: dict[str, Any]) -> None:
    broken = {**document, "paths": {**document["paths"], "/x": {"get": {"responses": {"200": {}}}}}}
    with pytest.raises(OpenAPIValidationError):
        openapi_spec_validator.validate(broken)


def test_every_endpoint_and_method_is_documented_and_none_other(
    api: Client, document: dict[str, Any]
) -> None:
    assert sorted(described(document)) == sorted(answered(api))


def test_keys_are_asked_for_as_the_functions_ask_for_them(api: Client, document: dict[str, Any]) -> None:
    levels = {"/" + route.template: route.auth_level for route in api.routes}
    schemes = {"ANONYMOUS": [], "FUNCTION": "function", "ADMIN": "admin"}
    for (_, path), operation in described(document).items():
        level = levels["/jobs/submit/{job_type}" if path.startswith("/jobs/submit/") else path]
        named = [name for choice in operation["security"] for name in choice]
        wanted = schemes[level.removeprefix("AuthLevel.").upper()]
        assert named == ([f"{wanted}Key", f"{wanted}KeyInQuery"] if wanted else []), path
        assert ("401" in operation["responses"]) is bool(wanted), path


def test_mounted_applications_are_linked_to_their_own_documents(document: dict[str, Any]) -> None:
    links = [tag["externalDocs"]["url"] for tag in document["tags"] if "externalDocs" in tag]
    assert links == ["dashboard", "stac/api", "features/api"]


def test_each_operation_has_a_summary_of_its_own_and_an_id(document: dict[str, Any]) -> None:
    found = described(document).values()
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(len(operation["summary"]) > 8 for operation in found)


def test_a_job_type_is_a_path_with_its_own_parameters(document: dict[str, Any]) -> None:
    operation = document["paths"]["/jobs/submit/hello_world"]["post"]
    body = operation["requestBody"]
    assert body["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/HelloWorldParameters"
    }
    assert not body["required"]  # it has no parameter that must be given
    assert document["paths"]["/jobs/submit/list_container"]["post"]["requestBody"]["required"]
    envelope = document["paths"]["/jobs/submit"]["post"]["requestBody"]["content"]["application/json"]
    assert len(envelope["schema"]["oneOf"]) == len(JOB_TYPES)


@pytest.mark.parametrize("job_type", JOB_TYPES, ids=lambda one: one.job_type)
def test_the_examples_of_a_job_type_are_valid(job_type: Any) -> None:
    model = job_type.parameters_model
    examples = model.model_json_schema()["examples"]
    assert examples
    for example in examples:
        model.model_validate(example)


def test_the_examples_of_answers_are_valid() -> None:
    shown = 0
    for module in (documents.common, jobs, listings, operations, health):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel:
                for example in model.model_json_schema(mode="serialization").get("examples", []):
                    model.model_validate(example)
                    shown += 1
    assert shown >= 4


def test_the_query_that_is_documented_is_the_one_that_validates(
    api: Client, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[type[Query]] = []

    def query(_: Request, model: type[Query]) -> Query:
        asked.append(model)
        raise InvalidRequest("enough")

    monkeypatch.setattr(Request, "query", query)
    for (method, path), operation in described(document).items():
        asked.clear()
        url = "/api" + path.replace("{job_id}", NO_JOB).replace("{kind}", "job").replace("{", "")
        assert api.request(method, url.replace("}", "")).status == 400, path
        parameters = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
        assert [set(model.model_fields) for model in asked] == [parameters], path


def test_a_problem_is_described_by_the_types_that_its_status_can_have(document: dict[str, Any]) -> None:
    responses = document["components"]["responses"]
    missing = responses["JobNotFound"]["content"]["application/problem+json"]
    assert missing["schema"]["allOf"][1]["properties"]["type"]["enum"] == ["urn:problem:job-not-found"]
    for response in responses.values():
        for example in response["content"]["application/problem+json"]["examples"].values():
            documents.common.Problem.model_validate(example["value"])


def test_two_schemas_of_one_name_are_refused() -> None:
    schemas = Schemas()
    schemas.add({"title": "A", "type": "string"})
    schemas.add({"title": "A", "type": "string"})
    with pytest.raises(ValueError, match="called A"):
        schemas.add({"title": "A", "type": "integer"})


def test_the_type_of_a_problem_is_what_it_is_answered_with() -> None:
    assert problem_types.problem_type(OrchestratorError) == "urn:problem:orchestrator"
    assert problem_types.problem_type(InvalidRequest) == "urn:problem:invalid-request"


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["version"] == openapi.VERSION


def test_requests_go_where_a_proxy_put_the_api(api: Client) -> None:
    assert api.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]
    behind = api.get("/api/openapi.json", {"x-forwarded-prefix": "/geo"}).json()
    assert behind["servers"] == [{"url": "/geo/api"}]


def test_the_page_loads_nothing_but_what_comes_with_it(api: Client) -> None:
    page = api.get("/api/docs")
    assert (page.status, page.mimetype) == (200, "text/html")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'",) * 3
    assert "style=" not in page.text()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text())
    assert [name for name in loaded if not name.startswith("data:,")] == [
        f"docs/{name}" for name in ("swagger-ui.css", "page.css", "swagger-ui-bundle.js", "start.js")
    ]
    for name in reference.MEDIA:
        answer = api.get(f"/api/docs/{name}")
        assert (answer.status, answer.mimetype) == (200, reference.MEDIA[name])
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["page.html", "LICENSE", "..", "%2e%2e%2freference.py", "x" * 5000])
def test_only_files_of_the_page_are_served(api: Client, name: str) -> None:
    assert api.get(f"/api/docs/{name}").status == 404
