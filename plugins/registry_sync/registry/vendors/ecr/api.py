"""Calls of Amazon ECR's API: made and signed by the AWS SDK, and sent by our own transport.

The SDK's event ``before-send`` hands each signed request over. Proxies, certificates, timeouts, rate limits, counting
and the end of a task are thus the same as for ``/v2``. The SDK is imported at the first call.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from registry_sync.errors import RateLimited, TemporaryError
from registry_sync.registry.ecr_host import EcrHost, parse_ecr_host
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_errors import decoded_errors
from registry_sync.registry.identity.extras import require
from registry_sync.registry.traffic import NO_TRAFFIC, Traffic
from registry_sync.registry.vendors.ecr.errors import ExpiredToken, response_error, with_status
from registry_sync.registry.wire.exchange import ATTEMPTS, Exchange, Request, RequestLimits
from registry_sync.registry.wire.host_limits import HostLimits
from registry_sync.registry.wire.http_errors import decode_error
from registry_sync.registry.wire.paging import MAX_PAGES, get_page, too_many_pages
from registry_sync.registry.wire.rate_limit import LONGEST_PAUSE_SECONDS, lasting_limit
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.transport import Transport
from registry_sync.registry.wire.urls import split_origin

log = logging.getLogger(__name__)

PAGE_SIZE = 1000
"""The maximum. ECR refuses more."""

REQUESTS_PER_SECOND = 10.0
"""Rate of ``PutImage``, the quota of an account and region. Those of the listings are not published.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html"""

Row = Mapping[str, Any]

_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)
"""Errors of the SDK's parsers for a document of another shape, such as a text in place of a list."""


