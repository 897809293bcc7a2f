"""Every endpoint with every role, with keys and with identities; nothing behind the endpoints is called."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import azure.functions as func
import httpx
import pytest

from interfaces.access import Principal, Role, current_caller
from interfaces.errors import NotAuthenticated, ServiceUnavailable
from interfaces.settings import Settings
from local.functions_host.http_routes import AuthLevel
from local.functions_host.invocation_context import InvocationContext
from local.functions_host.keys import HostKeys
from tests.fix_stack import CHECKOUT
from tests.unit.host.test_http_server import ask
from tests.unit.triggers.access_table import MOUNTED, NEEDS, ROLES, let_in
from tests.unit.triggers.http_client import Answer, Client
from tests.unit.triggers.test_openapi import dependencies, described
from triggers.http import blueprint, build
from triggers.http.access import EntraGate, Gate, KeyGate
from triggers.http.requests import Request
from triggers.http.routing import Endpoint, register
from triggers.threads import Threads

ALL = NEEDS | MOUNTED
TENANT = "00000000-0000-0000-0000-00000000000a"
ANONYMOUS_READS = Settings(catalog_anonymous_reads=True, features_anonymous_reads=True)
THREADS = Threads("test", 2)
KEYS = HostKeys(function="f-key", admin="a-key")


class Identities:
    """Takes `Authorization: Bearer NAME-OF-A-ROLE` for its word; as a session where there is a cookie."""

    down = False

    def principal(self, headers: Mapping[str, str]) -> Principal:
        if self.down:
            raise ServiceUnavailable("the keys that tokens are signed with cannot be fetched now")
        scheme, _, label = headers.get("authorization", headers.get("cookie", "")).partition(" ")
        if label not in ROLES:
            told = {"challenge": 'Bearer realm="test"', "sign_in": "/.auth/login/aad"}
            raise NotAuthenticated("this needs a token", **told)
        return Principal("user", "ada", Role.highest([label]), "an-object", by_session=scheme == "Session")


@cache
def endpoints(anonymous_reads: bool = False) -> list[Endpoint]:
    """Every endpoint, with handlers that say whom they were called by."""
    settings = ANONYMOUS_READS if anonymous_reads else Settings()
    found = blueprint.endpoints(dependencies(settings=settings))
    return [replace(one, methods=dict.fromkeys(one.methods, _through)) for one in found]


def _through(_: Request) -> func.HttpResponse:
    caller = current_caller()
    assert caller is not None
    return func.HttpResponse(f"{caller.principal.kind} {caller.principal.role.label}")


def client(gate: Gate, *, anonymous_reads: bool = False) -> Client:
    made = func.Blueprint()  # type: ignore[no-untyped-call]
    for endpoint in endpoints(anonymous_reads):
        register(made, endpoint, Settings(), THREADS, gate=gate)
    return Client(made)


@cache
def by_identity(anonymous_reads: bool = False) -> Client:
    return client(EntraGate(Identities()), anonymous_reads=anonymous_reads)


@cache
def by_key() -> Client:
    return client(KeyGate())


def declared(anonymous_reads: bool = False) -> dict[tuple[str, str], str]:
    """What each method of each endpoint needs, as the endpoints say."""
    return {
        (method, one.route): one.needs(method).label
        for one in endpoints(anonymous_reads)
        for method in one.methods
    }


def url_of(route: str) -> str:
    return "/api/" + re.sub(r"\{\*?(\w+)\}", r"\1", route)


async def ask_all(api: Client, headers: dict[str, str]) -> dict[tuple[str, str], Answer]:
    """Each method of each endpoint once."""
    return {(method, route): await api.call(method, url_of(route), headers=headers) for method, route in ALL}


def as_role(role: str) -> dict[str, str]:
    return {"authorization": f"Bearer {role}"}


def test_every_endpoint_says_what_it_needs_and_means_it() -> None:
    assert declared() == ALL


def test_anonymous_reads_open_reading_alone() -> None:
    changed = {key: need for key, need in declared(anonymous_reads=True).items() if need != ALL[key]}
    assert changed == dict.fromkeys((k for k, need in MOUNTED.items() if need == "reader"), "anyone")


@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize("anonymous_reads", [False, True], ids=["", "anonymous reads"])
def test_every_endpoint_lets_in_who_has_the_role_and_nobody_else(
    role: str | None, anonymous_reads: bool
) -> None:
    wanted: dict[tuple[str, str], int] = {}
    answers = asyncio.run(ask_all(by_identity(anonymous_reads), as_role(role) if role else {}))
    for (method, route), needed in ALL.items():
        opened = anonymous_reads and (method, route) in MOUNTED and needed == "reader"
        answer = answers[method, route]
        if needed == "anyone" or opened:
            wanted[method, route] = 200
            assert answer.text() == "anonymous anyone"
        elif role is None:
            wanted[method, route] = 401
        else:
            wanted[method, route] = 200 if let_in(needed, role) else 403
            if answer.status == 403:
                assert f"needs the role {needed}" in problem_of(answer, "role-needed")["detail"]
    found = {key: answer.status for key, answer in answers.items()}
    assert found == wanted


@pytest.mark.parametrize(
    ("key", "opened"),
    [(None, {"anyone"}), ("f-key", {"anyone", "reader", "submitter", "operator"}), ("a-key", set(ROLES))],
)
def test_the_hosts_keys_open_what_they_should(key: str | None, opened: set[str]) -> None:
    """A function key opens everything but changes of the schema. The host is the one that is in the house."""
    api = by_key()
    headers = {"x-functions-key": key} if key else {}
    for (method, route), needed in ALL.items():
        (served,) = [one for one in api.routes if one.template == route and method in one.methods]
        level = AuthLevel(served.auth_level.removeprefix("AuthLevel.").lower())
        let = KEYS.allow(level, headers, {})
        assert let is (needed in opened | {"anyone"}), (method, route)
        assert KEYS.allow(level, {}, {"code": key or ""}) is let


def test_with_identities_no_key_counts() -> None:
    api = by_identity()
    assert {route.auth_level.removeprefix("AuthLevel.").upper() for route in api.routes} == {"ANONYMOUS"}
    assert api.get("/api/db/jobs", {"x-functions-key": "a-key"}).status == 401
    assert api.get("/api/db/jobs?code=a-key").status == 401


def test_whoever_comes_with_a_key_is_called_so() -> None:
    api = by_key()
    assert api.get("/api/db/jobs", {"x-functions-key": "f-key"}).text() == "key operator"
    assert api.get("/api/db/jobs?Code=f-key").text() == "key operator"
    assert api.post("/api/db/schema/nuke", headers={"x-functions-key": "a-key"}).text() == "key admin"
    # On a developer's machine, where the host asks for none.
    assert api.get("/api/db/jobs").text() == "anonymous anyone"


def test_head_needs_what_get_needs_and_other_methods_the_least_that_any_needs() -> None:
    api = by_identity()
    asked = [("HEAD", "/api/db/jobs"), ("OPTIONS", "/api/db/jobs"), ("PUT", "/api/db/jobs")]
    assert [api.request(method, url).status for method, url in asked] == [401, 401, 401]
    statuses = [api.request(method, url, headers=as_role("reader")).status for method, url in asked]
    assert statuses == [200, 204, 405]
    mixed = Endpoint("mixed", "mixed", {}, {"GET": Role.READER, "POST": Role.OPERATOR})
    needed = [mixed.needs(method) for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT")]
    assert needed == [Role.READER, Role.READER, Role.OPERATOR, Role.READER, Role.READER]


def problem_of(answer: Answer, kind: str) -> dict[str, Any]:
    assert answer.mimetype == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (document["type"], document["status"]) == (f"urn:problem:{kind}", answer.status)
    return document


def test_who_is_unknown_is_told_how_to_be_known() -> None:
    answer = by_identity().get("/api/db/jobs")
    problem_of(answer, "not-authenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="test"'
    assert answer.headers["X-Sign-In"] == "/.auth/login/aad"
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_needs_nobody_is_answered_while_identities_cannot_be_looked_up() -> None:
    identities = Identities()
    identities.down = True
    api = client(EntraGate(identities))
    assert api.get("/api/livez", as_role("admin")).status == 200
    answer = api.get("/api/db/jobs", as_role("admin"))
    problem_of(answer, "service-unavailable")
    assert answer.headers["Retry-After"] == "5"


SESSION = {"cookie": "Session admin", "host": "geo.example.org"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://geo.example.org"}, 200),
        ({"origin": "https://evil.example.org"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "https://geo.example.org"}, 403),
        ({"origin": "https://maps.example.org", "x-forwarded-host": "maps.example.org"}, 200),
    ],
)
def test_another_site_cannot_use_the_session_of_a_person_who_is_signed_in(
    headers: dict[str, str], status: int
) -> None:
    api = by_identity()
    assert api.post("/api/jobs/submit", headers=SESSION | headers).status == status
    # Reading is let be: the other site's page cannot see the answer.
    assert api.get("/api/db/jobs", SESSION | headers).status == 200


def test_a_token_is_nothing_that_a_browser_sends_by_itself() -> None:
    headers = as_role("admin") | {"sec-fetch-site": "cross-site"}
    assert by_identity().post("/api/jobs/submit", headers=headers).status == 200


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("GET", "/api/livez", {}, 200),
        ("GET", "/api/db/jobs", {}, 401),
        ("GET", "/api/db/jobs", {"headers": {"x-functions-key": "wrong"}}, 401),
        ("GET", "/api/db/jobs", {"headers": {"x-functions-key": "f-key"}}, 200),
        ("GET", "/api/db/jobs", {"params": {"code": "f-key"}}, 200),
        ("GET", "/api/db/jobs", {"headers": {"x-ms-client-principal": "e30="}}, 401),
        ("POST", "/api/db/schema/nuke", {"headers": {"x-functions-key": "f-key"}}, 401),
        ("POST", "/api/db/schema/nuke", {"headers": {"x-functions-key": "a-key"}}, 200),
    ],
)
def test_the_host_asks_for_its_keys_over_http(method: str, path: str, how: Any, status: int) -> None:
    assert ask(by_host(KeyGate()), method, path, keys=KEYS, **how).status_code == status


def test_the_host_lets_the_app_ask_who_calls_over_http() -> None:
    def asked(method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        return ask(by_host(EntraGate(Identities())), method, path, keys=KEYS, headers=headers)

    refused = asked("GET", "/api/db/jobs", {"x-functions-key": "a-key"})
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="test"')
    lacks = asked("POST", "/api/jobs/submit", as_role("reader"))
    assert (lacks.status_code, lacks.json()["type"]) == (403, "urn:problem:role-needed")
    assert asked("POST", "/api/jobs/submit", as_role("submitter")).status_code == 200


def by_host(gate: Gate) -> func.FunctionApp:
    """One endpoint for each role, without outputs, which would need storage."""
    app, made = func.FunctionApp(), func.Blueprint()  # type: ignore[no-untyped-call]
    for endpoint in endpoints():
        if endpoint.name in ("livez", "db_jobs", "db_schema_nuke", "jobs_submit"):
            register(made, replace(endpoint, dispatches=False), Settings(), THREADS, gate=gate)
    app.register_functions(made)
    return app


def test_the_document_says_which_role_each_operation_needs() -> None:
    api = Client(build(dependencies(identities=Identities())))
    document = api.get("/api/openapi.json").json()
    assert document["components"]["securitySchemes"]["entra"]["scheme"] == "bearer"
    for (method, path), operation in described(document).items():
        submits = path.startswith("/jobs/submit/")
        needed = NEEDS[method, "jobs/submit/{job_type}" if submits else path[1:]]
        needed = "operator" if path == "/jobs/submit/stac_setup" else needed
        assert operation["x-required-role"] == needed
        assert operation["security"] == ([] if needed == "anyone" else [{"entra": [needed]}])
        assert {"401", "403", "503"} <= operation["responses"].keys() or needed == "anyone", path


def documented() -> Iterator[tuple[tuple[str, str], str]]:
    """The table in docs/api.md."""
    text = (CHECKOUT / "docs/api.md").read_text(encoding="utf-8")
    for role, rows in re.findall(
        r"^\| `(anyone|reader|submitter|operator|admin)` \| (.*) \|$", text, re.MULTILINE
    ):
        for methods, route in re.findall(r"`([A-Z ]+) /api/([^`]+)`", rows):
            for method in methods.split():
                yield (method, route), role


def test_the_manual_says_which_role_each_endpoint_needs() -> None:
    found = list(documented())
    assert len(found) == len(dict(found))
    assert dict(found) == {key: need for key, need in ALL.items() if key[0] != "OPTIONS"}


def test_a_library_behind_the_app_sees_neither_key_nor_token_nor_session() -> None:
    seen: list[Mapping[str, str]] = []

    async def answer(request: Any) -> Any:
        seen.append(dict(request.headers))
        raise ServiceUnavailable("enough")

    given = dependencies(identities=Identities())
    given.features_api.answer = answer  # type: ignore[method-assign]
    secrets = {
        "authorization": "Bearer reader",
        "cookie": "AppServiceAuthSession=secret",
        "x-functions-key": "secret",
        "x-ms-client-principal": "secret",
        "x-ms-token-aad-access-token": "secret",
    }
    Client(build(given)).get("/api/features/collections", secrets | {"accept": "application/json"})
    assert seen == [{"accept": "application/json", "content-type": "application/json"}]


def test_the_threads_of_identities_are_their_own() -> None:
    gate = EntraGate(Identities())
    names = asyncio.run(_thread_of(gate))
    assert names.startswith("identities")


async def _thread_of(gate: EntraGate) -> str:
    return await gate._threads.run(InvocationContext("t", "t", ""), lambda: threading.current_thread().name)
