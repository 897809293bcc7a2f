"""Everything that the local servers need, installed once."""

from __future__ import annotations

from pathlib import Path

from .azurite import ensure_azurite
from .locking import taking_turns
from .node import Node, ensure_node
from .packages import Installation, ensure_postgres
from .paths import Paths
from .progress import Progress


def postgres_programs(paths: Paths, progress: Progress) -> Installation:
    """PostgreSQL with PostGIS, found or installed.

    Raises:
        Missing: it could not be had; names the command that gets it.
    """
    with taking_turns(paths.local / "install.lock", progress):
        return ensure_postgres(paths, progress)


def azurite_programs(paths: Paths, progress: Progress) -> tuple[Node, Path]:
    """Node.js and Azurite's script, found or installed.

    Raises:
        Missing: one of them could not be had; names the command that gets it.
    """
    with taking_turns(paths.local / "install.lock", progress):
        node = ensure_node(paths, progress)
        return node, ensure_azurite(paths, node, progress)
