"""Pushes in the messages of queues, as the triggers of Airflow's providers yield them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from registry_sync.events.push import Push
from registry_sync.events.queue_message import MAX_TEXT_BYTES, MAX_VALUES, pushes_of_message

ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

EVENT_BRIDGE = {
    "version": "0",
    "detail-type": "ECR Image Action",
    "source": "aws.ecr",
    "account": "123456789012",
    "region": "eu-west-1",
    "detail": {
        "result": "SUCCESS",
        "repository-name": "team/app",
        "image-digest": "sha256:" + "0" * 64,
        "action-type": "PUSH",
        "image-tag": "v1",
    },
}
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html"""

PUB_SUB = {
    "action": "INSERT",
    "digest": "eu-docker.pkg.dev/p/r/app@sha256:" + "0" * 64,
    "tag": "eu-docker.pkg.dev/p/r/app:v1",
}
"""https://cloud.google.com/artifact-registry/docs/configure-notifications"""

EVENT_GRID = {
    "eventType": "Microsoft.ContainerRegistry.ImagePushed",
    "data": {
        "action": "push",
        "target": {
            "mediaType": "application/json",
            "digest": "sha256:" + "0" * 64,
            "repository": "team/app",
            "tag": "v1",
        },
        "request": {"host": "team.azurecr.io"},
    },
}
"""https://learn.microsoft.com/azure/event-grid/event-schema-container-registry"""

GENERIC = {"repository": "team/app", "tags": ["v1", "v2"]}

APP_V1 = (Push(repository="team/app", tags=("v1",)),)


def sqs(*bodies: object) -> dict[str, Any]:
    """The payload of the trigger of SQS."""
    return {"status": "success", "message_batch": [{"MessageId": "1", "Body": json.dumps(body)} for body in bodies]}


@pytest.mark.parametrize(
    ("payload", "kind", "host", "pushes"),
    [
        (sqs(EVENT_BRIDGE), "ecr", ECR_HOST, APP_V1),
        (sqs({"Type": "Notification", "Message": json.dumps(EVENT_BRIDGE)}), "ecr", ECR_HOST, APP_V1),
        (sqs(EVENT_BRIDGE | {"account": "210987654321"}), "ecr", ECR_HOST, ()),
        (sqs(EVENT_BRIDGE | {"region": "eu-west-2"}), "ecr", ECR_HOST, ()),
        (sqs(EVENT_BRIDGE | {"detail": EVENT_BRIDGE["detail"] | {"result": "FAILURE"}}), "ecr", ECR_HOST, ()),  # type: ignore[operator]
        (sqs(EVENT_BRIDGE | {"detail": EVENT_BRIDGE["detail"] | {"image-tag": ""}}), "ecr", ECR_HOST, ()),  # type: ignore[operator]
        (sqs(EVENT_BRIDGE), "quay", "quay.io", ()),
        ([{"message": {"data": b64encode(json.dumps(PUB_SUB).encode()).decode()}}], "google", "eu-docker.pkg.dev",
         (Push(repository="p/r/app", tags=("v1",)),)),
        ([{"message": {"data": b64encode(json.dumps(PUB_SUB).encode()).decode()}}], "google", "us-docker.pkg.dev", ()),
        ({"message": json.dumps([EVENT_GRID])}, "acr", "team.azurecr.io", APP_V1),
        ({"message": json.dumps([EVENT_GRID])}, "acr", "other.azurecr.io", ()),
        ({"type": "message", "channel": "pushes", "data": json.dumps(GENERIC)}, "distribution", "localhost:5000",
         (Push(repository="team/app", tags=("v1", "v2")),)),
        (json.dumps(GENERIC), "ecr", ECR_HOST, (Push(repository="team/app", tags=("v1", "v2")),)),
        (sqs({"repository": "team/app", "updated_tags": ["v1"]}, {"repository": "team/app", "updated_tags": ["v2"]}),
         "quay", "quay.io", (Push(repository="team/app", tags=("v1", "v2")),)),
        ({"data": "{\"a\": NaN}"}, "quay", "quay.io", ()),
        ({"data": "{{{"}, "quay", "quay.io", ()),
        (None, "quay", "quay.io", ()),
        ("\ud800{", "quay", "quay.io", ()),
        ([0] * (MAX_VALUES + 1), "quay", "quay.io", ()),
    ],
)  # fmt: skip
def test_a_message_names_pushes(payload: object, kind: str, host: str, pushes: tuple[Push, ...]) -> None:
    assert pushes_of_message(payload, kind, host) == pushes


def test_a_deep_message_ends() -> None:
    payload: object = GENERIC
    for _ in range(10_000):
        payload = [payload]
    assert pushes_of_message(payload, "quay", "quay.io") == ()


def test_a_text_that_is_too_long_is_not_read() -> None:
    text = json.dumps(GENERIC)
    longest = text + " " * (MAX_TEXT_BYTES - len(text))
    assert pushes_of_message(longest, "quay", "quay.io")
    assert pushes_of_message(longest + " ", "quay", "quay.io") == ()
