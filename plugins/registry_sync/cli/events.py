"""The command ``events``: print the addresses of the receiver, and what to enter at each registry."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import urlsplit

from registry_sync.cli.arguments import FAILED, OK
from registry_sync.cli.connections import without_airflow
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import ConfigurationError
from registry_sync.events.addresses import Address
from registry_sync.events.instructions import describe, describe_missing
from registry_sync.events.subscription import Subscription, subscriptions
from registry_sync.routes.load import load_mirrors


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only ``events`` has."""
    parser.add_argument(
        "--url",
        metavar="URL",
        type=_http_url,
        help="address at which registries reach Airflow; default: [api] base_url of Airflow",
    )
    parser.add_argument("--show-secrets", action="store_true", help="print the secrets too")
    parser.set_defaults(command=print_events)


def print_events(arguments: argparse.Namespace) -> int:
    """Print a paragraph for each address. Return 1 when the secret of one is missing."""
    file = load_mirrors(arguments.file)
    addresses = _addresses(file)
    if not addresses and (names := _without_webhook(file)):
        print(f"No webhook starts a mirror. Queues or other mirrors start {', '.join(names)}, which need no address.")
        return OK
    if not addresses:
        raise ConfigurationError(_advice(arguments.file))
    read_secret, airflow_url = _of_airflow()
    with redirect_stdout(sys.stderr):
        secrets = {mirrors[0].secret: read_secret(mirrors[0].secret) for mirrors in addresses.values()}
    texts = [
        describe(mirrors, secret, arguments.url or airflow_url, shows_secret=arguments.show_secrets)
        if (secret := secrets[mirrors[0].secret])
        else describe_missing(mirrors)
        for mirrors in addresses.values()
    ]
    print("\n\n".join(texts))
    return OK if all(secrets.values()) else FAILED


def _addresses(file: MirrorsFile) -> Mapping[Address, Sequence[Subscription]]:
    found: dict[Address, list[Subscription]] = {}
    for subscription in subscriptions(file):
        found.setdefault(subscription.address, []).append(subscription)
    return found


def _without_webhook(file: MirrorsFile) -> Sequence[str]:
    """The mirrors that a queue or another mirror starts, and no webhook."""
    rules = {
        mirror.name: mirror.events_from(source)
        for mirror in file.mirrors.values()
        if (source := file.registries.get(mirror.source))
    }
    return sorted(name for name, found in rules.items() if found and found.webhook is None)


def _http_url(text: str) -> str:
    """The value of ``--url``, to which the path of an address is appended."""
    try:
        url = urlsplit(text)
        is_right = url.scheme in ("http", "https") and url.hostname and (url.port is None or url.port > 0)
    except ValueError:
        is_right = False
    if not is_right or "?" in text or "#" in text or "@" in text or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"expected http(s)://host[:port][/path] without a query, got {text!r}")
    return text


def _advice(path: Path) -> str:
    return (
        f"{path}: no webhook starts a mirror; write events: {{webhook: {{secret: CONNECTION_ID}}}} at a registry that "
        "a mirror reads from"
    )


def _of_airflow() -> tuple[Callable[[str], str | None], str]:
    """A reader of secrets, and Airflow's own address."""
    with redirect_stdout(sys.stderr):
        try:
            from registry_sync.airflow.receiver.base_url import base_url
            from registry_sync.airflow.receiver.secrets import read_secret
        except ModuleNotFoundError as error:
            raise without_airflow(error) from error
        return read_secret, base_url()
