"""Links on each mapped task of a mirror: to the repository at its source, at its destination, and on the Mirrors page.

Airflow asks for them when somebody opens the details of a task. Links that an operator has itself cost each task a call
and a row of XCom per link; links of a plugin cost it nothing. The plugin is imported in every process, so this module
imports what it needs when a link is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from registry_sync.routes.route import Route


class _Operators:
    """The operators with these links, imported when Airflow reads the attribute."""

    def __get__(self, _: object, __: object = None) -> list[Any]:
        from registry_sync.airflow.operators.mirror_route import MirrorRouteOperator  # noqa: PLC0415

        return [MirrorRouteOperator]


class RouteLink(BaseOperatorLink):
    """A link made from the route of a mapped task. Without a route, Airflow shows the button disabled."""

    operators: ClassVar[Any] = _Operators()

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - every mapped task has the same operator
        """The address; empty where there is none."""
        from registry_sync.airflow.linked_route import read_route  # noqa: PLC0415

        route = read_route(ti_key)
        return self.address(route) if route else ""

    def address(self, route: Route) -> str:
        """The address for a route; empty where there is none."""
        raise NotImplementedError


class SourceLink(RouteLink):
    """The web page of the source repository at its registry."""

    name = "Source repository"

    def address(self, route: Route) -> str:
        from registry_sync.registry.web_pages import web_page  # noqa: PLC0415

        return web_page(route.source.host, route.source_repository.name, kind=route.source.kind) or ""


class DestinationLink(RouteLink):
    """The web page of the destination repository at its registry."""

    name = "Destination repository"

    def address(self, route: Route) -> str:
        from registry_sync.registry.web_pages import web_page  # noqa: PLC0415

        return web_page(route.destination.host, route.destination_repository.name, kind=route.destination.kind) or ""


class MirrorsLink(RouteLink):
    """The repository on the Mirrors page, with its tags at all destinations."""

    name = "Mirrors"

    def address(self, route: Route) -> str:
        from registry_sync.airflow.linked_route import page_of  # noqa: PLC0415

        return page_of(route)


LINKS: list[Any] = [SourceLink(), DestinationLink(), MirrorsLink()]
