"""Keys of ``notify:``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from registry_sync.config.entries.fields import Strict, checked_by
from registry_sync.config.entries.tag_rules import WrittenDuration
from registry_sync.config.known_notifiers import KNOWN_NOTIFIERS
from registry_sync.config.notify import DEFAULT_REPEAT, EVENTS, Event, Notifier
from registry_sync.config.secret_arguments import find_secret
from registry_sync.errors import ConfigurationError
from registry_sync.text import quoted


def check_class_path(text: str) -> str:
    """Return ``text`` if it has the form of a class path. Nothing is imported.

    :raises ConfigurationError: when it has not.
    """
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", text, re.ASCII):
        return text
    names = {path.rpartition(".")[2]: path for path in KNOWN_NOTIFIERS}
    close = get_close_matches(text, names, n=1)
    path = names[close[0]] if close else next(iter(KNOWN_NOTIFIERS))
    raise ConfigurationError(f"{quoted(text)} is not the path of a class; write package.module.Class, such as {path}")


class NotifierEntry(Strict):
    """A notifier under ``notify:``."""

    class_path: Annotated[str, checked_by(check_class_path)] = Field(
        alias="class",
        description="Path of a notifier class of Airflow, such as "
        "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
    )
    arguments: Mapping[str, Any] = Field(
        {},
        alias="with",
        description="Arguments of the class, without secrets: these are in the Airflow Connection whose id is an "
        "argument. Texts may be Jinja templates with registry_sync.subject, .text and .html",
    )
    on: Annotated[tuple[Event, ...], Field(min_length=1)] = Field(
        EVENTS, description="Events that it sends; default: all three"
    )
    repeat: WrittenDuration = Field(
        DEFAULT_REPEAT,
        description="Time after which a message about unchanged problems is sent again, such as 24h",
        json_schema_extra={"default": DEFAULT_REPEAT.text},
    )

    @model_validator(mode="after")
    def _check_events(self) -> Self:
        """Refuse ``recovered`` alone: a recovery is reported to those who got the message about the problem."""
        if set(self.on) == {"recovered"}:
            raise ValueError("a recovery is sent after a failure or a broken promise only; add failed or stale to on")
        return self

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        if name := find_secret(self.arguments):
            known = KNOWN_NOTIFIERS.get(self.class_path)
            remedy = (
                f"write its id as {known.connection}"
                if known
                else "write its id in the argument that the class has for it, or {{ conn.ID.password }}"
            )
            raise ValueError(
                f"the argument {quoted(name)} looks like a secret, which must not be in this file; put it into an "
                f"Airflow Connection, and {remedy}"
            )
        return self

    def parse(self) -> Notifier:
        """The notifier as a value."""
        arguments: dict[str, Any] = json.loads(json.dumps(self.arguments))  # lists instead of tuples
        return Notifier(class_path=self.class_path, arguments=arguments, on=self.on, repeat=self.repeat)


WrittenNotifiers = Annotated[tuple[NotifierEntry, ...], Field(min_length=1)]
