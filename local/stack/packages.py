"""PostgreSQL with PostGIS from Debian's or Ubuntu's packages: found, installed, or unpacked without root."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .commands import read, run_logged
from .errors import Missing, StackError
from .paths import Paths
from .progress import Progress

# Another apt, such as the unattended upgrades of a machine that has just started, is waited for.
INSTALL = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends")
_SYSTEM = Path("/")
_NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/geospatial-orchestrator.conf")


@dataclass(frozen=True)
class Installation:
    """Where the programs of PostgreSQL are, and the environment they need."""

    bin: Path
    env: Mapping[str, str] = field(default_factory=dict)


def ensure_postgres(paths: Paths, progress: Progress) -> Installation:
    """PostgreSQL with PostGIS: the system's, or one unpacked earlier, or one installed now.

    Raises:
        Missing: none of these could be had; names the command that gets it.
    """
    unpacked = paths.downloads / "debian"
    found = _find(_SYSTEM) or _find_unpacked(unpacked)
    if found:
        return found
    log = paths.logs / "packages.log"
    try:
        if os.geteuid() == 0:
            _install(log, progress)
        else:
            _unpack(unpacked, log, progress)
    except StackError as error:
        raise Missing("PostgreSQL with PostGIS", _advice(), str(error)) from error
    found = _find(_SYSTEM) or _find_unpacked(unpacked)
    if not found:
        raise Missing("PostgreSQL with PostGIS", _advice(), f"What was tried is in {log}.")
    return found


def _find(prefix: Path) -> Installation | None:
    """The newest PostgreSQL below `prefix` that has PostGIS."""
    by_version = sorted(
        prefix.glob("usr/lib/postgresql/[0-9]*"), key=lambda folder: int(folder.name), reverse=True
    )
    for folder in by_version:
        control = prefix / "usr/share/postgresql" / folder.name / "extension/postgis.control"
        if (folder / "bin/initdb").exists() and (folder / "bin/postgres").exists() and control.exists():
            return Installation(folder / "bin")
    return None


def _find_unpacked(prefix: Path) -> Installation | None:
    found = _find(prefix)
    if not found or not (prefix / "complete").exists():
        return None
    # Some libraries, BLAS for one, lie in folders of their own that the package's scripts would link to.
    folders = sorted({str(library.parent) for library in (prefix / "usr/lib").rglob("lib*.so.*")})
    env = {"LD_LIBRARY_PATH": ":".join(folders), "PROJ_DATA": str(prefix / "usr/share/proj")}
    return Installation(found.bin, env)


def _advice() -> str:
    sudo = "" if os.geteuid() == 0 else "sudo "
    try:
        names = " ".join(_package_names([]))
    except StackError:
        names = "postgresql postgresql-15-postgis-3"
    return f"{sudo}apt-get update && {sudo}apt-get install -y {names}"


def _package_names(options: list[str]) -> list[str]:
    """The packages of the newest PostgreSQL for which this distribution has PostGIS."""
    lines = read(["apt-cache", *options, "search", "--names-only", r"^postgresql-[0-9]+-postgis-3$"])
    versions = [int(version) for version in re.findall(r"^postgresql-(\d+)-postgis-3 ", lines, re.MULTILINE)]
    if not versions:
        raise StackError("apt knows no package postgresql-N-postgis-3")
    return [f"postgresql-{max(versions)}", f"postgresql-{max(versions)}-postgis-3"]


def _install(log: Path, progress: Progress) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with progress.step("Refreshing the package lists"):
        update_lists([], log)
    names = _package_names([])
    with progress.step(f"Installing {' '.join(names)} (about half a minute)"), _without_system_cluster():
        run_logged([*INSTALL, *names], log, env=env)


def update_lists(options: list[str], log: Path) -> None:
    """Refresh the lists; a source that does not answer matters only if the package is not found then."""
    try:
        run_logged(["apt-get", *options, "update"], log)
    except StackError:
        if not shutil.which("apt-get"):
            raise


def private_apt(state: Path) -> list[str]:
    """Options by which apt-get keeps its lists below `state` and needs no root.

    Nothing of the system is locked or changed; the system's own lists may be empty or old.
    """
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True)
    settings = {
        "Dir::State::lists": f"{state}/lists",
        "Dir::Cache": str(state),
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


@contextmanager
def _without_system_cluster() -> Iterator[None]:
    """Keep the package from making and starting a server of its own, which nobody asked for.

    createcluster.conf(5) reads this folder; a cluster that exists already is left alone either way.
    """
    created = [folder for folder in (_NO_CLUSTER.parent.parent, _NO_CLUSTER.parent) if not folder.exists()]
    _NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    _NO_CLUSTER.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        _NO_CLUSTER.unlink(missing_ok=True)
        for folder in reversed(created):
            if not any(folder.iterdir()):
                folder.rmdir()


def _unpack(target: Path, log: Path, progress: Progress) -> None:
    """Download the packages and what they depend on, and unpack them below `target`: needs no root."""
    shutil.rmtree(target, ignore_errors=True)
    state = target / "apt"
    options = private_apt(state)
    with progress.step("Refreshing the package lists"):
        update_lists(options, log)
    plan = read(
        ["apt-get", *options, "--simulate", "--no-install-recommends", "install", *_package_names(options)]
    )
    names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    packages = state / "packages"
    packages.mkdir()
    with progress.step(f"Downloading {len(names)} packages of PostgreSQL and PostGIS (about 60 MB)"):
        run_logged(["apt-get", *options, "download", *names], log, cwd=packages)
    with progress.step("Unpacking them"):
        for package in sorted(packages.glob("*.deb")):
            run_logged(["dpkg", "-x", str(package), str(target)], log)
    _link_postgis(target)
    shutil.rmtree(state)
    (target / "complete").touch()


def _link_postgis(prefix: Path) -> None:
    """Make the links that the package's own scripts would make: postgis.control → postgis-3.control."""
    for control in prefix.glob("usr/share/postgresql/*/extension/postgis-3.control"):
        link = control.with_name("postgis.control")
        if not link.exists():
            link.symlink_to(control.name)
