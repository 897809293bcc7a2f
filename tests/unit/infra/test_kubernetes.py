"""The manifests for Kubernetes: valid, and in keeping with the app's settings, its limits and its host."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import ByteSize, TypeAdapter

from interfaces.settings import Settings
from tests.fix_stack import CHECKOUT

from .test_installation import QUEUE_FUNCTIONS
from .test_settings import NEEDED, names, read

KUBERNETES = CHECKOUT / "infra/kubernetes"
RELEASE = "1.33"
"""Of Kubernetes, whose schemas the manifests are held to."""
CUSTOM = {"ScaledObject", "TriggerAuthentication"}
READ_BY_THE_HOST = {
    # https://learn.microsoft.com/azure/azure-functions/functions-app-settings
    "AzureFunctionsWebHost__hostid",
    "AzureWebJobsSecretStorageType",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
    "FUNCTIONS_WORKER_RUNTIME",
}
HOST_JSON = json.loads((CHECKOUT / "host.json").read_text())
BESIDE_TASKS = 512 * 1024**2
"""What the host and Python themselves are given of a container's memory."""
kustomize = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders overlays, is missing"
)
Manifest = dict[str, Any]


@cache
def base() -> list[Manifest]:
    files = yaml.safe_load((KUBERNETES / "base/kustomization.yaml").read_text())["resources"]
    return [one for file in files for one in yaml.safe_load_all((KUBERNETES / "base" / file).read_text())]


@cache
def rendered(overlay: str) -> list[Manifest]:
    command = ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def container(deployment: Manifest) -> Manifest:
    found: Manifest = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def size(text: str) -> int:
    return TypeAdapter(ByteSize).validate_python(f"{text}B")


DEPLOYMENTS = of(base(), "Deployment")
SETTINGS: dict[str, str] = of(base(), "ConfigMap")["settings"]["data"]


@pytest.mark.parametrize("one", base(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_a_manifest_is_one_that_kubernetes_takes(one: Manifest) -> None:
    if one["kind"] not in CUSTOM:
        kubernetes_validate.validate(one, RELEASE, strict=True)
    else:
        assert one["apiVersion"] == "keda.sh/v1alpha1"


@kustomize
@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_an_overlay_leaves_nothing_to_be_filled_in_and_selects_the_pods_that_it_makes(overlay: str) -> None:
    made = rendered(overlay)
    for one in made:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, RELEASE, strict=True)
    assert not re.search(r"CLIENT_ID|STORAGE_ACCOUNT\b|DATABASE_ROLE|DATABASE_HOST", json.dumps(made))
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in of(made, "Deployment").values()]
    for policy in of(made, "NetworkPolicy").values():
        selected = policy["spec"]["podSelector"]["matchLabels"]
        assert any(selected.items() <= one.items() for one in labels)
    read({name: str(value) for name, value in of(made, "ConfigMap")["settings"]["data"].items()})


@kustomize
@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_batches_are_sized_for_all_pods_of_tasks_that_there_may_be(overlay: str) -> None:
    made = rendered(overlay)
    settings = read(of(made, "ConfigMap")["settings"]["data"])
    queues = HOST_JSON["extensions"]["queues"]
    most = of(made, "ScaledObject")["tasks"]["spec"]["maxReplicaCount"]
    assert settings.batch_parallelism == most * (queues["batchSize"] + queues["newBatchThreshold"])


def test_every_setting_is_one_that_the_app_or_its_host_reads_and_has_a_value_that_it_takes() -> None:
    fields = names()
    assert {name for name in SETTINGS if name.lower() not in fields} == READ_BY_THE_HOST
    assert all(isinstance(value, str) for value in SETTINGS.values())
    read(SETTINGS)
    needed = NEEDED - {"applicationinsights_connection_string"}
    assert {fields[name.lower()] for name in SETTINGS if name.lower() in fields} >= needed


def test_all_pods_are_one_host_so_that_a_timer_runs_on_one_of_them() -> None:
    # https://learn.microsoft.com/azure/azure-functions/functions-app-settings#azurefunctionswebhost__hostid
    assert re.fullmatch(r"[a-z0-9](?!.*--)[a-z0-9-]{0,30}[a-z0-9]", SETTINGS["AzureFunctionsWebHost__hostid"])
    for one in DEPLOYMENTS.values():
        assert {"configMapRef": {"name": "settings"}} in container(one)["envFrom"]
        # With it the host takes itself for App Service's on Kubernetes, and asks a sidecar for locks.
        assert "POD_NAMESPACE" not in {*SETTINGS, *(env["name"] for env in container(one)["env"])}


def test_each_queue_is_worked_off_by_pods_of_its_own_and_everything_else_by_web() -> None:
    given = {
        name: {env["name"]: env["value"] for env in container(one)["env"]}
        for name, one in DEPLOYMENTS.items()
    }
    assert given["web"] == {
        "AzureWebJobs.process_job_message.Disabled": "true",
        "AzureWebJobs.process_task_message.Disabled": "true",
    }
    for name, function in (("jobs", "process_job_message"), ("tasks", "process_task_message")):
        assert function in QUEUE_FUNCTIONS
        assert list(given[name].values()) == [function, "livez", "readyz"]
        assert list(given[name]) == [f"AzureFunctionsJobHost__functions__{i}" for i in range(3)]


