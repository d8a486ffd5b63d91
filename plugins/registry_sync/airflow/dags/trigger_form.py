"""The trigger form of a mirror's DAG: the parameters of a run.

Airflow marks a field as required, with a red star, when its type is not nullable. Every field here may stay empty, so
every type is, and an empty field means its default. Only fields without a section are shown at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from registry_sync.config.mirror import Mirror
from registry_sync.tags.accepted import ACCEPTED_FORM

_LINES: Mapping[str, Any] = {"type": ["null", "array"], "items": {"type": "string"}}

_TIME: Mapping[str, Any] = {"type": ["null", "string"], "format": "date-time", "section": "Window from … to"}

_WINDOWS: Mapping[str, str] = {
    "auto": "auto",
    "all": "all tags",
    "from_to": "pushed from … to …, as below",
    "null": "—",
}
"""The choices of a window as the form shows them; of an emptied field too."""


def parameters(mirror: Mirror) -> Mapping[str, Param]:
    """The fields of the form, in their order."""
    return {
        "dry_run": Param(
            False,
            type=["null", "boolean"],
            title="Dry run",
            description="Only report what would be copied or deleted. Nothing is changed.",
        ),
        "repositories": Param(
            None,
            title="Repositories",
            description="Names or globs of source repositories, one per line, such as giantswarm/hyperkube or "
            "giantswarm/*. Empty: all repositories of this mirror.",
            **_LINES,
        ),
        "tags": Param(
            None,
            title="Tags",
            description="Names or globs, one per line, such as v1.31.4 or v1.31.*. Only these are copied, of the tags "
            "that the mirrors file selects. Empty: all of them.",
            **_LINES,
        ),
        "destinations": Param(
            None,
            type=["null", "array"],
            title="Destinations",
            items={"type": "string", "enum": list(mirror.destinations)},
            examples=list(mirror.destinations),
            description="Registries to copy to. Empty: all destinations of this mirror.",
        ),
        "window": Param(
            "auto",
            type=["null", "string"],
            title="Window",
            enum=["auto", "all", "from_to", None],
            values_display=dict(_WINDOWS),
            description="Tags to compare, by push time. auto: all tags in a run by hand, those pushed in the data "
            "interval in a scheduled run or backfill.",
        ),
        "window_from": Param(
            None, title="Pushed from (UTC)", description="First push time, for the window from … to.", **_TIME
        ),
        "window_to": Param(
            None, title="Pushed before (UTC)", description="End of the push times, for the window from … to.", **_TIME
        ),
        "accept": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "pattern": rf"^\s*({ACCEPTED_FORM})?\s*$"},
            title="Accept moved tags",
            section="Accept moved tags",
            description="Tags that on_moved_tag protects, and that moved rightly: one per line, TAG@sha256:… or "
            "REPOSITORY:TAG@sha256:…, with the digest that the source has. Only this run moves them, and only to that.",
        ),
        "deep_check": Param(
            False,
            type=["null", "boolean"],
            title="Deep check",
            section="Deep check",
            description="After the copies, verify that the destinations hold every layer of the tags in sync, and send "
            "again what is missing or damaged.",
        ),
        "read_megabytes": Param(
            mirror.deep_check.read_bytes / 1_000_000,
            type=["null", "number"],
            minimum=0,
            title="Megabytes to read",
            section="Deep check",
            description="How much one task downloads and hashes, such as 500. Only this finds wrong bytes. "
            "Other layers each day.",
        ),
    }
