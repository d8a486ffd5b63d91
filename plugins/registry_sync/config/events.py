"""``events:`` of a mirrors file: pushes that start the copy within seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from registry_sync.config.fields import Strict, checked_by, parsed_by
from registry_sync.errors import ConfigurationError
from registry_sync.tags.rules import Duration
from registry_sync.text import quoted

DEFAULT_SETTLE = Duration("10s", timedelta(seconds=10))

MAX_SETTLE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Requests that the registry sends to the receiver in Airflow's API server.

    :ivar secret: id of the Airflow Connection whose password is the secret of the webhook.
    """

    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRules:
    """The ways in which a registry reports pushes.

    :ivar settle: time to wait after a push, so that all parts of an image and its signatures have arrived.
    """

    webhook: Webhook | None = None
    settle: Duration = DEFAULT_SETTLE


def parse_settle(text: str) -> Duration:
    """Parse a time in whole seconds or minutes, such as ``10s``.

    >>> parse_settle("2m").length
    datetime.timedelta(seconds=120)

    :raises ConfigurationError: when it is not one, or is longer than an hour.
    """
    match = re.fullmatch(r"(0|[1-9][0-9]{0,3})([sm])", text)
    length = timedelta(seconds=int(match[1]) * {"s": 1, "m": 60}[match[2]]) if match else None
    if length is None or length > MAX_SETTLE:
        raise ConfigurationError(f"expected seconds or minutes up to an hour, such as 10s or 2m, got {quoted(text)}")
    return Duration(text, length)


def check_connection_id(text: str) -> str:
    """Return ``text`` if Airflow accepts it as the id of a Connection.

    :raises ConfigurationError: when it does not. The text may be a secret, so the message does not repeat it.
    """
    if re.fullmatch(r"[\w#!()\-.:/\\]{1,200}", text, re.ASCII):
        return text
    raise ConfigurationError(
        "this is not the id of an Airflow Connection; put the secret into a Connection as its password, and write the "
        "Connection's id here"
    )


class WebhookEntry(Strict):
    """Keys under ``webhook:``."""

    secret: Annotated[str, checked_by(check_connection_id)] = Field(
        description="Airflow Connection whose password is the secret of the webhook"
    )

    def parse(self) -> Webhook:
        """The webhook as a value."""
        return Webhook(secret=self.secret)


class EventsEntry(Strict):
    """Keys under ``events:``."""

    webhook: WebhookEntry | None = Field(
        None, description="The registry reports pushes by requests to Airflow; see docs/events.md"
    )
    settle: Annotated[Duration, parsed_by(parse_settle)] = Field(
        DEFAULT_SETTLE,
        description="Time to wait after a push for the other parts of an image and its signatures, such as 10s or 2m",
        json_schema_extra={"default": DEFAULT_SETTLE.text},
    )

    @model_validator(mode="after")
    def _check_ways(self) -> Self:
        if self.webhook is None:
            raise ValueError("it has no way for events to arrive; write webhook: {secret: CONNECTION_ID}")
        return self

    def parse(self) -> EventRules:
        """The rules as values."""
        return EventRules(webhook=self.webhook.parse() if self.webhook else None, settle=self.settle)
