"""Options of a route, as they are written at each level."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from registry_sync.config.entries.fields import (
    NamePart,
    Platforms,
    Strict,
    UtcTime,
    WorkerFile,
    check_docker_url,
    parsed_by,
    raising_value_error,
)
from registry_sync.config.entries.prune_rules import PruneRulesEntry
from registry_sync.config.entries.tag_rules import WrittenDuration, WrittenTags
from registry_sync.config.settings import DOCKER_SOCKET, MoverName, RouteSettings, Runner, SkopeoOptions
from registry_sync.tags.backup_names import BackupTemplate, parse_backup_tag
from registry_sync.tags.overwrite_policy import POLICIES, OverwritePolicies, parse_policies
from registry_sync.text import quoted


class SkopeoEntry(Strict):
    """Options under ``skopeo:``."""

    runner: Runner = Field("local", description="local: the skopeo of the worker; docker: one container per copy")
    image: str | None = Field(
        None, min_length=1, description="Image that contains skopeo, such as quay.io/skopeo/stable:v1.18.0; for docker"
    )
    docker_url: Annotated[str, AfterValidator(check_docker_url)] = Field(
        DOCKER_SOCKET, description="Address of the Docker daemon, as seen by the worker; for docker"
    )
    tls_dir: WorkerFile | None = Field(
        None, description="Folder on the workers with ca.pem, cert.pem and key.pem; for a docker_url with tcp://"
    )
    network: str = Field("bridge", min_length=1, description="Docker network that the containers join; for docker")

    @model_validator(mode="after")
    def _check_runner(self) -> Self:
        if self.runner == "docker" and self.image is None:
            raise ValueError(
                "runner: docker needs an image that contains skopeo, such as quay.io/skopeo/stable:v1.18.0"
            )
        if self.runner == "local" and self.model_fields_set - {"runner"}:
            others = ", ".join(sorted(self.model_fields_set - {"runner"}))
            raise ValueError(f"{others}: only for runner: docker; write that too, or remove it")
        if self.docker_url.startswith("tcp://") and self.tls_dir is None:
            raise ValueError(
                f"docker_url {quoted(self.docker_url)} needs a tls_dir: without TLS, whoever reaches that port is root "
                "there"
            )
        return self

    def parse(self) -> SkopeoOptions:
        """The options as a value."""
        return SkopeoOptions(
            runner=self.runner,
            image=self.image,
            docker_url=self.docker_url,
            tls_dir=self.tls_dir,
            network=self.network,
        )


_POLICY_SCHEMA = {"type": "string", "enum": list(POLICIES)}

PoliciesEntry = Annotated[
    OverwritePolicies,
    PlainValidator(raising_value_error(parse_policies)),
    WithJsonSchema(
        {"anyOf": [_POLICY_SCHEMA, {"type": "object", "minProperties": 1, "additionalProperties": _POLICY_SCHEMA}]}
    ),
]


class RouteOptions(Strict):
    """Options in ``defaults:``, at a mirror and at a rule. The innermost level that writes an option counts.

    ``null`` counts as written: it turns off the option of an outer level.
    """

    tags: WrittenTags | None = Field(
        None, description="Tags to mirror: a rule, or a list of rules, of which a tag needs one; default: all"
    )
    prefix: NamePart | None = Field(
        None, description="Prefix for the names at the destinations, such as mirror/; not used with rename"
    )
    strip_prefix: NamePart | None = Field(
        None, description="Prefix to remove from the source's names before prefix is added, such as giantswarm/"
    )
    on_moved_tag: PoliciesEntry | None = Field(
        None,
        description="follow, keep or fail for a tag whose digest changed; or a mapping of tag patterns to these, first "
        "match counts",
    )
    backup_tag: Annotated[BackupTemplate, parsed_by(parse_backup_tag, min_length=1)] | None = Field(
        None,
        description="Jinja2 template for the tag that keeps the old image before its tag is overwritten, such as "
        "{{ tag }}-was-{{ digest_short }}; variables: tag, digest, digest_short, date, time",
    )
    prune: PruneRulesEntry | None = Field(None, description="Tags to delete at the destination; default: none")
    platforms: Platforms | None = Field(
        None, description="Platforms to mirror from multi-platform images, such as linux/amd64; default: all"
    )
    signatures: bool | None = Field(
        None, description="Copy signatures, attestations and SBOMs with their image (default: true)"
    )
    policy: WorkerFile | None = Field(
        None, description="containers-policy.json(5) file on the workers; an image that it rejects is not copied"
    )
    registries_d: WorkerFile | None = Field(
        None,
        description="containers-registries.d(5) folder on the workers, with the locations of signatures for the policy",
    )
    skopeo: SkopeoEntry | None = Field(None, description="Where skopeo runs; default: on the worker")
    transfer: MoverName | None = Field(
        None,
        description="skopeo (default), or direct: our own client moves the content, with fewer requests, connections "
        "and less CPU; not with policy",
    )
    parallel_copies: Annotated[int, Field(ge=1, le=32)] | None = Field(
        None, description="Number of images that one task copies at the same time (4)"
    )
    copy_timeout_minutes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Timeout of one image's copy, in minutes (60)"
    )
    stall_timeout_seconds: Annotated[int, Field(ge=1)] | None = Field(
        None, description="End a copy after this many seconds without traffic (300)"
    )
    fresh_within: WrittenDuration | None = Field(
        None,
        description="Promise: the longest time that a tag may be at the source and not at the destination, such as 2h; "
        "default: none",
    )

    enabled: bool | None = Field(
        None, description="false: nothing is copied or deleted, and the status is disabled; default: true"
    )
    until: UtcTime | None = Field(
        None, description="With enabled: false: the time in UTC from which it is enabled again; default: never"
    )

    @model_validator(mode="after")
    def _check_until(self) -> Self:
        if self.until and self.enabled is not False:
            raise ValueError("until needs enabled: false beside it; write it, or remove until")
        return self


def written_options(options: RouteOptions) -> frozenset[str]:
    """The options that one level writes, also as ``null``."""
    return frozenset(options.model_fields_set & RouteOptions.model_fields.keys())


def resolve_settings(*levels: RouteOptions) -> RouteSettings:
    """The settings that result from ``levels``, outermost first. A later level overrides an earlier one by key."""
    written: dict[str, Any] = {}
    for level in levels:
        written |= {name: getattr(level, name) for name in written_options(level)}
        if "enabled" in written_options(level):
            written["until"] = level.until
    return RouteSettings(**{name: _parse(value) for name, value in written.items() if value is not None})


def _parse(value: Any) -> Any:
    return value.parse() if isinstance(value, PruneRulesEntry | SkopeoEntry) else value
