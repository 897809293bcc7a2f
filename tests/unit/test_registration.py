"""Catalogs that contradict themselves are refused at the start, by name."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import registration
from interfaces.errors import PermanentTaskError, RegistrationError, UnknownJobType
from interfaces.plans import StageDefinition
from interfaces.settings import Settings
from registration import JobCatalog, TaskCatalog, check
from repositories.database import Database
from repositories.feature_tables import PostgresFeatureTables
from repositories.layer_exports import PostgresLayerReader
from repositories.pgstac import PgstacCatalog
from repositories.pgstac_administration import PgstacAdministration
from repositories.pgstac_items import PgstacItems
from repositories.publications import PostgresPublicationRepository
from tests.doubles.memory_blobs import MemoryBlobs
from tests.doubles.workflows import ScriptedJob, task_type

HOST_JSON = Path(registration.__file__).with_name("host.json")
TEN_MINUTES = timedelta(minutes=10)


def job(name: str = "copy", *stages: tuple[str, str]) -> ScriptedJob:
    return ScriptedJob(name, [StageDefinition(key, kind) for key, kind in stages or [("list", "work")]])


def work(name: str = "work", **options: Any) -> Any:
    return task_type(name, lambda parameters, context: {}, **options)


def test_a_job_type_is_registered_once() -> None:
    with pytest.raises(RegistrationError, match="job type 'copy' is registered twice"):
        JobCatalog([job(), job()])


def test_a_task_type_is_registered_once() -> None:
    with pytest.raises(RegistrationError, match="task type 'work' is registered twice"):
        TaskCatalog([work(), work()])


def test_what_is_registered_is_found_and_listed_by_name() -> None:
    one, other = job("b"), job("a")
    catalog = JobCatalog([one, other])
    assert catalog.get("b") is one
    assert [controller.job_type for controller in catalog.all()] == ["a", "b"]


def test_an_unknown_job_type_lists_those_that_are_known() -> None:
    with pytest.raises(UnknownJobType, match="no job type 'c'; known are: a, b") as caught:
        JobCatalog([job("b"), job("a")]).get("c")
    assert caught.value.status == 404


def test_a_very_long_unknown_job_type_is_not_quoted_in_full() -> None:
    with pytest.raises(UnknownJobType) as caught:
        JobCatalog([job()]).get("x" * 100_000)
    assert len(str(caught.value)) < 200


def test_an_unknown_task_type_lists_those_that_are_known_and_is_permanent() -> None:
    with pytest.raises(PermanentTaskError, match=r"'lost'.*known are: work"):
        TaskCatalog([work()]).get("lost")


def test_a_job_type_has_stages() -> None:
    with pytest.raises(RegistrationError, match="job type 'empty' has no stages"):
        JobCatalog([ScriptedJob("empty", [])])


def test_a_stage_key_is_used_once() -> None:
    jobs = JobCatalog([job("copy", ("list", "work"), ("list", "work"))])
    with pytest.raises(RegistrationError, match="job type 'copy' uses a stage key twice"):
        check(jobs, TaskCatalog([work()]), TEN_MINUTES)


def test_a_stage_whose_task_type_is_not_registered_is_named() -> None:
    jobs = JobCatalog([job("copy", ("list", "work"), ("write", "lost"))])
    with pytest.raises(
        RegistrationError, match=r"job type 'copy', stage 2 \(write\): task type 'lost' is not registered"
    ):
        check(jobs, TaskCatalog([work()]), TEN_MINUTES)


@pytest.mark.parametrize("timeout", [TEN_MINUTES, timedelta(minutes=11)])
def test_a_task_that_may_run_as_long_as_the_function_is_refused(timeout: timedelta) -> None:
    with pytest.raises(RegistrationError, match=r"task type 'work': timeout .* is not below functionTimeout"):
        check(JobCatalog([job()]), TaskCatalog([work(timeout=timeout)]), TEN_MINUTES)


def test_a_timeout_below_the_functions_is_accepted() -> None:
    check(JobCatalog([job()]), TaskCatalog([work(timeout=timedelta(minutes=9))]), TEN_MINUTES)


def test_what_this_app_registers_is_consistent() -> None:
    settings = Settings()
    database = Database(settings)
    ports = registration.Ports(
        blobs=MemoryBlobs(),
        publications=PostgresPublicationRepository(database),
        catalog=PgstacCatalog(database),
        administration=PgstacAdministration(database),
        items=PgstacItems(database),
        tables=PostgresFeatureTables(database),
        layers=PostgresLayerReader(database),
    )
    jobs, tasks = registration.job_catalog(), registration.task_catalog(settings, ports)
    check(jobs, tasks, settings.function_timeout)
    assert {"hello_world", "list_container", "summarize_container"} <= {c.job_type for c in jobs.all()}


def test_every_job_type_describes_itself_and_its_parameters() -> None:
    for controller in registration.job_catalog().all():
        assert controller.description
        schema = controller.parameters_model.model_json_schema()
        assert schema["additionalProperties"] is False
        assert json.loads(json.dumps(schema)) == schema


def test_the_settings_know_the_hosts_function_timeout() -> None:
    hours, minutes, seconds = json.loads(HOST_JSON.read_text())["functionTimeout"].split(":")
    host = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    assert Settings().function_timeout == host
    # A long transaction may wait for another one first.
    assert 2 * Settings().database_long_seconds < host.total_seconds()


@pytest.mark.parametrize("wrong", [False, "1"])
def test_neither_truth_nor_text_is_taken_for_a_number(wrong: object) -> None:
    catalog = registration.job_catalog()
    box = {"collection": "silver", "bbox": [wrong, 0, 1, 1]}
    share = {"container": "bronze", "prefix": "", "max_failed_fraction": wrong}
    for job_type, parameters in (("stac_validate", box), ("validate_raster", share)):
        with pytest.raises(ValidationError, match="valid number"):
            catalog.get(job_type).parameters_model.model_validate(parameters)
