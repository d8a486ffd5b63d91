"""An identity at AWS for the tests, and an environment in which its SDK cannot leave this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsKeys

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


@cache
def shared_keys() -> AwsIdentity:
    """An identity by keys. All tests share it, because its session reads 10 MB of definitions."""
    keys = AwsKeys(access_key_id="AKIATEST", secret_access_key="secret")
    return AwsIdentity(origin="the keys of the test", keys=keys)
