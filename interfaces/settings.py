"""Every setting, its default and the environment variable that overrides it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, Literal

from pydantic import AliasChoices, ByteSize, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]
ContainerPatterns = Annotated[str, Field(max_length=10_000, pattern=r"^[a-z0-9*,\s-]*$")]
_RATE = "[1-9][0-9]{0,8}/(second|minute|hour|day)"
RateLimit = Annotated[str, Field(pattern=rf"^({_RATE}(;{_RATE}){{0,4}})?$")]
PublicUrl = Annotated[str, Field(pattern=r"^(https?://[^/?#\s]+(/[^?#\s]*)?)?$")]
UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
AUTHORITY = r"^(https://[^/?#\s@]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)$"
"""Unencrypted only on this machine: who answers there says who everybody is."""

FORGEABLE = (
    "ENTRA_EASY_AUTH=true believes the header X-MS-CLIENT-PRINCIPAL, which anybody could send here: App"
    " Service does not say that its authentication is on (WEBSITE_AUTH_ENABLED=true and WEBSITE_SITE_NAME,"
    " which it sets itself). Turn App Service Authentication on; or set ENTRA_EASY_AUTH=false and"
    " ENTRA_AUDIENCE, so that callers send tokens; or, where a proxy is the only way to the app, and takes"
    " this header from whatever comes from outside, set ENTRA_TRUSTED_PROXY=true"
)


class Settings(BaseSettings):
    """Settings of the app; limits are those of the design, section 8."""

    # What keeps the app from starting is logged, and settings hold secrets: errors name them without quoting.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=False, hide_input_in_errors=True
    )

    database_url: SecretStr = SecretStr("")
    """PostgreSQL connection string. With `database_identity` its password is an Entra token."""
    database_direct_url: SecretStr = SecretStr("")
    """A connection string past PgBouncer, to be notified of ended jobs at once; empty: look for them."""
    database_owner_url: SecretStr = SecretStr("")
    """The same as the role that the schema belongs to, for changes of it; empty: `database_url`."""
    database_identity: bool = False
    """Whether the app enters the database with its identity, by tokens that it renews."""
    database_pool_size: Annotated[int, Field(ge=1, le=4)] = 4
    """Connections of a process: the heartbeat's, one to be notified with, and the pool's (at least one)."""
    database_timeout_seconds: Seconds = 30
    """How long to wait for a free connection."""
    database_answer_seconds: Seconds = 60
    """A connection on which nothing moves for so long during a statement is given up."""
    database_long_seconds: Annotated[float, Field(gt=0, le=240)] = 240
    """The same for what may work for long before it answers, such as the fan-out of a million tasks; and how
    long one waits for others of its kind to end. Twice this is below `functionTimeout`."""

    database_allow_unverified: bool = False
    """Also speak to databases on other hosts without `sslmode=verify-full` (docs/database-roles.md)."""

    storage_connection_string: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("AzureWebJobsStorage", "storage_connection_string"),
    )
    """Set for Azurite and tests; empty in Azure, where `storage_account_name` and an identity are used."""
    storage_account_name: str = Field(
        default="",
        validation_alias=AliasChoices("AzureWebJobsStorage__accountName", "storage_account_name"),
    )
    """Name of the storage account, which the app enters with its identity."""

    source_containers: ContainerPatterns = "*"
    """Containers that jobs may read, separated by commas, with `*` for anything: `bronze, incoming-*`."""
    target_containers: ContainerPatterns = "*"
    """Containers that jobs may write. The app's own and the platform's are neither read nor written by jobs,
    whatever these two say (docs/adr/0023)."""
    reserved_containers: ContainerPatterns = ""
    """Further containers that jobs neither read nor write, such as the one the app is deployed from."""

    jobs_queue: str = "geospatial-jobs"
    """Storage queue of messages about jobs; its poison queue has `-poison` behind its name."""
    tasks_queue: str = "geospatial-tasks"
    """The same of messages about tasks."""
    results_container: str = "job-results"
    """For results of tasks that are too large for their row."""
    scratch_container: str = "job-scratch"
    """For what stages hand on in blobs; what is there is removed when its run has ended."""

    lease_seconds: Seconds = 30
    """How long a claim holds that nobody renews: then its worker counts as dead."""
    heartbeat_seconds: Seconds = 10
    """How often a process renews its leases."""
    redelivery_seconds: Seconds = 30
    """A dispatch whose work nobody took up for this long after it was sent is sent again."""
    redelivery_max_seconds: Seconds = 900
    """That time doubles with each sending, up to this."""
    max_plan_attempts: Annotated[int, Field(ge=1)] = 5
    """So many planners of a stage may die before its job fails."""

    breaker_failures: Annotated[int, Field(ge=1)] = 5
    """So many failures in a row of a dependency that still answers, such as blob storage, keep calls from it
    (docs/adr/0006). Where it does not answer, one is enough."""
    breaker_pause_seconds: Seconds = 15
    """For so long; then one call tries. What was put off meanwhile goes on within 1.5 times as long."""

    max_parameters_bytes: int = 1024 * 1024
    """Parameters of a job, as JSON; more is 413."""
    max_inline_result_bytes: int = 1024 * 1024
    """A larger result of a task goes to `results_container`, and its row says where."""
    max_tasks_per_stage: int = 1_000_000
    """A plan of more fails its job."""
    discover_page_items: int = 1000
    """Items that a handler hands over are written so many at a time."""
    max_error_characters: int = 5000
    """What is kept of the text of an error."""
    task_log_lines: Annotated[int, Field(ge=0, le=10_000)] = 200
    """Of what an attempt logs, so many lines are kept with its task, the newest; 0: none."""
    max_page_size: int = 1000
    """Largest `limit` of listings and of the STAC and features APIs."""
    default_page_size: int = 100
    """`limit` where none is given."""

    function_timeout: timedelta = timedelta(minutes=10)
    """`functionTimeout` of host.json; a test holds the two together."""

    batch_parallelism: int = 32
    """How many tasks the whole app can run at once, as far as sizing batches is concerned."""
    run_at_once_seconds: Annotated[float, Field(ge=0, le=60)] = 0.5
    """A stage of one message that is expected to take less runs where it was planned (docs/adr/0003)."""

    conversion_threads: Annotated[int, Field(ge=0, le=4)] = 0
    """How many threads GDAL uses for one large raster; 0: as many as there are cores, at most four, for which
    memory is planned."""
    task_memory_limit: Annotated[ByteSize, Field(ge=256 * 1024**2)] = ByteSize(1024**3)
    """What a worker may take with everything that runs in it, as bytes or as "1.5GiB"."""
    task_scratch_limit: Annotated[ByteSize, Field(ge=0)] = ByteSize(4 * 1024**3)
    """Temporary disk space that all tasks of a worker may use together."""
    scratch_folder: Path = Field(default_factory=lambda: Path(gettempdir()))
    """Where the temporary disk space is."""

    stac_schemas: Path | None = None
    """A folder of further JSON schemas that items are checked against, each at the path of its address."""

    stac_grantable_roles: Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")] = ""
    """Database roles that `stac_setup` may let read or fill the catalog, separated by commas, by their whole
    names: whoever may submit jobs names one of them. Empty: none."""

    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 90
    """Runs that ended longer ago are removed, with their tasks, events and results; 0: none ever is."""
    retention_seconds: Annotated[float, Field(gt=0, le=500)] = 120
    """How long the hourly timer may take; it goes on with what is left an hour later."""
    retention_archive_container: str = ""
    """Where each run is kept as a file before it is removed; empty: nowhere."""

    catalog_connections: Annotated[int, Field(ge=1, le=4)] = 2
    """Connections of the STAC API, beside the pool's; a process that nobody asks for it has none of them
    (docs/adr/0012)."""
    catalog_search_seconds: Annotated[float, Field(gt=0, le=200)] = 30
    """What one request may take the database."""
    catalog_max_body_bytes: int = 8 * 1024 * 1024
    """Items and collections that are posted; what is searched for is limited as parameters of jobs are."""
    catalog_anonymous_reads: bool = False
    """Whether the STAC API is read without a key; changing what it holds asks for one in any case."""
    catalog_public_url: PublicUrl = ""
    """Where clients find the STAC API, such as `https://data.example.org/stac`; empty: where they asked."""
    catalog_id: Annotated[str, Field(min_length=1, max_length=100)] = "geospatial-orchestrator"
    """Id of the catalog, on the STAC API's landing page."""
    catalog_title: str = "Geospatial catalog"
    """Its title there."""
    catalog_description: str = "Rasters that jobs have converted and described"
    """Its description there."""

    features_connections: Annotated[int, Field(ge=1, le=4)] = 2
    """Connections of the features API, as the STAC API's."""
    features_query_seconds: Annotated[float, Field(gt=0, le=200)] = 15
    """What one statement for it may take the database; a load that replaces a table waits 20 s for them."""
    features_max_answer_bytes: Annotated[ByteSize, Field(ge=1024)] = ByteSize(64 * 1024**2)
    """What the features of one page may take; a page has at most `max_page_size`."""
    features_max_tile_features: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """A tile has no more; those with the first keys are in it."""
    features_role: Annotated[str, Field(max_length=63, pattern=r"^[^\x00]*$")] = ""
    """The database role that features are read as; empty: the app's own, in transactions that only read."""
    features_anonymous_reads: bool = False
    """Whether the features API is read without a key."""
    features_public_url: PublicUrl = ""
    """Where clients find the features API; empty: where they asked."""
    features_title: str = "Feature layers"
    """Title of the features API, on its landing page."""

    otel_exporter_otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """A collector that takes OTLP over HTTP, such as `http://collector:4318` (docs/signals.md)."""
    applicationinsights_connection_string: SecretStr = SecretStr("")
    """An Application Insights resource that signals are sent to."""
    otel_sdk_disabled: bool = False
    """Sends nothing, whatever the two above say."""
    telemetry_logs: bool = True
    """Whether log lines are sent along. The Functions host sends them to its Application Insights as well."""
    log_format: Literal["text", "json"] = "text"
    """Of log lines: one JSON object each, with job, task, attempt and correlation id, or the text alone."""
    callback_hosts: Annotated[str, Field(max_length=10_000)] = ""
    """Hosts that may be called back, separated by commas: `hooks.example.org`, `*.example.org`, `host:8443`.
    Empty: none, and whoever asks for a callback is refused."""
    callback_secret: SecretStr = SecretStr("")
    """What callbacks by `callback_url` are signed with: `whsec_` and base64 of 24 to 64 bytes. Several,
    separated by blanks, while one replaces the other."""
    callback_source: Annotated[str, Field(min_length=1, max_length=500)] = "/api/jobs"
    """`source` of the events: what tells this app from others."""
    callback_seconds: Annotated[float, Field(gt=0, le=30)] = 10
    """How long one attempt may take, from the name's resolution to the answer."""
    callback_max_attempts: Annotated[int, Field(ge=1, le=1000)] = 20
    """About a day of them; then a callback is given up."""
    callback_allow_http: bool = False
    """For development: also `http://`."""
    callback_allow_private: bool = False
    """Also private addresses and the machine's own, for receivers inside the network and for development;
    never link-local ones, where platforms keep their credentials."""

    rate_limit_changes: RateLimit = "12000/minute"
    """What one caller may ask an instance for that changes something, as `300/second;12000/minute`: whoever
    asks for more gets 429. Callers are told apart by their keys, else by their addresses. Empty: no limit."""
    rate_limit_reads: RateLimit = "30000/minute"
    """The same of what changes nothing."""
    access: Literal["keys", "entra"] = "keys"
    """Who may call: whoever has a key of the function app, which the host checks; or identities of Entra ID
    with app roles, which the app checks (docs/access.md)."""
    entra_tenant_id: Annotated[str, Field(pattern=rf"^({UUID})?$")] = ""
    """The tenant whose identities may call."""
    entra_audience: Annotated[str, Field(max_length=2000)] = ""
    """Whom bearer tokens must be meant for: the application's id or its URI; several, separated by commas."""
    entra_authority: Annotated[str, Field(pattern=AUTHORITY)] = "https://login.microsoftonline.com"
    """Of another cloud than Azure's public one."""
    entra_easy_auth: bool = False
    """Whether the platform's authentication is on, which alone makes its header `X-MS-CLIENT-PRINCIPAL` true:
    where it is off, anybody can send that header, and the app does not start."""
    entra_trusted_proxy: bool = False
    """Outside of App Service: whether nobody reaches the app but through a proxy that takes this header from
    whatever comes from outside, and sets it itself."""
    website_auth_enabled: bool | None = None
    """Set by App Service where its authentication is on; never set it yourself."""
    website_site_name: str = ""
    """Set by App Service: the app's name there."""
    audit_days: Annotated[int, Field(ge=0, le=36_500)] = 400
    """How long is kept who did what; 0: for ever."""

    allow_destructive_schema_operations: bool = False
    """Whether `POST /api/db/schema/…` may migrate, drop and make the schema anew."""

    @model_validator(mode="after")
    def _someone_may_call(self) -> Settings:
        if self.access == "entra":
            if not self.entra_tenant_id:
                raise ValueError("ACCESS=entra needs ENTRA_TENANT_ID")
            if not self.audiences and not self.entra_easy_auth:
                raise ValueError("ACCESS=entra needs ENTRA_AUDIENCE, or ENTRA_EASY_AUTH=true")
            if self.entra_easy_auth and not self._header_is_true:
                raise ValueError(FORGEABLE)
        return self

    @property
    def audiences(self) -> list[str]:
        """Whom tokens may be meant for."""
        return _listed(self.entra_audience)

    @property
    def grantable_roles(self) -> list[str]:
        """Database roles that jobs may give rights to."""
        return _listed(self.stac_grantable_roles)

    @property
    def trusts_platform_identity(self) -> bool:
        """Whether `X-MS-CLIENT-PRINCIPAL` is the platform's own."""
        return self.access == "entra" and self.entra_easy_auth and self._header_is_true

    @property
    def _header_is_true(self) -> bool:
        """Whether somebody keeps callers from sending the platform's header themselves.

        WEBSITE_AUTH_ENABLED: https://learn.microsoft.com/azure/app-service/reference-app-settings#authentication--authorization
        """
        platform = self.website_auth_enabled is True and bool(self.website_site_name)
        return platform or self.entra_trusted_proxy

    @property
    def sends_signals(self) -> bool:
        """Whether any collector is configured."""
        azure = self.applicationinsights_connection_string.get_secret_value()
        return bool(self.otel_exporter_otlp_endpoint or azure) and not self.otel_sdk_disabled

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without a heartbeat."""
        return timedelta(seconds=self.lease_seconds)


def _listed(text: str) -> list[str]:
    """What is written with commas between."""
    return [one for one in (part.strip() for part in text.split(",")) if one]
