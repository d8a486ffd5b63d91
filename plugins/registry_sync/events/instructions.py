"""Text for the person who sets up a webhook: the address, what to enter at the registry, and a command to try it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry_sync.events.addresses import Address
from registry_sync.events.subscription import Subscription

SECRET = "$SECRET"  # noqa: S105 - a variable of the shell
"""Stands for the secret where it is not printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The place where a registry takes a webhook, and what it sends as a proof.

    :ivar place: menus of its web UI, or its configuration.
    :ivar proof: field and value; empty for a registry that sends none.
    """

    place: str
    proof: str = ""


SETTINGS: Mapping[str, Setting] = {
    "quay": Setting(
        place="repository, Settings, Events and notifications, Create notification: Push to repository, Webhook POST"
    ),
    "docker_hub": Setting(place="repository, Webhooks: a name, and the address"),
    "aliyun": Setting(place="repository, Trigger, Create: the address; trigger: all"),
    "acr": Setting(
        place="registry, Services, Webhooks, Add: Service URI is the address; actions: push",
        proof="custom header: Authorization: Bearer {secret}",
    ),
    "ecr": Setting(
        place="EventBridge: a rule for source aws.ecr, detail type ECR Image Action; target: an API destination",
        proof="connection with an API key: Authorization, Bearer {secret}",
    ),
    "harbor": Setting(
        place="project, Webhooks, New webhook: type http; event: Artifact pushed; Endpoint URL is the address",
        proof="Auth header: {secret}",
    ),
    "ghcr": Setting(
        place="organisation or repository, Settings, Webhooks, Add webhook: application/json; event: Packages",
        proof="Secret: {secret}",
    ),
    "gitlab": Setting(
        place="/etc/gitlab/gitlab.rb, registry['notifications']: the address as url (GitLab.com sends none)",
        proof="headers: Authorization: Bearer {secret}",
    ),
    "artifactory": Setting(
        place="Administration, General, Webhooks, New: event: Docker, Tag was pushed; URL is the address",
        proof="Secret token: {secret}",
    ),
    "nexus": Setting(
        place="Administration, System, Capabilities, Create: Webhook: Repository; event types: component",
        proof="Secret key: {secret}",
    ),
    "distribution": Setting(
        place="its configuration, notifications, endpoints: the address as url",
        proof="headers: Authorization: [Bearer {secret}]",
    ),
}
"""The settings by kind of registry. For any other kind, your own CI sends the events."""

OWN_CI = Setting(place="your CI, after the push: the command below", proof="header: Authorization: Bearer {secret}")


def describe(mirrors: Sequence[Subscription], secret: str, base_url: str, *, shows_secret: bool) -> str:
    """The text for one address.

    :param mirrors: the mirrors that it starts, at least one.
    :param base_url: of Airflow, or of the proxy that exposes the receiver.
    """
    first = mirrors[0]
    setting, shown = SETTINGS.get(first.kind, OWN_CI), secret if shows_secret else SECRET
    lines = [
        f"{_title(first.address)} (starts {', '.join(mirror.mirror for mirror in mirrors)})",
        f"  address  {base_url.rstrip('/')}{first.address.path(secret)}",
        f"  enter    {setting.place}",
        f"  proof    {setting.proof.format(secret=shown) if setting.proof else 'none; keep the address secret'}",
        f"  try      {_command(first, secret, base_url, shown)}",
    ]
    hint = f"the password of the Connection {first.secret} (--show-secrets prints it)"
    lines.append(f"  secret   {secret if shows_secret else hint}")
    return "\n".join(lines)


def describe_missing(mirrors: Sequence[Subscription]) -> str:
    """The text for an address without a secret."""
    first = mirrors[0]
    problem = f"the Connection {first.secret} does not exist, or has no password"
    create = f"  create   {create_command(first.secret)}\n{_IF_IT_EXISTS}"
    return f"{_title(first.address)} has no address yet: {problem}\n{create}"


_IF_IT_EXISTS = "           (one that exists: set its password instead, in Admin, Connections)"


def create_command(connection: str) -> str:
    """The command that creates a Connection with a new secret."""
    new = '"$(openssl rand -hex 32)"'
    return f"airflow connections add {shlex.quote(connection)} --conn-type generic --conn-password {new}"


def _title(address: Address) -> str:
    return f"{address.scope} {address.name}"


def _command(mirror: Subscription, secret: str, base_url: str, shown: str) -> str:
    names = sorted(mirror.repositories or ()) or [f"{name}/app" for name in sorted(mirror.namespaces)] or ["team/app"]
    body = json.dumps({"repository": names[0], "tags": ["latest"]})
    url = f"{base_url.rstrip('/')}{mirror.address.path(secret)}"
    header = f"Authorization: Bearer {shown}"
    quoted = f'"{header}"' if shown == SECRET else shlex.quote(header)
    return f"curl -H {quoted} -d {shlex.quote(body)} {shlex.quote(url)}"
