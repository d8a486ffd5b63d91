"""An entry of ``registries:``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from registry_sync.config.entries.events import EventsEntry
from registry_sync.config.entries.fields import Host, ProxyAddress, Strict, WorkerFile
from registry_sync.config.entries.tag_rules import WrittenDuration
from registry_sync.config.registry import NO_PROXY, Registry
from registry_sync.config.settings import MoverName
from registry_sync.config.web_sites import check_is_registry
from registry_sync.oci.reference import without_default_port
from registry_sync.registry.clouds import cloud_of, incomplete_host
from registry_sync.registry.kinds import CREATES_REPOSITORIES, LIMITS_PULLS, OWN_API, Kind, api_url_fault, infer_kind
from registry_sync.text import quoted


class RegistryEntry(Strict):
    """A registry, under its name in ``registries:``."""

    host: Annotated[Host, AfterValidator(check_is_registry)] = Field(
        description="host or host:port, such as quay.io; Docker Hub is docker.io"
    )
    kind: Kind | None = Field(
        None,
        description="API of the registry; default: known for well-known hosts, else distribution (any OCI registry)",
    )
    api_url: str | None = Field(
        None,
        min_length=1,
        description="Address of the API, if it differs from the default; for kinds with an API of their own",
    )
    connection: str | None = Field(
        None,
        min_length=1,
        description="Airflow Connection of type oci_registry or docker with login and password, or of type aws, "
        "google_cloud_platform or azure for a registry of that cloud; default: anonymous",
    )
    identity: Literal["ambient"] | None = Field(
        None,
        description="ambient: the identity that the worker has at the registry's cloud, in place of a connection; for "
        "hosts of AWS, Google Cloud and Azure",
    )
    private: bool = Field(False, description="true: only we can push to it, so machines may use it as a mirror")
    tls: bool = Field(True, description="false: plain HTTP, for a registry on the same machine")
    ca_file: WorkerFile | None = Field(
        None, description="PEM file on the workers, with the authority that signed the registry's certificate"
    )
    client_certificate: WorkerFile | None = Field(
        None, description="PEM file on the workers, with the certificate that the registry requires from its clients"
    )
    client_key: WorkerFile | None = Field(
        None, description="PEM file on the workers, with the private key of client_certificate, not encrypted"
    )
    proxy: ProxyAddress | None = Field(
        None,
        description="http://host:port or https://host:port of the proxy through which the registry is reached; none: "
        "directly; default: the proxies of the environment",
    )
    proxy_connection: str | None = Field(
        None, min_length=1, description="Airflow Connection of type http with the user and password of the proxy"
    )
    max_connections: int = Field(
        8, ge=1, le=64, description="Maximum number of connections that one task opens to the registry"
    )
    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="Maximum rate of requests, to an API of its own and to /v2 together, of all tasks that share a "
        "temporary directory; default: by kind",
    )
    keep_pulls: int | None = Field(
        None,
        ge=1,
        description="Pulls of each window of the registry's pull limit that are left to machines: copies wait before "
        "fewer are left; for docker_hub; default: none",
    )
    create_repository: bool = Field(
        False, description="true: create a repository before the first push; for docker_hub (public) and ecr (private)"
    )
    transfer: MoverName | None = Field(
        None,
        description="skopeo (default) or direct: moves the content to this registry, where no mirror, rule or defaults "
        "writes transfer",
    )
    pool: str = Field(
        "default_pool", min_length=1, description="Airflow pool of the tasks that write to the registry; must exist"
    )
    queue: str | None = Field(
        None,
        min_length=1,
        description="Celery queue of the workers that write to the registry; default: Airflow's default queue",
    )
    fresh_within: WrittenDuration | None = Field(
        None,
        description="Promise for this registry as a destination, such as 6h; replaces that of defaults and mirrors, "
        "and a rule's own replaces it",
    )
    events: EventsEntry | None = Field(
        None,
        description="Pushes to this registry start, within seconds, the copy of every mirror that reads from it; "
        "default: none",
    )

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        written = (name for name in ("ca_file", "client_certificate", "client_key") if getattr(self, name))
        if (name := next(written, "")) and not self.tls:
            raise ValueError(f"{name} is for TLS, which tls: false turns off; remove one of them")
        if bool(self.client_certificate) != bool(self.client_key):
            names = ("client_certificate", "client_key")
            has, lacking = names if self.client_certificate else reversed(names)
            raise ValueError(f"{has} needs {lacking}; write both, or none")
        return self

    @model_validator(mode="after")
    def _check_proxy(self) -> Self:
        if self.proxy_connection and self.proxy in (None, NO_PROXY):
            raise ValueError("proxy_connection has the login of the proxy, so it needs proxy: http://host:port")
        return self

    @model_validator(mode="after")
    def _check_api_url(self) -> Self:
        if self.api_url and self._kind() not in OWN_API:
            raise ValueError(f"a registry of kind {quoted(self._kind())} has no api_url; remove it")
        if self.api_url and (fault := api_url_fault(self.api_url, tls=self.tls)):
            raise ValueError(f"api_url: {fault}")
        return self

    @model_validator(mode="after")
    def _check_keep_pulls(self) -> Self:
        if self.keep_pulls and self._kind() not in LIMITS_PULLS:
            which = f"only supported for kind {', '.join(LIMITS_PULLS)}, which reports its pull limit"
            raise ValueError(f"keep_pulls is {which} (this registry is {quoted(self._kind())}); remove it")
        return self

    @model_validator(mode="after")
    def _check_create_repository(self) -> Self:
        if self.create_repository and self._kind() not in CREATES_REPOSITORIES:
            which = f"only supported for kind {', '.join(sorted(CREATES_REPOSITORIES))}"
            raise ValueError(f"create_repository is {which} (this registry is {quoted(self._kind())}); remove it")
        if self.create_repository and self._kind() == "ecr" and not (self.connection or self.identity):
            raise ValueError(
                "create_repository needs an identity of AWS at ECR; write identity: ambient, or connection: with the "
                "id of a Connection of type aws"
            )
        return self

    @model_validator(mode="after")
    def _check_identity(self) -> Self:
        if self.identity is None:
            return self
        if self.connection:
            raise ValueError("identity: ambient replaces a connection; remove one of them")
        if cloud_of(self.host) is None:
            if fault := incomplete_host(self.host):
                raise ValueError(f"{quoted(self.host)} {fault}; correct it")
            hosts = "identity is for registries of AWS, Google Cloud and Azure"
            raise ValueError(f"{hosts}, and {quoted(self.host)} is not a host of one; write a connection")
        if not self.tls:
            raise ValueError("tls: false would send tokens of the identity in clear text; remove it")
        return self

    def _kind(self) -> Kind:
        return self.kind or infer_kind(self.host)

    def parse(self, name: str) -> Registry:
        """The registry as a value."""
        return Registry(
            name=name,
            host=without_default_port(self.host, tls=self.tls),
            kind=self.kind,
            api_url=self.api_url,
            connection=self.connection,
            identity=self.identity,
            private=self.private,
            tls=self.tls,
            ca_file=self.ca_file,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
            proxy=self.proxy,
            proxy_connection=self.proxy_connection,
            max_connections=self.max_connections,
            requests_per_second=self.requests_per_second,
            keep_pulls=self.keep_pulls,
            create_repository=self.create_repository,
            transfer=self.transfer,
            pool=self.pool,
            queue=self.queue,
            fresh_within=self.fresh_within,
            events=self.events.parse() if self.events else None,
        )
