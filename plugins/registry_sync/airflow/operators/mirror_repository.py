"""The operator for your own DAG: mirrors one repository by plain arguments, without a mirrors file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.hooks.skopeo import check_skopeos
from registry_sync.airflow.operators.route_operator import RouteOperator
from registry_sync.airflow.runs.context import task_label
from registry_sync.airflow.runs.retries import MirrorRetryPolicy
from registry_sync.errors import ConfigurationError
from registry_sync.routes.single_route import RouteArguments, parse_route
from registry_sync.sync.scope import RouteScope
from registry_sync.text import quoted

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryPolicy

    from registry_sync.sync.route import SyncedRoute

MAX_DIGESTS = 200
"""Maximum number of digests in the value that a task returns, so that its XCom stays small."""


class MirrorRepositoryOperator(RouteOperator):
    """Copy the tags of a repository that another repository lacks, or has with other digests.

    Unchanged tags cost no copy. A tag that fails does not stop the others; then the task fails. Temporary errors are
    retried up to ``retries`` times, permanent ones are not, and a rate limit defers the task.

    The task returns ``source``, ``destination``, ``dry_run``, ``counts`` (tags by outcome) and ``digests`` (by tag, of
    those in sync at the end; in a dry run, of those that would be), at most :data:`MAX_DIGESTS`; ``omitted`` counts
    the others. The XCom ``report`` has the whole report, also of a task that fails. No state is recorded: the pages,
    messages and metrics show the mirrors of a mirrors file.

    :param source: repository to read, such as ``quay.io/org/app``; Docker Hub's may be short, such as ``alpine``.
    :param destination: repository to write, such as ``docker.io/org/app``.
    :param tags: names of tags, ``TAG@sha256:…`` to pin one; or rules as under ``tags:`` in a mirrors file, such as
        ``{"semver": ">= 1.2", "newest": 5}``. ``None`` mirrors all tags.
    :param source_conn_id: Airflow Connection of type ``oci_registry`` or ``docker``; ``None`` is anonymous.
    :param destination_conn_id: Connection for the destination.
    :param options: options of an entry of ``repositories:`` in a mirrors file, such as ``{"on_moved_tag": "fail"}``.
        Not a template field, because ``backup_tag`` is a template of its own.
    :param source_registry: options of an entry of ``registries:``, such as ``{"kind": "harbor"}``.
    :param destination_registry: the same for the destination.
    :param deep_check: also verify that the destination holds every layer of the tags in sync, and repair it.
    :param dry_run: report what would be copied, and change nothing.
    :param retry_policy: by default, permanent errors are not retried.
    :raises ConfigurationError: when the task runs and an argument is not valid; the message names the argument.
    :raises RegistrySyncError: one of its classes, when a tag or the whole repository cannot be mirrored.
    """

    template_fields: Sequence[str] = ("source", "destination", "tags", "source_conn_id", "destination_conn_id")

    def __init__(
        self,
        *,
        source: str,
        destination: str,
        tags: Sequence[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        source_conn_id: str | None = None,
        destination_conn_id: str | None = None,
        options: Mapping[str, Any] | None = None,
        source_registry: Mapping[str, Any] | None = None,
        destination_registry: Mapping[str, Any] | None = None,
        deep_check: bool = False,
        dry_run: bool = False,
        retry_policy: RetryPolicy | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(retry_policy=retry_policy or MirrorRetryPolicy(), **kwargs)
        self.source = source
        self.destination = destination
        self.tags = tags
        self.source_conn_id = source_conn_id
        self.destination_conn_id = destination_conn_id
        self.options = options
        self.source_registry = source_registry
        self.destination_registry = destination_registry
        self.deep_check = deep_check
        self.only_report = dry_run
        self._written = tuple(name for name in self.template_fields if getattr(self, name) is not None)

    def execute(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,  # noqa: ARG002 - of the trigger, after a deferral
        deferrals: int = 0,
    ) -> dict[str, Any]:
        """Mirror the repository, and return the counts and digests.

        :param deferrals: number of deferrals of this try so far.
        """
        try:
            route = parse_route(self._arguments(context))
        except ConfigurationError as error:
            raise ConfigurationError(f"{type(self).__name__} {self.task_id!r}: {error}") from error
        check_skopeos([route.settings], task_label(context))
        return outcome_of(self.sync(context, route, self._scope(), deferrals))

    def _arguments(self, context: Context) -> RouteArguments:
        """:raises ConfigurationError: also when a template or XCom gave ``None``: all tags, or anonymous."""
        if empty := [name for name in self._written if getattr(self, name) is None]:
            raise ConfigurationError(
                f"{empty[0]}: its template or XCom gave None; to mean that, leave the argument out"
            )
        for name, value in (("deep_check", self.deep_check), ("dry_run", self.only_report)):
            if not isinstance(value, bool):
                raise ConfigurationError(
                    f"{name}: expected True or False, got {quoted(str(value))}; it is not a template"
                )
        return RouteArguments(
            name=f"{context['ti'].dag_id}-{self.task_id}",
            source=self.source,
            destination=self.destination,
            tags=self.tags,
            source_conn_id=self.source_conn_id,
            destination_conn_id=self.destination_conn_id,
            options=self.options or {},
            source_registry=self.source_registry or {},
            destination_registry=self.destination_registry or {},
        )

    def _scope(self) -> RouteScope:
        from registry_sync.config.deep_check import DEFAULT_READ_BYTES
        from registry_sync.sync.verification.deep_check import DeepCheck

        deep_check = DeepCheck(reason="all images", read_bytes=DEFAULT_READ_BYTES) if self.deep_check else None
        return RouteScope(dry_run=self.only_report, deep_check=deep_check)


def outcome_of(synced: SyncedRoute) -> dict[str, Any]:
    """The value that the task returns."""
    report, seen = synced.report, synced.view.tags
    known = {tag.tag: str(tag.digest) for tag in seen if tag.digest and (tag.status == "in_sync" or report.dry_run)}
    shown = dict(sorted(known.items())[:MAX_DIGESTS])
    return {
        "source": report.source,
        "destination": report.destination,
        "dry_run": report.dry_run,
        "counts": {outcome: count for outcome, count in report.counts.items() if count},
        "digests": shown,
        "omitted": len(known) - len(shown),
    }
