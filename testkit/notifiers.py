"""Notifiers of Airflow that misbehave."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.state.messages.message import Message


class KeepingNotifier(BaseNotifier):
    """A notifier without templates: it takes the message from the context."""

    kept: ClassVar[list[Message]] = []

    def notify(self, context: Context) -> None:
        self.kept.append(context["registry_sync"])  # type: ignore[typeddict-item]


class RaisingNotifier(BaseNotifier):
    """A notifier whose service is down."""

    def notify(self, context: Context) -> None:  # noqa: ARG002
        raise RuntimeError("the service answers 503")


class ExitingNotifier(BaseNotifier):
    """A notifier that ends the process."""

    def notify(self, context: Context) -> None:  # noqa: ARG002
        sys.exit(3)


class HangingNotifier(BaseNotifier):
    """A notifier whose service never answers."""

    def notify(self, context: Context) -> None:  # noqa: ARG002
        time.sleep(600)