def test_keda_counts_the_messages_of_the_queue_that_its_pods_work_off() -> None:
    queues = {"jobs": SETTINGS["JOBS_QUEUE"], "tasks": SETTINGS["TASKS_QUEUE"]}
    at_once = (
        HOST_JSON["extensions"]["queues"]["batchSize"]
        + HOST_JSON["extensions"]["queues"]["newBatchThreshold"]
    )
    scaled = of(base(), "ScaledObject")
    assert {one["spec"]["scaleTargetRef"]["name"] for one in scaled.values()} == set(queues)
    for name, one in scaled.items():
        (trigger,) = one["spec"]["triggers"]
        assert trigger["type"] == "azure-queue"
        assert trigger["metadata"]["queueName"] == queues[name]
        assert trigger["metadata"]["queueLength"] == str(at_once)
        # Else pods would be taken away from messages that they work on.
        assert trigger["metadata"]["queueLengthStrategy"] == "all"
        assert trigger["authenticationRef"]["name"] in of(base(), "TriggerAuthentication")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_container_has_room_for_what_its_tasks_may_take(name: str) -> None:
    settings, pod = read(SETTINGS), DEPLOYMENTS[name]["spec"]["template"]["spec"]
    limits = container(DEPLOYMENTS[name])["resources"]["limits"]
    assert size(limits["memory"]) >= settings.task_memory_limit + BESIDE_TASKS
    (scratch,) = pod["volumes"]
    assert size(scratch["emptyDir"]["sizeLimit"]) > settings.task_scratch_limit
    assert container(DEPLOYMENTS[name])["volumeMounts"] == [
        {"name": scratch["name"], "mountPath": str(settings.scratch_folder)}
    ]


def test_a_worker_is_given_as_long_as_a_function_may_run_to_end_what_it_does() -> None:
    settings = Settings()
    longest = settings.function_timeout.total_seconds() + settings.lease_seconds
    for name in ("jobs", "tasks"):
        pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] >= longest


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_is_asked_whether_it_lives_and_is_ready_and_may_do_little(name: str) -> None:
    pod, host = DEPLOYMENTS[name]["spec"]["template"]["spec"], container(DEPLOYMENTS[name])
    (port,) = host["ports"]
    for probe, path in (("startup", "livez"), ("liveness", "livez"), ("readiness", "readyz")):
        assert host[f"{probe}Probe"]["httpGet"] == {"path": f"/api/{path}", "port": port["name"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert host["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert (
        of(base(), "PodDisruptionBudget")[name]["spec"]["selector"] == DEPLOYMENTS[name]["spec"]["selector"]
    )
    assert f"ASPNETCORE_URLS=http://+:{port['containerPort']} " in (KUBERNETES / "Dockerfile").read_text()


def test_nobody_comes_in_but_to_web_and_from_namespaces_that_may() -> None:
    policies = of(base(), "NetworkPolicy")
    assert policies["orchestrator"]["spec"]["ingress"] == []
    (rule,) = policies["web"]["spec"]["ingress"]
    assert list(rule["from"][0]) == ["namespaceSelector"]
    ports = {port["port"] for rule in policies["orchestrator"]["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 5432, 6432}
    # Where platforms keep their credentials.
    blocks = [
        to["ipBlock"]
        for rule in policies["orchestrator"]["spec"]["egress"]
        for to in rule["to"]
        if "ipBlock" in to
    ]
    assert all("169.254.0.0/16" in block["except"] for block in blocks)


def test_the_image_has_what_a_deployment_has() -> None:
    """It is made of the same folder, whose requirements are the lock (infra/package.py)."""
    folder = ".local/package"
    image = (KUBERNETES / "Dockerfile").read_text()
    assert re.findall(r"^COPY (\S+) ", image, re.MULTILINE) == ["requirements.txt", "."]
    assert "--require-hashes --requirement /requirements.txt" in image
    for document in (image, (CHECKOUT / "docs/kubernetes.md").read_text()):
        assert f"python3 infra/package.py {folder}\n" in document
        assert f"--tag REGISTRY/orchestrator:VERSION {folder}\n" in document


def test_the_image_is_of_the_python_that_the_app_runs_on_in_azure() -> None:
    base_image = re.search(r"ARG BASE=(\S+)", (KUBERNETES / "Dockerfile").read_text())
    assert base_image is not None
    version = re.search(
        r"name: 'python'\n +version: '([\d.]+)'", (CHECKOUT / "infra/modules/function-app.bicep").read_text()
    )
    assert version is not None
    assert base_image[1] == f"mcr.microsoft.com/azure-functions/python:4-python{version[1]}"
