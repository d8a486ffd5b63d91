"""The extra fields of a Connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from registry_sync.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def read_extra(connection: Connection, name: str) -> Mapping[str, Any]:
    """The extra as JSON. Airflow's own reader returns an empty one for a broken one.

    :raises ConfigurationError: when it is not a JSON object.
    """
    try:
        extra = json.loads(connection.extra or "{}")
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError(f"{name}: its extra is not a JSON object; correct or empty it")
    return extra


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraFields:
    """The extra fields of a Connection of a provider. Empty ones count as not written.

    :ivar name: the Connection, for messages.
    """

    name: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, connection: Connection, name: str) -> ExtraFields:
        """Read them, also by the long names of earlier providers: ``extra__TYPE__FIELD``.

        :raises ConfigurationError: when the extra is not a JSON object.
        """
        prefix = f"extra__{connection.conn_type}__"
        written = {key: value for key, value in read_extra(connection, name).items() if value not in (None, "")}
        long = {key.removeprefix(prefix): value for key, value in written.items() if key.startswith(prefix)}
        return cls(name=name, values={**long, **written})

    def text(self, field: str) -> str | None:
        """A text. :raises ConfigurationError: for anything else."""
        value = self.values.get(field)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{self.name}: {field} must be text")
        return value

    def mapping(self, field: str) -> Mapping[str, Any]:
        """A JSON object, also as text; empty where it is not written.

        :raises ConfigurationError: for anything else.
        """
        value = self.values.get(field, {})
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                value = None
        if not isinstance(value, dict):  # not quoted: it may be a key
            raise ConfigurationError(f"{self.name}: {field} must be a JSON object")
        return value

    def refuse_slips(self, read: Iterable[str], others: Iterable[str] = ()) -> None:
        """Refuse a misspelt name of a field that is read, because the identity would be another one without the field.

        :param others: fields that the provider's hook knows, and that say nothing about an identity.
        :raises ConfigurationError: with the correct name. Other unknown fields have no effect.
        """
        names = {_plain(name): name for name in read}
        for key in self.values.keys() - {*names.values(), *others}:
            close = get_close_matches(_plain(key), names, n=1, cutoff=0.85)
            if close and names[close[0]] not in self.values:
                raise ConfigurationError(f"{self.name}: its extra has {key!r}; did you mean {names[close[0]]!r}?")

    def refuse(self, fields: Mapping[str, str]) -> None:
        """:raises ConfigurationError: for fields that would mean another identity; ``fields`` has the reasons."""
        for field, reason in fields.items():
            if self.values.get(field):
                raise ConfigurationError(f"{self.name}: {field} is not supported for registries: {reason}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
