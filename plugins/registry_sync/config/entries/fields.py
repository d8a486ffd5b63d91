"""Types of the values in a mirrors file, where pydantic's own types would accept too much."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    WithJsonSchema,
)

from registry_sync.config.registry import NO_PROXY
from registry_sync.config.renaming import check_name_part, check_rename
from registry_sync.config.schedule import check_schedule
from registry_sync.errors import ConfigurationError
from registry_sync.oci.platforms import parse_platform
from registry_sync.oci.reference import parse_host, parse_repository_name
from registry_sync.registry.kinds import is_reachable
from registry_sync.text import quoted


class Strict(BaseModel):
    """An entry that refuses unknown keys and values of other types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


Written = TypeVar("Written")

Parsed = TypeVar("Parsed")


def raising_value_error(parse: Callable[[Written], Parsed]) -> Callable[[Written], Parsed]:
    """``parse``, with ValueError instead of ConfigurationError, as pydantic requires."""

    def check(written: Written) -> Parsed:
        try:
            return parse(written)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error

    return check


def checked_by(parse: Callable[[str], str]) -> AfterValidator:
    """A text that ``parse`` accepts, in the form that it returns."""
    return AfterValidator(raising_value_error(parse))


def parsed_by(parse: Callable[[str], object], *, min_length: int = 0) -> GetPydanticSchema:
    """Parse a text with ``parse``. Annotate with the type of the result."""
    text = Annotated[str, Field(min_length=min_length or None), AfterValidator(raising_value_error(parse))]
    return GetPydanticSchema(lambda _source, handler: handler(text))


Host = Annotated[str, checked_by(parse_host)]

RepositoryName = Annotated[str, checked_by(parse_repository_name)]


def _parse_namespace(text: str) -> str:
    if text.strip("*/") == "":
        raise ConfigurationError(
            f"{quoted(text)} is not a namespace; a whole registry cannot be mirrored: list its namespaces"
        )
    return parse_repository_name(text)


NamespaceName = Annotated[str, checked_by(_parse_namespace)]

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
"""The name of a mirror, registry or node pool. It becomes part of DAG and task ids."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of a variable of the environment."""


def _parse_time(written: Any) -> datetime:
    """A date or time in ISO 8601, in UTC unless it has an offset.

    A number is refused: pydantic would read ``2026`` as seconds since 1970.
    """
    try:
        time = written if isinstance(written, datetime) else datetime.fromisoformat(written)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"expected a date such as 2026-01-31 or 2026-01-31T12:00Z, got {written!r}") from error


def check_docker_url(url: str) -> str:
    """:raises ValueError: when ``url`` is not the address of a Docker daemon."""
    if not re.fullmatch(r"unix:///.+|tcp://[^/]+", url):
        raise ValueError(f"expected unix:///path/of/docker.sock or tcp://host:port, got {quoted(url)}")
    return url


def check_proxy(address: str) -> str:
    """Return the address of a proxy without a slash at its end, or :data:`NO_PROXY`.

    :raises ValueError: for another scheme or a path, and for a login, which is not quoted.
    """
    form = r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?"
    if address == NO_PROXY or (re.fullmatch(form, address) and is_reachable(address)):
        return address.rstrip("/")
    expected = f"write http://host:port, https://host:port, or {NO_PROXY}"
    if "@" in address:
        raise ValueError(
            f"a proxy's user and password do not belong into this file; {expected}, and as proxy_connection the id of "
            "an Airflow Connection that has them"
        )
    raise ValueError(f"{quoted(address)} is not the address of a proxy; {expected}")


ProxyAddress = Annotated[str, AfterValidator(check_proxy)]


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"expected an absolute path, because tasks run in any directory, got {quoted(str(path))}")
    return path


Rename = Annotated[str, checked_by(check_rename)]

NamePart = Annotated[str, checked_by(check_name_part)]
"""A piece of a repository name. The whole name is checked where the pieces are joined."""

Schedule = Annotated[str, checked_by(check_schedule)]

UtcTime = Annotated[
    datetime,
    BeforeValidator(_parse_time),
    WithJsonSchema({"anyOf": [{"type": "string", "format": name} for name in ("date", "date-time")]}),
]

WorkerFile = Annotated[Path, Field(strict=False), AfterValidator(_check_absolute)]

Platforms = Annotated[tuple[Annotated[str, checked_by(parse_platform)], ...], Field(min_length=1)]
