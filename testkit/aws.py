"""Keys of AWS for the tests, and an environment in which its SDK cannot leave this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3

ACCOUNT = "123456789012"

NOWHERE = "http://127.0.0.1:1"
"""An address where nothing listens."""

ENVIRONMENT: Mapping[str, str] = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": NOWHERE,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_DEFAULT_REGION": "eu-west-1",
}
"""Set by tests that use the SDK: no service of AWS, no metadata of a machine, no files of the user."""


class AwsKeys:
    """An identity by keys, each of them for one session.

    :param key_ids: the ids of the keys; each opening of a client takes the next, and the last one again.
    """

    def __init__(self, *key_ids: str) -> None:
        self._key_ids = list(key_ids or ("AKIATEST",))
        self.opened = 0

    def describe(self, _: object) -> str:
        return f"keys of {ACCOUNT}"

    def client(self, service: str, region: str | None, **options: Any) -> Any:
        key_id = self._key_ids[min(self.opened, len(self._key_ids) - 1)]
        self.opened += 1
        return _session(key_id).client(service, region_name=region, **options)


@cache
def _session(key_id: str) -> Any:
    """A session of the SDK. Each reads 10 MB of definitions once."""
    return boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key="secret")
