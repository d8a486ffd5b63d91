"""Errors of the AWS SDK, as errors of this package."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from registry_sync.errors import ConfigurationError, LoginRejected, RegistrySyncError, TemporaryError
from registry_sync.registry.identity.answers import no_answer, read_answer, unusable_answer
from registry_sync.registry.identity.files import decode_os_error

_THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
"""Codes of errors that pass, whatever their status."""

PLACES = (
    "the environment (AWS_ACCESS_KEY_ID, or AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE), the shared config and "
    "credentials files, the container's credentials (AWS_CONTAINER_CREDENTIALS_FULL_URI)"
)
"""The places in which boto3 looks. https://docs.aws.amazon.com/boto3/latest/guide/credentials.html"""


@contextmanager
def decoded_errors(action: str, origin: str) -> Iterator[None]:
    """Call AWS, and raise errors of the SDK as our own.

    :param action: the call, such as ``ecr:GetAuthorizationToken``.
    :param origin: the place that the identity is written in.
    :raises LoginRejected: when AWS denies the call.
    :raises ConfigurationError: without an identity, and when its settings are wrong or its file cannot be read.
    :raises TemporaryError: when AWS, or the place that issues the credentials, does not respond as it should.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
    from botocore.parsers import ResponseParserError

    started = time.monotonic()
    try:
        with read_answer("AWS", action, origin):
            yield
    except ClientError as error:
        raise _of_response(error, action, origin) from error
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise no_answer("AWS", action, origin, started) from error
    except BotoCoreError as error:
        raise _of_sdk(error, action, origin) from error
    except ResponseParserError as error:  # it quotes the whole answer
        raise unusable_answer("AWS", action, origin) from error
    except OSError as error:  # after those of the SDK, of which some derive from it
        raise decode_os_error(error, "AWS", origin) from error


@contextmanager
def decoded_settings(service: str, origin: str) -> Iterator[None]:
    """Raise errors of the SDK about settings as our own. The SDK raises another class for each.

    :raises ConfigurationError: when a client cannot be made with these settings.
    """
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConfigurationError(f"{origin} cannot be used for the service {service}: {error}") from error


def _of_response(error: Any, action: str, origin: str) -> RegistrySyncError:
    """The error of a response. ``action`` may have led to another call first, such as to AssumeRole."""
    details: Mapping[str, Any] = error.response.get("Error", {})
    code, text = str(details.get("Code", "")), str(details.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    called = f"sts:{error.operation_name}" if error.operation_name.startswith("AssumeRole") else action
    said = f"{code}: {text}" if text else code
    if status >= 500 or status == 429 or code in _THROTTLED:
        return TemporaryError(f"AWS did not answer {called} of {origin} ({said})")
    return LoginRejected(f"AWS denies {called} to {origin} ({said})")


def _of_sdk(error: Any, action: str, origin: str) -> RegistrySyncError:
    from botocore import exceptions

    away = (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
    )
    if isinstance(error, away):
        return TemporaryError(f"AWS cannot be asked for {action} of {origin}: {error}")
    if isinstance(error, exceptions.NoCredentialsError):
        return ConfigurationError(no_identity(origin))
    return ConfigurationError(f"{origin} cannot be used for {action}: {error}")


def no_identity(origin: str) -> str:
    """The message where boto3 found nothing."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        metadata = "; the instance's metadata was not asked, because AWS_EC2_METADATA_DISABLED is true"
    else:
        metadata = ", and the instance's metadata"
    return f"{origin} has no AWS identity: none in {PLACES}{metadata}"
