"""stac_setup: installs pgstac or brings it up to date, configures it, and tries it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from interfaces.access import Role
from interfaces.contracts import JobParameters, JsonObject, StageResult, examples
from interfaces.marks import Granted
from interfaces.plans import StageDefinition, StagePlan, Tasks
from interfaces.workflows import TaskResults

RoleName = Annotated[str, Field(min_length=1, max_length=63), Granted()]


class PgstacSettings(JobParameters):
    """Settings of pgstac that are to be set; those that are left out stay as they are."""

    context: (
        Annotated[
            Literal["on", "off", "auto"],
            Field(description="Whether searches count all that they match; auto: estimated where it is much"),
        ]
        | None
    ) = None
    context_estimated_count: (
        Annotated[int, Field(ge=1, description="With auto: from so many items on it is estimated")] | None
    ) = None
    context_estimated_cost: Annotated[int, Field(ge=1)] | None = None
    additional_properties: (
        Annotated[bool, Field(description="Whether filters may name properties that are no queryables")]
        | None
    ) = None
    update_collection_extent: (
        Annotated[bool, Field(description="Whether each load recomputes the extent of its collection")] | None
    ) = None


class StacSetupParameters(JobParameters):
    """What pgstac is told, and who may use it besides the app."""

    model_config = examples({})

    needed_role = Role.OPERATOR
    """Schema, settings and rights of the catalog are everybody's."""

    settings: PgstacSettings = PgstacSettings()
    readers: Annotated[
        list[RoleName],
        Field(max_length=100, description="Roles of STAC_GRANTABLE_ROLES that may read the catalog"),
    ] = Field(default_factory=list)
    writers: Annotated[
        list[RoleName],
        Field(max_length=100, description="Roles of STAC_GRANTABLE_ROLES that may fill the catalog"),
    ] = Field(default_factory=list)


class StacSetup:
    """Stages: migrate, configure, verify; one task each. What is as it should be is left alone."""

    job_type = "stac_setup"
    description = (
        "Installs pgstac, the STAC catalog, in the database, or migrates it; never removes anything."
    )
    parameters_model = StacSetupParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("migrate", "migrate_catalog"),
        StageDefinition("configure", "configure_catalog"),
        StageDefinition("verify", "verify_catalog"),
    )

    def plan(
        self,
        stage: int,
        parameters: StacSetupParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """One task."""
        if stage == 2:
            given = parameters.settings.model_dump(mode="json", exclude_none=True)
            settings = {
                name: str(value).lower() if isinstance(value, bool) else str(value)
                for name, value in given.items()
            }
            return Tasks(
                [
                    {
                        "settings": {**settings},
                        "readers": [*parameters.readers],
                        "writers": [*parameters.writers],
                    }
                ]
            )
        return Tasks([{}])

    def aggregate(
        self,
        parameters: StacSetupParameters,  # noqa: ARG002
        stages: Sequence[StageResult],  # noqa: ARG002
        results: TaskResults,
    ) -> JsonObject:
        """Versions before and after, what was changed, and what is in the catalog."""
        migrated, configured, verified = (
            next((task.result or {} for task in results(stage)), {}) for stage in (1, 2, 3)
        )
        return {
            "version_before": migrated.get("before"),
            "version_after": migrated.get("after"),
            "migrations": migrated.get("applied"),
            **configured,
            "collections": verified.get("collections"),
            "items_estimate": verified.get("items_estimate"),
        }
