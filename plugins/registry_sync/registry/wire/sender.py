"""Single requests to one origin: authentication and redirects. Failed requests are not repeated.

Invariants: a redirect to another host carries no Authorization; tokens are fetched without following redirects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LoginRejected,
    RateLimited,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.wire.auth import Authenticator, ChallengeAuthenticator, renewed_basic
from registry_sync.registry.wire.exchange import Exchange, Request
from registry_sync.registry.wire.host_limits import HostLimits
from registry_sync.registry.wire.http_errors import TRANSIENT_STATUSES, decode_error, first_problem
from registry_sync.registry.wire.notices import Notices
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.retry_after import is_rate_limited
from registry_sync.registry.wire.urls import host_of, join_url, origin_of, shown_url

_PING = "/v2/"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_MAX_REDIRECTS = 5


class Sender:
    """Sends requests to one origin. Safe to use from several threads.

    :param base_url: the origin, of the registry or of a vendor's API.
    :param authenticator: for an API that does not send challenges; the default follows the challenges of ``/v2``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        base_url: str,
        *,
        exchange: Exchange,
        host_limits: HostLimits,
        authenticator: Authenticator | None,
    ) -> None:
        self._endpoint = endpoint
        self._base_url = base_url
        self._prefix = f"{base_url}/"
        self._v2 = f"{base_url}{_PING}"
        self._exchange = exchange
        self._host_limits = host_limits
        self._authenticator = authenticator or ChallengeAuthenticator(
            endpoint, self._ask_for_challenges, self._fetch_token
        )
        self._notices = Notices(endpoint.host, exchange.redact)
        self._last_date = ("", datetime.now(UTC))

    @property
    def clock_skew_seconds(self) -> float | None:
        """Seconds by which the registry's clock is ahead of ours, by ``Date`` of its last response.

        ``None`` before the first, and where ``Date`` is missing or not valid. It has whole seconds.
        https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
        """
        date, received_at = self._last_date
        try:
            return (parsedate_to_datetime(date) - received_at).total_seconds() if date else None
        except (TypeError, ValueError):
            return None

    def authorization(self, scope: str) -> str | None:
        """The value of ``Authorization`` for a scope, as far as it is known."""
        return self._authenticator.header(scope)

    def url(self, path: str) -> str:
        """The address of an absolute path, or of a URL on the same origin."""
        if path.startswith(_PING):
            return self._base_url + path
        return path if path.startswith(self._v2) else urljoin(self._base_url, path)

    def is_own(self, url: str) -> bool:
        """Return whether an address is on the origin."""
        return url.startswith(self._prefix) or origin_of(url) == origin_of(self._base_url)

    def send(self, request: Request) -> Response:
        """Send a request, and repeat it once with the authorization that a 401 requires.

        Only challenges of the registry itself count. Another host, reached by a redirect, would receive the password.
        """
        sent = self._authenticator.header(request.scope)
        response = self.send_as(request, sent)
        if response.status not in (401, 403) or not self.is_own(response.url):
            return response
        if response.status == 401:
            better = self._authenticator.learn(response.challenges, request.scope, sent=sent)
        else:  # ECR answers it to a login that has ended
            better = renewed_basic(self._endpoint.credentials, sent)
        return response if better in (None, sent) else self.send_as(request, better)

    def send_as(self, request: Request, authorization: str | None) -> Response:
        """Send a request, and follow redirects. The authorization is sent to the registry's own origin only."""
        response = self._send_single(request, authorization if self.is_own(request.url) else None)
        for _ in range(_MAX_REDIRECTS):
            if response.status not in _REDIRECTS:
                return response
            url = self.redirect_target(request, response)
            if request.is_optional and not self.is_own(url):
                return response
            response = self._send_single(replace(request, url=url), authorization if self.is_own(url) else None)
        raise TemporaryError(f"{shown_url(request.url)} redirects more than {_MAX_REDIRECTS} times")

    def has_login_ended(self, response: Response, sent: str | None) -> bool:
        """Return whether a response rejects the login, and a new one may be accepted. ECR answers 403 then."""
        is_403 = response.status == 403 and self.is_own(response.url)
        return response.status == 401 or (is_403 and renewed_basic(self._endpoint.credentials, sent) is not None)

    def redirect_target(self, request: Request, response: Response) -> str:
        """The address that a redirect leads to.

        :raises ConfigurationError: for a redirected write, and for a redirect from https to http.
        """
        if request.method not in ("GET", "HEAD"):
            raise ConfigurationError(
                f"{shown_url(request.url)} redirects a {request.method}; is {self._endpoint.host} the right host?"
            )
        url = join_url(response.url, response.headers.get("Location", ""))
        if urlsplit(url).scheme not in ({"https"} if self._endpoint.tls else {"https", "http"}):
            shown = self._exchange.redact(shown_url(url))
            raise ConfigurationError(f"{shown_url(request.url)} redirects to {shown}, which is not https; not followed")
        return url

    def checked(self, request: Request, response: Response) -> Response:
        """The response. :raises RegistrySyncError: for a status of 400 or more."""
        if response.status >= 400:
            raise self.decode(response, request)
        return response

    def decode(self, response: Response, request: Request) -> RegistrySyncError:
        """The error of a response. A rate limit of another host, after a redirect, is not the registry's."""
        error = decode_error(response, request.method)
        return error if self.is_own(response.url) or not isinstance(error, RateLimited) else TemporaryError(str(error))

    def _ask_for_challenges(self) -> Sequence[str]:
        """The challenges of an anonymous GET of ``/v2/``, also of a 200. Only those of the registry itself count."""
        request = Request(method="GET", url=self.url(_PING))
        response = self.send_as(request, None)
        if is_rate_limited(response) or response.status in TRANSIENT_STATUSES:
            raise decode_error(response, request.method)
        return response.challenges if self.is_own(response.url) else ()

    def _fetch_token(self, url: str, authorization: str | None) -> Any:
        """GET a token endpoint. Redirects are not followed: they would receive the password.

        :raises DeniedError: also for a status that would mean something about the repository if the registry sent it.
        """
        response = self._send_single(Request(method="GET", url=url), authorization)
        if response.status == 200:
            return response.json()
        error = decode_error(response, "GET")
        if isinstance(error, RateLimited | TemporaryError):
            raise error
        problem = f"{response.status} {first_problem(response)[1]}".rstrip()
        if response.status in _REDIRECTS:
            shown = self._exchange.redact(shown_url(response.headers.get("Location", "")))
            problem += f", a redirect to {shown!r}, which is not followed"
        where, hint = host_of(url), "" if authorization else _kind_hint(url)
        message = f"{where} rejects the login of {login_of(self._endpoint)} to {self._endpoint.host}: {problem}{hint}"
        raise LoginRejected(message) if authorization and response.status == 401 else DeniedError(message)

    def _send_single(self, request: Request, authorization: str | None) -> Response:
        sent_at = self._host_limits.wait(request.url)
        response = self._exchange.send(request, authorization)
        gets_manifest = request.method == "GET" and "/manifests/" in request.url
        self._host_limits.note(response, sent_at, gets_manifest=gets_manifest, pauses=not request.is_optional)
        if self.is_own(response.url):
            self._notices.log(response)
            self._last_date = (response.headers.get("Date", ""), datetime.now(UTC))
        return response


def _kind_hint(token_url: str) -> str:
    """Advice for Quay's token endpoint, which issues anonymous users no token without a scope."""
    parts = urlsplit(token_url)
    is_quay = parts.path == "/v2/auth" and "scope=" not in parts.query
    return "; if this is a Quay with public repositories, write kind: quay for its registry" if is_quay else ""


def login_of(endpoint: Endpoint) -> str:
    """Our user at a registry, for messages."""
    return endpoint.credentials.user if endpoint.credentials else "an anonymous user"
