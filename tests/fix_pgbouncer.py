"""PgBouncer in transaction mode, which is the usual way to the database in production."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from local.stack.ports import LOOPBACK, accepts, free_ports
from local.stack.postgres import server_account


@contextmanager
def pgbouncer(url: str, folder: Path) -> Iterator[str]:
    """The same database, as the same user, through a PgBouncer; skips the test where it is not installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    server, port = conninfo_to_dict(url), free_ports(1)[0]
    own = folder / f"pgbouncer-{port}"
    own.mkdir()
    account = server_account()
    (own / "users").write_text(f'"{server["user"]}" "{server["password"]}"\n')
    (own / "ini").write_text(
        f"[databases]\n* = host={LOOPBACK} port={server['port']}\n[pgbouncer]\npool_mode = transaction\n"
        f"listen_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {own}/users\ndefault_pool_size = 10\n"
    )
    process = subprocess.Popen([program, "-q", own / "ini"], user=account.uid if account else None)
    try:
        while not accepts(port):
            assert process.poll() is None
            time.sleep(0.02)
        yield make_conninfo(url, port=port)
    finally:
        process.kill()
        process.wait()
