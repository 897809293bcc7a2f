"""What `azd up` runs: azure.yaml, and the hooks, with stand-ins for the tools of Azure's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from tests.fix_stack import CHECKOUT

from .installations import INFRA, installation
from .syntax import template

AZURE = yaml.safe_load((CHECKOUT / "azure.yaml").read_text())
ENVIRONMENT = {
    "DATABASE_HOST": "psql.postgres.database.azure.com",
    "DATABASE_NAME": "geospatial",
    "DATABASE_ADMINISTRATOR": "some body@example.org",
    "DATABASE_APP_NAME": "id-orchestrator-1",
    "DATABASE_APP_OBJECT_ID": "11111111-1111-1111-1111-111111111111",
    "PRIVATE_NETWORKING": "false",
}
AZ = """#!/bin/sh
case "$*" in
    "account show --query user.type"*) echo "$KIND" ;;
    "account show --query user.name"*) echo application ;;
    "ad signed-in-user show --query id "*) echo an-id ;;
    "ad signed-in-user show --query userPrincipalName"*) echo somebody@example.org ;;
    "ad sp show --id application --query id "*) echo a-principal ;;
    "ad sp show --id application --query displayName"*) echo a-pipeline ;;
    "account get-access-token --resource-type oss-rdbms"*) echo a-token ;;
    *) echo "az $*" >&2; exit 1 ;;
esac
"""
PYTHON = f"""#!/bin/sh
case "$1" in -c) exec {sys.executable} "$@" ;; esac
echo "$* | $DATABASE_URL | $PGPASSWORD | $PGSSLROOTCERT" >> calls
case "$*" in *"$FAILS"*) exit 1 ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the hooks alone, whose tools only tell what they were asked for."""
    shutil.copytree(INFRA / "hooks", tmp_path / "infra/hooks")
    tools = {
        "bin/az": AZ,
        "bin/azd": '#!/bin/sh\necho "$*" >> calls\n',
        "bin/curl": "#!/bin/sh\necho 192.0.2.7\n",
        "bin/python3": '#!/bin/sh\necho "python3 $*" >> calls\n',
        ".venv/bin/python": PYTHON,
    }
    for name, text in tools.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def run(hook: str, checkout: Path, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{checkout}/bin:{os.environ['PATH']}", "FAILS": "no such", **given}
    command = ["sh", str(checkout / f"infra/hooks/{hook}.sh")]
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def calls(checkout: Path) -> list[str]:
    path = checkout / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_azd_finds_what_azure_yaml_names() -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", AZURE["name"])
    assert (CHECKOUT / AZURE["infra"]["path"] / f"{AZURE['infra']['module']}.bicepparam").is_file()
    assert AZURE["hooks"]["prepackage"]["run"].endswith(
        f"infra/package.py {AZURE['services']['orchestrator']['project']}"
    )
    # `azd deploy` runs no hook of `azd package`.
    assert AZURE["hooks"]["predeploy"] == AZURE["hooks"]["prepackage"]
    for hook in ("preprovision", "postprovision"):
        assert os.access(CHECKOUT / AZURE["hooks"][hook]["run"], os.X_OK)
    (service,) = AZURE["services"]
    site = next(one for one in installation("prod").resources() if one.type == "Microsoft.Web/sites")
    assert site.body["tags"]["azd-service-name"] == service
    assert AZURE["services"][service]["host"] == "function"


def test_hooks_read_no_variable_that_nobody_sets() -> None:
    given = set(template(INFRA / "main.bicep").outputs)
    hook = (INFRA / "hooks/postprovision.sh").read_text()
    own = set(re.findall(r"^(?:export )?([A-Z_]+)=", hook, re.MULTILINE))
    assert set(re.findall(r"\$\{?([A-Z_]+)", hook)) - own - {"INSIDE_NETWORK"} <= given


@pytest.mark.parametrize(
    ("kind", "identity", "name", "type"),
    [
        ("user", "an-id", "somebody@example.org", "User"),
        ("servicePrincipal", "a-principal", "a-pipeline", "ServicePrincipal"),
    ],
)
def test_who_deploys_is_found_out(kind: str, identity: str, name: str, type: str, checkout: Path) -> None:  # noqa: A002
    done = run("preprovision", checkout, KIND=kind)
    assert done.returncode == 0, done.stderr
    assert calls(checkout) == [
        f"env set AZURE_PRINCIPAL_ID {identity}",
        f"env set AZURE_PRINCIPAL_NAME {name}",
        f"env set AZURE_PRINCIPAL_TYPE {type}",
        "env set DEPLOYER_ADDRESS 192.0.2.7",
    ]


def test_what_is_set_already_is_left_and_nobody_is_asked(checkout: Path) -> None:
    done = run("preprovision", checkout, AZURE_PRINCIPAL_NAME="x", DEPLOYER_ADDRESS="192.0.2.1")
    assert (done.returncode, calls(checkout)) == (0, [])


def test_the_database_gets_its_roles_before_its_schema_and_the_catalogs_after_the_catalog(
    checkout: Path,
) -> None:
    done = run("postprovision", checkout, **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    first, *made = calls(checkout)
    assert first == "python3 -m local.stack.bootstrap -- -c "
    assert [call.partition(" | ")[0] for call in made] == [
        "-m repositories.roles --app id-orchestrator-1",
        "-m repositories.entra_roles --role id-orchestrator-1"
        " --object-id 11111111-1111-1111-1111-111111111111",
        "-m repositories.migrations",
        "-m repositories.pgstac_schema",
        "-m repositories.roles --app id-orchestrator-1",
    ]
    _, url, token, roots = made[0].split(" | ")
    assert conninfo_to_dict(url) == {
        "user": "some body@example.org",
        "host": "psql.postgres.database.azure.com",
        "port": "5432",
        "dbname": "geospatial",
        "sslmode": "verify-full",
    }
    assert token == "a-token"
    assert Path(roots).is_file()


def test_a_step_that_fails_ends_the_hook(checkout: Path) -> None:
    done = run("postprovision", checkout, **ENVIRONMENT, FAILS="repositories.entra_roles")
    assert done.returncode == 1
    assert "repositories.migrations" not in "".join(calls(checkout))


def test_from_outside_a_private_network_it_says_what_is_to_be_done_inside(checkout: Path) -> None:
    private = {**ENVIRONMENT, "PRIVATE_NETWORKING": "true"}
    done = run("postprovision", checkout, **private)
    assert (done.returncode, calls(checkout)) == (0, [])
    assert "INSIDE_NETWORK=1 azd hooks run postprovision" in done.stderr
    assert run("postprovision", checkout, **private, INSIDE_NETWORK="1").returncode == 0
    assert len(calls(checkout)) == 6
