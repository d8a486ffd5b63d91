"""The types of what stands in a mirrors file, where pydantic's own would let through too much."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from registry_sync.config.renaming import check_name_part, check_rename
from registry_sync.config.schedule import check_schedule
from registry_sync.errors import ConfigurationError
from registry_sync.oci.platforms import parse_platform
from registry_sync.oci.reference import parse_host, parse_repository_name


def raising_value_error(parse: Callable[[str], str]) -> AfterValidator:
    """``parse`` as pydantic wants it: with a ValueError for what it refuses."""

    def check(text: str) -> str:
        try:
            return parse(text)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error

    return AfterValidator(check)


Host = Annotated[str, raising_value_error(parse_host)]

RepositoryName = Annotated[str, raising_value_error(parse_repository_name)]

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
"""A name of a mirror, registry or node pool; it becomes part of DAG and task ids."""


def _parse_moment(written: Any) -> datetime:
    """A date or time in ISO 8601, in UTC unless it has an offset.

    A number is refused. pydantic would take ``2026`` for seconds since 1970.
    """
    try:
        moment = written if isinstance(written, datetime) else datetime.fromisoformat(written)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"expected a date such as 2026-01-31 or 2026-01-31T12:00Z, got {written!r}") from error


def _check_docker_url(url: str) -> str:
    if not re.fullmatch(r"unix:///.+|tcp://[^/]+", url):
        raise ValueError(f"expected unix:///path/of/docker.sock or tcp://host:port, got {url!r}")
    return url


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"expected an absolute path, since a worker runs anywhere, got {str(path)!r}")
    return path


Rename = Annotated[str, raising_value_error(check_rename)]

NamePart = Annotated[str, raising_value_error(check_name_part)]
"""A piece of a repository name; whether the whole is a name shows where it is put together."""

Schedule = Annotated[str, raising_value_error(check_schedule)]

Moment = Annotated[
    datetime,
    BeforeValidator(_parse_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": each} for each in ("date", "date-time")]}),
]

WorkerFile = Annotated[Path, Field(strict=False), AfterValidator(_check_absolute)]

Platforms = Annotated[tuple[Annotated[str, raising_value_error(parse_platform)], ...], Field(min_length=1)]


class Strict(BaseModel):
    """An entry that refuses unknown keys and values of other types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
