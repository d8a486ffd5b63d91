"""Keys by which teams share one Airflow: the owner of a DAG, who may see and trigger it, and its tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from registry_sync.config.team_keys import MAX_TAG_LENGTH, RESOURCES, AccessControl
from registry_sync.text import quoted


def _parse_access(written: Any) -> AccessControl:
    """:raises ValueError: when a role, a resource or an action is not one of Airflow's."""
    if not isinstance(written, Mapping) or not written:
        raise ValueError("expected a mapping of roles, such as {Viewer: [can_read]}")
    return tuple((_parse_role(role), _parse_resources(role, rights)) for role, rights in written.items())


def _parse_role(role: Any) -> str:
    if not isinstance(role, str) or not role.strip() or not role.isprintable():
        raise ValueError("a role of Airflow must not be empty")
    return role


def _parse_resources(role: str, written: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The rights of a role: a list of actions on the DAG, or lists by resource."""
    by_resource = written if isinstance(written, Mapping) else {"DAGs": written}
    if unknown := [name for name in by_resource if name not in RESOURCES]:
        raise ValueError(
            f"{quoted(str(unknown[0]))} of role {quoted(role)} is not a resource of DAGs; {_choices(RESOURCES)}"
        )
    return tuple((name, _parse_actions(role, name, actions)) for name, actions in by_resource.items())


def _parse_actions(role: str, resource: str, written: Any) -> tuple[str, ...]:
    if not isinstance(written, list | tuple) or not written:
        raise ValueError(f"role {quoted(role)} has no list of actions on {resource}; {_choices(RESOURCES[resource])}")
    if unknown := [action for action in written if action not in RESOURCES[resource]]:
        problem = f"role {quoted(role)} has {quoted(str(unknown[0]))}, which is not an action on {resource}"
        raise ValueError(f"{problem}; {_choices(RESOURCES[resource])}")
    return tuple(dict.fromkeys(written))


def _choices(names: Sequence[str] | Mapping[str, Any]) -> str:
    return f"there are {', '.join(names)}"


_ACTIONS = {
    name: {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(actions)}}
    for name, actions in RESOURCES.items()
}

WrittenAccess = Annotated[
    AccessControl,
    PlainValidator(_parse_access),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "anyOf": [
                    _ACTIONS["DAGs"],
                    {"type": "object", "properties": _ACTIONS, "additionalProperties": False, "minProperties": 1},
                ]
            },
        }
    ),
]


def _check_owner(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("expected a name in one line, such as the name of a team")
    return text


Owner = Annotated[str, AfterValidator(_check_owner), Field(min_length=1, max_length=200)]
"""The owner of a DAG, such as a team."""

DagTags = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_TAG_LENGTH)], ...],
    Field(min_length=1, max_length=50),
]
