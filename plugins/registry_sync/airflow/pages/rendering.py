"""HTML by Jinja2. Everything is escaped, and text of registries is made harmless before that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from registry_sync.airflow.ids import dag_of_run
from registry_sync.airflow.pages.wording import cut, exact, number, relative, short_digest, short_name
from registry_sync.registry.web_pages import web_page
from registry_sync.text import one_line
from registry_sync.text_table import human_duration


def render(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A page.

    Templates have ``now``, ``here``, ``url(path, **query)`` and ``airflow_url(*parts)`` beside the values.
    """
    urls = Urls(request)
    here = request.url.path.removeprefix(request.scope.get("root_path", ""))
    names = {"now": datetime.now(UTC), "here": here, "url": urls.page, "airflow_url": urls.airflow}
    return HTMLResponse(_environment().get_template(template).render(**names, **values), status_code=status)


Query = str | int | None


class Urls:
    """Addresses as paths on this server, with the prefix of a reverse proxy (``[api] base_url``)."""

    def __init__(self, request: Request) -> None:
        self._pages = request.scope.get("root_path", "")
        self._airflow = request.scope.get("app_root_path", "")

    def page(self, path: str, **query: Query) -> str:
        """The address of one of our pages."""
        return _address(self._pages, path, query)

    def airflow(self, *parts: str | int) -> str:
        """The address of a page of Airflow, by the parts of its path."""
        return "/".join((self._airflow, *(quote(str(part), safe="") for part in parts)))


def _address(root: str, path: str, query: Mapping[str, Query]) -> str:
    given = urlencode({name: value for name, value in query.items() if value})
    return f"{root}{quote(path)}{'?' if given else ''}{given}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("registry_sync.airflow.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"dag_of_run": dag_of_run, "registry_page": _registry_page}
    environment.filters |= {
        "cut": cut,
        "digest": short_digest,
        "duration": human_duration,
        "exact": exact,
        "name": short_name,
        "number": number,
        "relative": relative,
    }
    return environment


def _registry_page(whole_name: str, tag: str | None = None) -> str | None:
    """The registry's own page of a repository, such as ``quay.io/team/app``."""
    host, _, repository = whole_name.partition("/")
    return web_page(host, repository, tag) if repository else None


def _harmless(value: Any) -> Any:
    """Every value that a template shows: one line without control characters and marks of writing direction."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
