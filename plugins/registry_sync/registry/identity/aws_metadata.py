"""The metadata server of a machine at AWS, asked without a proxy, and with a reason where it gives no credentials.

The SDK asks it through the proxy of the environment, and takes one that is silent for one that is not there.
"""

from __future__ import annotations

from typing import Any

from registry_sync.registry.identity.metadata import is_named, is_outage, silent_server

_VARIABLES = ("AWS_EC2_METADATA_SERVICE_ENDPOINT",)


def ask_directly(session: Any, origin: str) -> None:
    """Let a botocore session ask the metadata server without a proxy.

    Credentials that are looked for and not found raise ``TemporaryError`` then, where the server was silent.
    """
    from botocore.credentials import InstanceMetadataProvider

    class Provider(InstanceMetadataProvider):  # type: ignore[misc]
        def load(self) -> Any:
            found = super().load()
            if found is None and sent.silence:
                raise silent_server("AWS", origin, sent.silence)
            return found

    sent = _Sent(session.get_config_variable("metadata_service_timeout"))
    providers = session.get_component("credential_provider").providers
    place = next(number for number, provider in enumerate(providers) if provider.METHOD == Provider.METHOD)
    providers[place] = Provider(iam_role_fetcher=_fetcher(session, sent))


def _fetcher(session: Any, sent: _Sent) -> Any:
    """The SDK's own fetcher, with its settings and our sender of requests."""
    from botocore.utils import InstanceMetadataFetcher, resolve_imds_endpoint_mode

    fetcher = InstanceMetadataFetcher(
        timeout=session.get_config_variable("metadata_service_timeout"),
        num_attempts=session.get_config_variable("metadata_service_num_attempts"),
        user_agent=session.user_agent(),
        config={
            "ec2_metadata_service_endpoint": session.get_config_variable("ec2_metadata_service_endpoint"),
            "ec2_metadata_service_endpoint_mode": resolve_imds_endpoint_mode(session),
            "ec2_metadata_v1_disabled": session.get_config_variable("ec2_metadata_v1_disabled"),
        },
    )
    fetcher._session = sent  # noqa: SLF001 - it takes no session
    return fetcher


class _Sent:
    """Sends the requests of the SDK directly.

    :ivar silence: the last error or status of a server that may be there; empty for an answer, and for no server.
    """

    def __init__(self, timeout_seconds: float) -> None:
        from botocore.httpsession import URLLib3Session

        self._session = URLLib3Session(timeout=timeout_seconds)
        self.silence = ""

    def send(self, request: Any) -> Any:
        from botocore.exceptions import EndpointConnectionError, HTTPClientError

        try:
            response = self._session.send(request)
        except EndpointConnectionError as error:
            self.silence = str(error) if is_named(_VARIABLES) else self.silence
            raise
        except HTTPClientError as error:
            self.silence = str(error)
            raise
        if is_outage(response.status_code):
            self.silence = f"it answered {response.status_code}"
        return response
