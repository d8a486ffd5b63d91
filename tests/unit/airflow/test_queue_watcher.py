"""The triggers of queues, as the installed providers of Airflow make them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from registry_sync.airflow.pushes.queue_watcher import queue_trigger, queue_watchers
from registry_sync.config.events import EventRules, Queue
from registry_sync.errors import ConfigurationError

REDIS = Queue(scheme="redis+pubsub", arguments={"channels": ["pushes"]})


def test_a_watcher_reads_the_queue_of_a_mirror() -> None:
    (watcher,) = queue_watchers("team", EventRules(queue=REDIS))
    path, arguments = watcher.trigger.serialize()
    assert path == "airflow.providers.redis.triggers.redis_await_message.AwaitMessageTrigger"
    assert arguments == {"channels": ["pushes"], "redis_conn_id": "redis_default", "poll_interval": 60}


NOT_INSTALLED = (
    "queue 'sqs': no installed provider of Airflow reads such queues (The scheme 'sqs' is not recognized by any of the "
    "registered providers.); install the one that does, such as apache-airflow-providers-amazon for sqs, on the DAG "
    "processor and on triggerers"
)

NOT_ACCEPTED = (
    "queue 'redis+pubsub': its trigger does not accept the arguments in 'with' (AwaitMessageTrigger.__init__() got an "
    "unexpected keyword argument 'unknown')"
)


@pytest.mark.parametrize(
    ("queue", "message"),
    [
        (Queue(scheme="sqs", arguments={"sqs_queue": "https://sqs.example/1/q"}), NOT_INSTALLED),
        (Queue(scheme="redis+pubsub", arguments={"unknown": "pushes"}), NOT_ACCEPTED),
    ],
)
def test_a_queue_that_cannot_be_read_is_named(queue: Queue, message: str, caplog: pytest.LogCaptureFixture) -> None:
    """The DAGs of the file stay, and the mistake is logged."""
    with pytest.raises(ConfigurationError) as caught:
        queue_trigger(queue)
    assert str(caught.value) == message
    assert queue_watchers("team", EventRules(queue=queue)) == []
    assert f"Mirror 'team' reads no queue: {message}" in caplog.text


@pytest.mark.parametrize(
    ("scheme", "meant"),
    [
        ("redis", "'redis+pubsub'"),
        ("redis+pubsu", "'redis+pubsub'"),
        ("pubsub", "'redis+pubsub' or 'google+pubsub'"),
        ("azure+service-bus", "'azure+servicebus'"),
        ("kafka2", "'kafka'"),
        ("amqp", ""),
    ],
)
def test_a_slip_in_a_scheme_is_corrected(scheme: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        queue_trigger(Queue(scheme=scheme, arguments={"channels": ["pushes"]}))
    advice = str(caught.value).partition("); ")[2]
    assert advice == (f"did you mean {meant}?" if meant else NOT_INSTALLED.partition("); ")[2])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "airflow.providers.common.messaging.triggers.msg_queue"
    missing: Any = None
    monkeypatch.setitem(sys.modules, name, missing)
    with pytest.raises(ConfigurationError) as caught:
        queue_trigger(REDIS)
    assert str(caught.value) == (
        "queue 'redis+pubsub': the package apache-airflow-providers-common-messaging is not installed; install it, and "
        "the provider that reads such queues"
    )
