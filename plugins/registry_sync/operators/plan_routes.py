"""The first task of a mirror's DAG: checks, and the list of routes that the mapped task is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.sdk import BaseOperator

from registry_sync.errors import ConfigurationError
from registry_sync.hooks.registry import RegistryHook
from registry_sync.mirrors import Mirror, Registry, Route, expand_routes, select_routes

if TYPE_CHECKING:
    from airflow.sdk import Context


class PlanRoutesOperator(BaseOperator):
    """List the routes of a mirror to one destination, after checking that they can be worked on.

    One clear failure here stands for what would be one failure per repository: skopeo missing or too old, a registry
    that does not answer, a password that it does not accept.

    :param mirror: the entry of the mirrors file.
    :param source: the mirror's source.
    :param destination: one of its destinations.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, mirror: Mirror, source: Registry, destination: Registry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mirror = mirror
        self.source = source
        self.destination = destination

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Arguments of one :class:`MirrorRepositoryOperator` per route, in a stable order."""
        params = read_parameters(context)
        if params["destinations"] and self.destination.name not in params["destinations"]:
            self.log.info("%s is not among the destinations of this run; nothing to do", self.destination.name)
            return []
        routes = select_routes(self._expand(), params["repositories"] or [])
        check_length(len(routes), self.mirror.name)
        self.log.info("%d routes:\n%s", len(routes), "\n".join(each.label for each in routes))
        return [
            {"route": each.to_json(), "tags": params["tags"] or [], "is_dry_run": params["dry_run"]} for each in routes
        ]

    def _expand(self) -> list[Route]:
        """Check both registries and skopeo, then turn the mirror's rules into routes."""
        from registry_sync.skopeo import find_skopeo

        self.log.info("skopeo %s", find_skopeo().version)
        with closing(RegistryHook(self.destination).get_conn()) as destination:
            destination.ping()
        with closing(RegistryHook(self.source).get_conn()) as source:
            source.ping()
            return expand_routes(self.mirror, self.source, self.destination, source.list_repositories)


def read_parameters(context: Context) -> Mapping[str, Any]:
    """The run's parameters.

    Airflow takes any key in a run's conf, and adds it to the parameters; a typo would then quietly mean "everything".

    :raises ConfigurationError: for a key that is no parameter.
    """
    params, declared = context["params"], context["dag"].params
    unknown = sorted(set(params) - set(declared))
    if unknown:
        raise ConfigurationError(f"unknown parameters {unknown}; there are {sorted(declared)}")
    return {name: _stripped(value) for name, value in params.items()}


def _stripped(value: Any) -> Any:
    """The trigger form's text areas give a last empty line."""
    return [text for each in value if (text := each.strip())] if isinstance(value, list) else value


def check_length(count: int, mirror: str) -> None:
    """:raises ConfigurationError: when Airflow would not map a task over so many routes."""
    most = conf.getint("core", "max_map_length")
    if count > most:
        advice = "split the mirror, or set AIRFLOW__CORE__MAX_MAP_LENGTH higher for the API server and the workers"
        raise ConfigurationError(f"mirror {mirror!r} has {count} routes, Airflow maps {most} at most: {advice}")
