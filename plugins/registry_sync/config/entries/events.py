"""Keys of ``events:``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from registry_sync.config.entries.fields import Strict, checked_by, parsed_by
from registry_sync.config.events import DEFAULT_SETTLE, EventRules, Queue, Webhook
from registry_sync.config.secret_arguments import find_secret
from registry_sync.errors import ConfigurationError
from registry_sync.tags.rules import Duration
from registry_sync.text import quoted

MAX_SETTLE = timedelta(hours=1)


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


def check_scheme(text: str) -> str:
    """Return ``text`` if it has the form of a queue's scheme, such as ``redis+pubsub``.

    :raises ConfigurationError: when it has not.
    """
    if re.fullmatch(r"[a-z][a-z0-9+.-]{0,49}", text):
        return text
    raise ConfigurationError(f"expected the name of a kind of queue, such as sqs or kafka, got {quoted(text)}")


class QueueEntry(Strict):
    """Keys under ``queue:``."""

    scheme: Annotated[str, checked_by(check_scheme)] = Field(
        description="Kind of the queue, as the Airflow provider that reads it names it, such as sqs or kafka"
    )
    arguments: Mapping[str, Any] = Field(
        {},
        alias="with",
        description="Arguments of the provider's trigger, without secrets: these are in the Airflow Connection whose "
        "id is an argument",
    )

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        if taken := self.arguments.keys() & {"queue", "scheme"}:
            raise ValueError(f"the argument {quoted(min(taken))} is written as scheme:, beside with:; remove it")
        if name := find_secret(self.arguments):
            raise ValueError(
                f"the argument {quoted(name)} looks like a secret, which must not be in this file; put it into an "
                "Airflow Connection, and write its id in the argument that the trigger has for it, such as aws_conn_id"
            )
        return self

    def parse(self) -> Queue:
        """The queue as a value."""
        arguments: dict[str, Any] = json.loads(json.dumps(self.arguments))  # lists instead of tuples
        return Queue(scheme=self.scheme, arguments=arguments)


class EventsEntry(Strict):
    """Keys under ``events:``."""

    webhook: WebhookEntry | None = Field(
        None, description="The registry reports pushes by requests to Airflow; see docs/events.md"
    )
    queue: QueueEntry | None = Field(
        None, description="The registry reports pushes to a message queue, which Airflow's triggerer reads"
    )
    chain: bool = Field(
        True,
        description="Runs that copy to this registry start the mirrors that read from it, whether it has a webhook or "
        "not",
    )
    settle: Annotated[Duration, parsed_by(parse_settle)] = Field(
        DEFAULT_SETTLE,
        description="Time to wait after a push for the other parts of an image and its signatures, such as 10s or 2m",
        json_schema_extra={"default": DEFAULT_SETTLE.text},
    )

    @model_validator(mode="after")
    def _check_ways(self) -> Self:
        if not (self.webhook or self.queue or (self.chain and "chain" in self.model_fields_set)):
            raise ValueError(
                "it has no way for events to arrive; write webhook: {secret: CONNECTION_ID}, queue:, or chain: true "
                "for pushes of other mirrors alone"
            )
        return self

    def parse(self) -> EventRules:
        """The rules as values."""
        return EventRules(
            webhook=self.webhook.parse() if self.webhook else None,
            queue=self.queue.parse() if self.queue else None,
            chain=self.chain,
            settle=self.settle,
        )
