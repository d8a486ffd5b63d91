"""The types of what stands in a mirrors file, where pydantic's own would let through too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from registry_sync.errors import ConfigurationError
from registry_sync.reference import parse_host, parse_repository_name


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
