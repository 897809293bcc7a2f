"""Ports of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from local.stack.ports import LOOPBACK, accepts, free_ports, holder, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as listening:
        yield listening.getsockname()[1]


def test_a_port_with_a_listener_is_not_free(taken: int) -> None:
    assert not is_free(taken)
    assert accepts(taken)


def test_a_port_is_free_again_as_soon_as_its_server_has_ended() -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        port = listening.getsockname()[1]
        # A connection that the server closes first stays in TIME_WAIT.
        with socket.create_connection((LOOPBACK, port)):
            listening.accept()[0].close()
    assert is_free(port)
    assert not accepts(port)


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)


def test_preferred_ports_are_kept_while_all_of_them_are_free(taken: int) -> None:
    wanted = free_ports(2)
    assert free_ports(2, wanted) == wanted
    assert taken not in free_ports(2, [wanted[0], taken])


def test_preferred_ports_from_a_file_of_another_shape_are_not_used() -> None:
    assert len(free_ports(3, [free_ports(1)[0]])) == 3


def test_the_holder_of_a_port_is_named(taken: int) -> None:
    assert holder(taken).startswith(f"process {os.getpid()}: ")


def test_nobody_holds_a_free_port() -> None:
    assert holder(free_ports(1)[0]) == ""
