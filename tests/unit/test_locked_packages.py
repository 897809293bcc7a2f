"""What is deployed is pinned with hashes, down to what packages depend on, and comes from nowhere special."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: str(value) for name, value in default_environment().items()}
RENEW = "uv pip compile requirements.txt --generate-hashes --universal --python-version 3.11"


def direct(name: str) -> list[Requirement]:
    """The requirements that a file names itself."""
    lines = (line.partition(" #")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def locked() -> dict[str, dict[str, Requirement]]:
    """By name and version: each entry of the lock file, its hashes left out."""
    found: dict[str, dict[str, Requirement]] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text()):
        if entry.startswith("#"):
            continue
        requirement = Requirement(entry.partition("\\\n")[0].strip())
        found.setdefault(canonicalize_name(requirement.name), {})[str(requirement.specifier)] = requirement
    return found


def here(name: str) -> Requirement:
    """The entry of the lock file for this Python and this platform."""
    [entry] = [one for one in locked()[name].values() if one.marker is None or one.marker.evaluate()]
    return entry


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-local.txt", "requirements-cli.txt", "requirements-dev.txt"]
)
def test_every_requirement_is_one_version(name: str) -> None:
    assert direct(name)
    loose = [str(one) for one in direct(name) if not re.fullmatch(r"==[^*,]+", str(one.specifier))]
    assert loose == []


def test_the_lock_file_has_the_versions_that_are_asked_for() -> None:
    """When this fails, the lock file has to be renewed: docs/security.md says how."""
    different = {
        one.name: str(one.specifier)
        for one in direct("requirements.txt")
        if list(locked().get(canonicalize_name(one.name), {})) != [str(one.specifier)]
    }
    assert different == {}


def test_every_entry_is_pinned_and_has_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert f"#    {RENEW}" in text.splitlines()[1]
    entries = [one for one in re.split(r"\n(?=[A-Za-z0-9])", text) if not one.startswith("#")]
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==[^ *]+ ", entry), entry[:100]
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
        assert hashes, entry[:100]


def test_packages_with_binaries_have_the_hashes_of_more_than_one_platform() -> None:
    text = (ROOT / "requirements.lock").read_text()
    for name in ("rasterio", "pyogrio", "psycopg-binary", "pydantic-core", "orjson", "pyarrow"):
        [entry] = re.findall(rf"^{name}==.*?(?=^\w)", text, re.MULTILINE | re.DOTALL)
        assert entry.count("--hash=") > 4, name


def test_no_index_is_named() -> None:
    for file in ROOT.glob("requirements*"):
        text = file.read_text()
        assert "://" not in text, file.name
        assert not re.search(
            r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE
        )


def test_what_packages_depend_on_is_locked_too() -> None:
    """By what the installed ones say of themselves, all the way down."""
    missing, seen = set(), set()
    waiting = [(canonicalize_name(one.name), frozenset(one.extras)) for one in direct("requirements.txt")]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for text in metadata.requires(name) or []:
            one = Requirement(text)
            environments = [ENVIRONMENT | {"extra": extra} for extra in (extras or {""})]
            if one.marker is not None and not any(one.marker.evaluate(env) for env in environments):
                continue
            inner = canonicalize_name(one.name)
            if inner not in locked() or not _fits(one, here(inner)):
                missing.add(f"{name}: {text}")
            else:
                waiting.append((inner, frozenset(one.extras)))
    assert missing == set()
    assert len(seen) > 80


def _fits(asked: Requirement, entry: Requirement) -> bool:
    return asked.specifier.contains(str(entry.specifier).removeprefix("=="), prereleases=True)


def test_the_package_installs_by_the_lock_file_and_holds_the_app_alone(tmp_path: Path) -> None:
    script = ROOT / "infra/package.py"
    spec = importlib.util.spec_from_file_location("package", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    source = tmp_path / "source"
    for name in (
        *("function_app.py", "host.json", "requirements.txt", "requirements.lock", "requirements-dev.txt"),
        *("engine/a.py", "tests/a.py", ".github/a", "engine/__pycache__/a.pyc", "docs/a.sql", "sql/a.sql"),
        *("web/dist/a.js", "web/src/a.ts", "local.settings.json", ".local/keys.json", "README.md"),
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / ".funcignore").write_text((ROOT / ".funcignore").read_text())

    made = module.package(source, tmp_path / "made")

    wanted = ["engine/a.py", "function_app.py", "host.json", "requirements.txt", "sql/a.sql", "web/dist/a.js"]
    assert made == wanted
    assert (tmp_path / "made/requirements.txt").read_text() == "requirements.lock"
    with pytest.raises(SystemExit, match="is not empty"):
        module.package(source, tmp_path / "made")
