"""Keys of ``deep_check:``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from registry_sync.config.deep_check import DEFAULT_READ_BYTES, DEFAULT_SHARE, DeepCheckRules, parse_share, parse_size
from registry_sync.config.entries.fields import Schedule, Strict, raising_value_error


def _parse_written_size(written: Any) -> int:
    """A size in a mirrors file. YAML reads a bare 0 as a number."""
    if written == 0 and not isinstance(written, bool):
        return 0
    if not isinstance(written, str):
        raise ValueError(f"expected a size such as 2 GB, got {written!r}")
    return raising_value_error(parse_size)(written)


def _parse_written_share(written: Any) -> float:
    if not isinstance(written, str):
        raise ValueError(f"expected a percentage such as 10%, got {written!r}")
    return raising_value_error(parse_share)(written)


_SHARE_SCHEMA = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,6})? ?%$"}

_SIZE_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^(0|[0-9]{1,6}(\.[0-9]{1,6})? ?(B|KB|MB|GB|TB))$"}, {"const": 0}]
}


class DeepCheckEntry(Strict):
    """Rules under ``deep_check:``."""

    schedule: Schedule = Field(
        description="Schedule of deep checks: a run whose interval contains one also verifies content at the "
        "destinations"
    )
    share: Annotated[float, BeforeValidator(_parse_written_share), WithJsonSchema(_SHARE_SCHEMA)] = Field(
        DEFAULT_SHARE,
        description="Share of the images to verify per day, such as 10%: all of them in ten days",
        json_schema_extra={"default": "10%"},
    )
    read: Annotated[int, BeforeValidator(_parse_written_size), WithJsonSchema(_SIZE_SCHEMA)] = Field(
        DEFAULT_READ_BYTES,
        description="Limit of the bytes that one task reads whole and hashes, such as 2 GB; 0: only compare sizes",
        json_schema_extra={"default": "1 GB"},
    )

    def parse(self) -> DeepCheckRules:
        """The rules as values."""
        return DeepCheckRules(schedule=self.schedule, share=self.share, read_bytes=self.read)


def _with_schedule(written: Any) -> Any:
    """The mapping that a bare schedule stands for."""
    if written is None or isinstance(written, Mapping):
        return written
    if not isinstance(written, str):
        wanted = "expected a schedule such as '@daily', or a mapping with schedule:"
        raise ValueError(f"{wanted}, got {json.dumps(written)}")
    return {"schedule": written}


WrittenDeepCheck = Annotated[
    DeepCheckEntry, BeforeValidator(_with_schedule, json_schema_input_type=str | DeepCheckEntry)
]
"""A schedule alone, or a mapping."""
