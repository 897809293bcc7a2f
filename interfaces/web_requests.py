"""Requests as they cross from a trigger to the web application that answers them (`repositories.asgi`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WebRequest:
    """One request, with the address under which its sender knows the API.

    `scheme`, `host` (with its port, where it has one) and `root` (a path without a slash at its end) begin
    every link of the answer. `path` is decoded and below the root, `/` for the root itself. `query` is as it
    was sent. Names of `headers` are lower case; none of them says anything about proxies.
    """

    method: str
    scheme: str
    host: str
    root: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class WebAnswer:
    """One answer; names of headers are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
