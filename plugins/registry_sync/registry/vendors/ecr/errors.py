"""Errors of Amazon ECR's API, as the classes of ``errors.py``.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html. The API answers most errors with the status
400, and names them in the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from registry_sync.errors import (
    DeniedError,
    LoginRejected,
    NeededImage,
    NotFound,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.registry.wire.response import Response
from registry_sync.text import one_line

_LONGEST_TEXT = 500

_EXPIRED = re.compile(r"ExpiredToken(Exception)?|TokenRefreshRequired")

_BAD_LOGIN = re.compile(
    r"InvalidClientTokenId|UnrecognizedClient\w*|InvalidAccessKeyId|InvalidSignature\w*|SignatureDoesNotMatch|"
    r"IncompleteSignature\w*|MissingAuthenticationToken\w*|RequestExpired|InvalidToken|AuthFailure"
)

_DENIED = re.compile(r"(AccessDenied|Unauthorized|NotAuthorized|OptInRequired|SubscriptionRequired)\w*|403|401")

_MISSING = re.compile(r"(Repository|Image|Template|Registry)\w*NotFound\w*")

_THROTTLED = re.compile(r"(Request)?Throttl\w*|TooManyRequests\w*|RequestLimitExceeded|BandwidthLimit\w*|SlowDown")

_UNKNOWN = re.compile(r"UnknownOperation\w*|Unsupported(Operation|Command)\w*|InvalidAction\w*")

_OUTAGE = re.compile(
    r"Server(Exception|Error)|Internal(Failure|Error|ServerError)|ServiceUnavailable\w*|RequestTimeout\w*"
)


class ExpiredToken(LoginRejected):
    """The temporary credentials of the identity have ended. New ones may be accepted."""


class UnknownAction(RefusedError):
    """The API of this region, or what answers in its place, does not have the action."""


class AlreadyExists(RefusedError):
    """The repository, or another thing to create, exists already."""


def with_status(response: Response) -> Response:
    """The response with the status 429 for a throttled call and 503 for an outage, whatever its own status is."""
    if response.status < 400:
        return response
    code = _code(response)
    status = 429 if _THROTTLED.fullmatch(code) else 503 if _OUTAGE.fullmatch(code) else response.status
    return Response(status=status, headers=response.headers, content=response.content, url=response.url)


def _code(response: Response) -> str:
    """The code of an error, from the header or the body; such as ``ServerException``.

    https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
    """
    text = response.headers.get("x-amzn-ErrorType", "")
    if not text:
        try:
            document = json.loads(response.content)
        except (ValueError, RecursionError):
            return ""
        found = document.get("__type", document.get("code")) if isinstance(document, dict) else ""
        text = found if isinstance(found, str) else ""
    return text.partition(":")[0].rpartition("#")[2]


def response_error(error: Mapping[str, Any], action: str, subject: str) -> RegistrySyncError:
    """The error for a call that the API refused.

    :param error: ``Code`` and ``Message``, as the SDK reads them.
    :param action: such as ``ecr:DescribeImages``, the permission that it needs.
    :param subject: the repository or registry that the call is about.
    """
    code, text = str(error.get("Code", "")), one_line(str(error.get("Message") or ""), _LONGEST_TEXT)
    message = f"{action} of {subject} answered {code}: {text}" if text else f"{action} of {subject} answered {code}"
    if _EXPIRED.fullmatch(code):
        return ExpiredToken(message)
    if _BAD_LOGIN.fullmatch(code):
        return LoginRejected(message)
    if _DENIED.fullmatch(code):
        return DeniedError(f"{message}; allow {action} in the policy of the identity")
    if _MISSING.fullmatch(code):
        return NotFound(message)
    if _UNKNOWN.fullmatch(code):
        return UnknownAction(message)
    if code == "RepositoryAlreadyExistsException":
        return AlreadyExists(message)
    return RefusedError(message)


def deletion_error(failure: Mapping[str, Any], subject: str) -> RegistrySyncError:
    """The error for an image that ``BatchDeleteImage`` lists among its failures, in a response with status 200.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageFailure.html
    """
    code, reason = str(failure.get("failureCode", "")), one_line(str(failure.get("failureReason", "")), _LONGEST_TEXT)
    message = f"ecr:BatchDeleteImage of {subject} failed with {code}: {reason}"
    match code:
        case "ImageNotFound":
            return NotFound(message)
        case "ImageReferencedByManifestList":
            return NeededImage(f"an index there still has its image ({message})")
        case "ImageTagDoesNotMatchDigest" | "UpstreamTooManyRequests" | "UpstreamUnavailable":
            return TemporaryError(message)
    return RefusedError(message)
