"""``events:`` of registries and mirrors."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from registry_sync.config.as_json import registry_as_json
from registry_sync.config.entries.from_json import registry_from_json
from registry_sync.config.events import DEFAULT_SETTLE, EventRules, Queue, Webhook
from registry_sync.config.registry import Registry
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import parse_mirrors
from registry_sync.tags.rules import Duration

FILE = """\
registries:
  quay:
    host: quay.io
{registry}
  acr: {{host: acr.example}}
mirrors:
  m:
    source: quay
    destinations: [acr]
    repositories: [a/b]
{mirror}
"""


def parse(registry: str = "", mirror: str = "") -> tuple[EventRules | None, tuple[str, ...]]:
    text = FILE.format(registry=f"    {registry}" if registry else "", mirror=f"    {mirror}" if mirror else "")
    file, problems = parse_mirrors(text, Path("mirrors.yaml"))
    found = file.mirrors["m"].events_from(file.registries["quay"]) if file.mirrors else None
    return found, problems


NO_WAY = (
    "it has no way for events to arrive; write webhook: {secret: CONNECTION_ID}, queue:, or chain: true for pushes of "
    "other mirrors alone"
)
QUAY = EventRules(webhook=Webhook(secret="quay_events"))
QUEUED = EventRules(queue=Queue(scheme="sqs", arguments={"sqs_queue": "https://sqs.example/1/q", "n": [1]}))
OWN = EventRules(webhook=Webhook(secret="own"), settle=Duration("2m", timedelta(minutes=2)))


@pytest.mark.parametrize(
    ("registry", "mirror", "expected"),
    [
        ("", "", None),
        ("events: {webhook: {secret: quay_events}}", "", QUAY),
        ("events: {webhook: {secret: quay_events}}", "events: {webhook: {secret: own}, settle: 2m}", OWN),
        ("", "events: {webhook: {secret: own}, settle: 2m}", OWN),
        ("events: {webhook: {secret: quay_events}}", "events: null", None),
        ("events: {chain: true}", "", EventRules()),
        ("events: {webhook: {secret: quay_events}, chain: false}", "", replace(QUAY, chain=False)),
        ("events: null", "", None),
        ("events: {queue: {scheme: sqs, with: {sqs_queue: https://sqs.example/1/q, n: [1]}}}", "", QUEUED),
    ],
)
def test_a_mirror_has_its_own_events_or_those_of_its_source(
    registry: str, mirror: str, expected: EventRules | None
) -> None:
    assert parse(registry, mirror) == (expected, ())
    assert timedelta(seconds=10) == DEFAULT_SETTLE.length


NOT_AN_ID = (
    "this is not the id of an Airflow Connection; put the secret into a Connection as its password, and write the "
    "Connection's id here"
)


SECRET_ARGUMENT = (
    "the argument 'brokers' looks like a secret, which must not be in this file; put it into an Airflow Connection, "
    "and write its id in the argument that the trigger has for it, such as aws_conn_id"
)


@pytest.mark.parametrize(
    ("written", "key", "problem"),
    [
        ("{}", "", NO_WAY),
        ("{settle: 10s}", "", NO_WAY),
        ("{chain: false}", "", NO_WAY),
        ("true", "", "expected a mapping (key: value), got the boolean true"),
        ("{webhook: quay_events}", ".webhook", "expected a mapping (key: value), got 'quay_events'"),
        ("{webhook: {}}", ".webhook", "'secret' is missing"),
        ("{webhook: {secret: ''}}", ".webhook.secret", NOT_AN_ID),
        ("{webhook: {secret: 'c2VjcmV0IG9mIG91cnM='}}", ".webhook.secret", NOT_AN_ID),
        ("{webhook: {secret: 7}}", ".webhook.secret", 'expected a string, got the number 7 (quote it: "7")'),
        (
            "{queue: {scheme: SQS}}",
            ".queue.scheme",
            "expected the name of a kind of queue, such as sqs or kafka, got 'SQS'",
        ),
        (
            "{queue: {scheme: sqs, arguments: {}}}",
            ".queue.arguments",
            "unknown key 'arguments'; allowed are scheme, with",
        ),
        (
            "{queue: {scheme: sqs, with: {scheme: kafka}}}",
            ".queue",
            "the argument 'scheme' is written as scheme:, beside with:; remove it",
        ),
        (
            "{queue: {scheme: kafka, with: {brokers: 'kafka://me:hunter2@broker:9092'}}}",
            ".queue",
            SECRET_ARGUMENT,
        ),
        ("{webhook: {secret: a, token: b}}", ".webhook.token", "unknown key 'token'; allowed are secret"),
        ("{webhok: {secret: a}}", ".webhok", "unknown key 'webhok'; did you mean 'webhook'?"),
        (
            "{webhook: {secret: a}, settle: 10}",
            ".settle",
            "expected a string, got the number 10 without a unit; write 10s or 10m",
        ),
        (
            "{webhook: {secret: a}, settle: 2h}",
            ".settle",
            "expected seconds or minutes up to an hour, such as 10s or 2m, got '2h'",
        ),
        (
            "{webhook: {secret: a}, settle: 61m}",
            ".settle",
            "expected seconds or minutes up to an hour, such as 10s or 2m, got '61m'",
        ),
    ],
)
def test_mistakes_have_lines(written: str, key: str, problem: str) -> None:
    _, problems = parse(registry=f"events: {written}")
    expected = [f"mirrors.yaml:4: registries.quay.events{key}: {problem}"]
    if not problem.startswith("it has no way"):
        problems = tuple(each for each in problems if "no way for events" not in each)
    assert [each for each in problems if each.startswith("mirrors.yaml:4")] == expected
    _, problems = parse(mirror=f"events: {written}")
    assert f"mirrors.yaml:11: mirrors.m.events{key}: {problem}" in problems


def test_defaults_have_none() -> None:
    text = "defaults: {events: {webhook: {secret: a}}}\n" + FILE.format(registry="", mirror="")
    with pytest.raises(MirrorsFileError) as caught:
        parse_mirrors(text, Path("mirrors.yaml"))
    assert caught.value.problems == (
        "mirrors.yaml:1: defaults.events: unknown key 'events'; write it in each mirror, not in defaults",
    )


def test_an_empty_key_is_a_mistake() -> None:
    assert parse(registry="events:")[1] == (
        "mirrors.yaml:4: registries.quay.events: it is empty; write a value, or remove it",
    )
    assert parse(mirror="events:")[1] == (
        "mirrors.yaml:11: mirrors.m.events: it is empty; write null to turn off the inherited value, or remove it",
    )


@pytest.mark.parametrize("events", [QUAY, QUEUED, EventRules(chain=True), None])
def test_events_do_not_cross_xcom(events: EventRules | None) -> None:
    """Routes and readiness checks hold registries as JSON. Events start runs, and are of no use in them."""
    registry = Registry(name="quay", host="quay.io", events=events)
    document = json.loads(json.dumps(registry_as_json(registry)))
    assert registry_from_json(document) == Registry(name="quay", host="quay.io")