class EcrApi:
    """The API of one registry. Safe to use from several threads.

    :param registry: the session with ``/v2``, whose ``max_connections`` holds for the API too.
    :param api_url: address of the API, such as of a VPC endpoint; by default that of the region.
    :param requests_per_second: one limit for the API and ``/v2``, where both are at one host; by default the usual one.
    """

    def __init__(
        self,
        registry: Transport,
        identity: AwsIdentity,
        *,
        api_url: str | None,
        max_connections: int,
        requests_per_second: float | None,
    ) -> None:
        self._registry = registry
        self._identity = identity
        self._host = parse_ecr_host(registry.endpoint.host)
        self._api_url = api_url
        self._requests_per_second = requests_per_second or REQUESTS_PER_SECOND
        self._lane = "" if requests_per_second else "api"
        self._request_limits = RequestLimits()
        self._exchange = Exchange(registry.endpoint, self._request_limits, max_connections=max_connections)
        self._client: Any = None
        self._limits: HostLimits | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def account(self) -> Mapping[str, str]:
        """The argument that names the account of the registry; empty where its host does not, for our own account."""
        return {"registryId": self._host.account} if self._host else {}

    @property
    def traffic(self) -> Traffic:
        """The requests so far."""
        return self._limits.traffic if self._limits else NO_TRAFFIC

    def close(self) -> None:
        """Close the connections, and end the waits of other threads."""
        self._end_waits()
        self._exchange.close()

    def abort(self) -> None:
        """Break off every request, and send no more. Safe in a signal handler."""
        self._end_waits()
        self._exchange.abort()

    def _end_waits(self) -> None:
        self._is_closed = True
        if self._limits:
            self._limits.close()

    def rows(self, action: str, key: str, subject: str, **parameters: Any) -> Iterator[list[Row]]:
        """The rows under ``key`` of every page, as :meth:`pages` reads them."""
        return (page[key] for page in self.pages(action, key, subject, **parameters))

    def pages(self, action: str, key: str, subject: str, **parameters: Any) -> Iterator[Row]:
        """Every page, with rows under ``key``. A page without such a list is an error, and never an empty one.

        :param subject: the repository or registry, for messages.
        :raises TemporaryError: when a later page cannot be read, or the pages form a loop.
        """
        token, seen = "", set[str]()
        for number in range(1, MAX_PAGES + 1):
            following = {"nextToken": token} if token else {}
            call = partial(self._call_page, action, subject, {**parameters, "maxResults": PAGE_SIZE, **following})
            page = get_page(call, token, number)
            rows = page.get(key)
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
                raise TemporaryError(f"ecr:{action} of {subject} answered without a list of {key}")
            yield page
            seen.add(token)
            token = page.get("nextToken") or ""
            if not token:
                return
            if not isinstance(token, str) or token in seen:
                raise TemporaryError(f"ecr:{action} of {subject}: the pages of this listing form a loop")
        raise too_many_pages(f"ecr:{action} of {subject}")

    def _call_page(self, action: str, subject: str, parameters: Mapping[str, Any], _token: str) -> Mapping[str, Any]:
        return self.call(action, subject, **parameters)

    def call(self, action: str, subject: str, **parameters: Any) -> Mapping[str, Any]:
        """Call an action, such as ``DescribeImages``, with retries. Every attempt is signed anew.

        Where the temporary credentials have ended, the call is repeated once with new ones.

        :param subject: the repository or registry, for messages.
        :raises RegistrySyncError: one of its classes.
        """
        attempt, limited_until, has_renewed = 1, math.inf, False
        while True:
            try:
                with self._registry.slots:
                    return self._call_once(action, subject, parameters)
            except RateLimited as error:
                limited_until = min(limited_until, time.monotonic() + self._request_limits.patience_seconds)
                self._check_patience(error, limited_until)
            except ExpiredToken:
                if has_renewed:
                    raise
                has_renewed = True
                self._forget_client()
            except TemporaryError as error:
                if attempt >= ATTEMPTS or self._is_closed:
                    raise
                log.warning("%s; retrying", error)
                self._registry.back_off(attempt)
                attempt += 1

    def _check_patience(self, error: RateLimited, limited_until: float) -> None:
        """:raises RateLimited: when the delay is worth a deferral."""
        if (error.retry_at - datetime.now(UTC)).total_seconds() > LONGEST_PAUSE_SECONDS:
            raise error
        if time.monotonic() >= limited_until:
            raise lasting_limit(str(error), self._request_limits.patience_seconds)

    def _call_once(self, action: str, subject: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call an action once. Beside its own error there can be that of AssumeRole, before it."""
        require("boto3", "boto3", "amazon")
        from botocore import xform_name
        from botocore.exceptions import ClientError

        with decoded_errors(f"ecr:{action}", self._identity.origin):
            client = self._open()
            try:
                answer: Mapping[str, Any] = getattr(client, xform_name(action))(**parameters)
            except ClientError as error:
                if error.operation_name != action:
                    raise
                raise response_error(error.response.get("Error", {}), f"ecr:{action}", subject) from error
            except _UNREADABLE as error:
                raise TemporaryError(f"ecr:{action} of {subject} answered what cannot be read: {error}") from error
        return answer

    def _open(self) -> Any:
        """The client of the SDK, which is opened at the first call. Threads may share it, once it is made."""
        from botocore.config import Config

        with self._lock:
            if self._client is None:
                region = self._host.region if self._host else None
                config = Config(**_options(self._host))
                client = self._identity.client("ecr", region, endpoint_url=self._api_url, config=config)
                client.meta.events.register_first("before-send.ecr", self._send)
                self._client = client
            return self._client

    def _forget_client(self) -> None:
        """Open a new client for the next call, with credentials that are read anew."""
        with self._lock:
            self._client = None
        self._identity.forget_sessions()

    def _limits_of(self, url: str) -> HostLimits:
        """The rate limit of the host that the SDK chose for its first request."""
        with self._lock:
            if self._limits is None:
                self._limits = HostLimits(
                    split_origin(url)[0],
                    self._requests_per_second,
                    lane=self._lane,
                    patience_seconds=self._request_limits.patience_seconds,
                )
            return self._limits

    def _send(self, request: Any, **_: Any) -> Any:
        """Send a signed request. The SDK reads the response, as if it had sent the request itself.

        :raises RateLimited: when the API throttles us.
        :raises TemporaryError: for an outage.
        """
        from botocore.awsrequest import AWSResponse

        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        asked = Request(method=request.method, url=request.url, headers=headers, body=request.body)
        limits = self._limits_of(request.url)
        sent_at = limits.wait(request.url)
        response = with_status(self._exchange.send(asked, None))
        limits.note(response, sent_at)
        if response.status == 429 or response.status >= 500:
            raise decode_error(response, request.method)
        return AWSResponse(response.url, response.status, response.headers, _Body(response))


class _Body:
    """The body of a response, as the SDK reads it."""

    def __init__(self, response: Response) -> None:
        self._content = response.content

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self._content


def _options(host: EcrHost | None) -> Mapping[str, Any]:
    """Options of the SDK. We retry ourselves, and a FIPS or dual-stack registry has such an API."""
    return {
        "retries": {"total_max_attempts": 1},
        "use_fips_endpoint": bool(host and host.is_fips),
        "use_dualstack_endpoint": bool(host and host.is_dual_stack),
    }
