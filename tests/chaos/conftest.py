"""Hosts that modules of tests share, whose workers die."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from local.stack.postgres import PostgresServer
from tests.chaos.crash_harness import CrashHost, CrashHosts, HostWith, crash_host
from tests.chaos.crash_shape import Shape


@pytest.fixture(scope="module")
def crash_hosts(
    postgres_server: PostgresServer,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CrashHosts]:
    """Starts hosts on copies of a database, for jobs of these shapes; each is started once a module."""
    with ExitStack() as running:

        def hosts(template: str, shapes: Mapping[str, Shape]) -> HostWith:
            started: dict[object, CrashHost] = {}

            def host_with(environment: Mapping[str, str], *, workers: int = 1, number: int = 0) -> CrashHost:
                key = (tuple(sorted(environment.items())), workers, number)
                if key not in started:
                    host = crash_host(
                        postgres_server,
                        template,
                        storage_connection_string,
                        tmp_path_factory.mktemp("host"),
                        workers=workers,
                        environment=environment,
                        shapes=shapes,
                    )
                    started[key] = running.enter_context(host)
                return started[key]

            return host_with

        yield hosts
