"""The mirrors that events of a registry start, as the receiver knows them.

The API server may have no mirrors file: with DAGs from git, only the DAG processor and workers have it. So each
mirror's asset for pushes carries what the receiver needs, and Airflow stores it whenever it reads the DAG files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule, RepositoryRule
from registry_sync.errors import ConfigurationError
from registry_sync.events.addresses import Address
from registry_sync.events.push import Push
from registry_sync.events.reported import ReportedPush
from registry_sync.oci.reference import Repository, parse_host

MAX_RULES = 300
"""Maximum number of rules that a mirror's asset carries. With more, a push to any repository starts its DAG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A mirror that the receiver starts.

    :ivar address: of the mirror's source, or of the mirror where it has events of its own.
    :ivar secret: id of the Airflow Connection with the secret.
    :ivar repositories: names that a mirror's rules write, such as ``library/alpine`` for ``alpine`` of Docker Hub;
        ``None`` where there are too many to carry.
    :ivar namespaces: namespaces that its rules choose from.
    """

    mirror: str
    registry: str
    host: str
    kind: str
    address: Address
    secret: str
    repositories: frozenset[str] | None = None
    namespaces: frozenset[str] = frozenset()

    def choose(self, pushes: Iterable[ReportedPush]) -> list[Push]:
        """The pushes to repositories that the mirror may mirror, under each name that it may have for them."""
        return [push for reported in pushes for push in reported.candidates if self._may_have(push.repository)]

    def _may_have(self, name: str) -> bool:
        whole = Repository.at(self.host, name).name
        if self.repositories is None or whole in self.repositories:
            return True
        return any(whole.startswith(f"{namespace}/") for namespace in self.namespaces)


def subscription(mirror: Mirror, source: Registry) -> Subscription | None:
    """The subscription of a mirror; ``None`` when no webhook starts it."""
    rules = mirror.events_from(source)
    if rules is None or rules.webhook is None:
        return None
    is_own = mirror.writes_events
    return Subscription(
        mirror=mirror.name,
        registry=source.name,
        host=source.host,
        kind=source.api_kind,
        address=Address(scope="mirror" if is_own else "registry", name=mirror.name if is_own else source.name),
        secret=rules.webhook.secret,
        repositories=_repositories(mirror, source),
        namespaces=frozenset(rule.namespace for rule in mirror.rules if isinstance(rule, NamespaceRule)),
    )


def subscriptions(file: MirrorsFile) -> Iterator[Subscription]:
    """The subscriptions of all mirrors of a file."""
    for mirror in file.mirrors.values():
        if (source := file.registries.get(mirror.source)) and (found := subscription(mirror, source)):
            yield found


def _repositories(mirror: Mirror, source: Registry) -> frozenset[str] | None:
    if len(mirror.rules) > MAX_RULES:
        return None
    rules = (rule.repository for rule in mirror.rules if isinstance(rule, RepositoryRule))
    return frozenset(Repository.at(source.host, name).name for name in rules)


def as_extra(found: Subscription | None) -> dict[str, Any]:
    """The ``extra`` of a mirror's asset for pushes, in an order that does not change."""
    if found is None:
        return {}
    return {
        "mirror": found.mirror,
        "registry": found.registry,
        "host": found.host,
        "kind": found.kind,
        "scope": found.address.scope,
        "secret": found.secret,
        "repositories": None if found.repositories is None else sorted(found.repositories),
        "namespaces": sorted(found.namespaces),
    }


def parse_subscription(extra: object) -> Subscription | None:
    """Read the ``extra`` of an asset; ``None`` for one of another form, such as that of another version."""
    if not isinstance(extra, Mapping):
        return None
    texts = {name: value for name in _TEXTS if isinstance(value := extra.get(name), str) and value}
    repositories, namespaces = extra.get("repositories"), extra.get("namespaces")
    if len(texts) < len(_TEXTS) or not isinstance(namespaces, list) or not _is_host(texts["host"]):
        return None
    match texts.pop("scope"):
        case "mirror":
            address = Address(scope="mirror", name=texts["mirror"])
        case "registry":
            address = Address(scope="registry", name=texts["registry"])
        case _:
            return None
    return Subscription(
        **texts,
        address=address,
        repositories=frozenset(map(str, repositories)) if isinstance(repositories, list) else None,
        namespaces=frozenset(map(str, namespaces)),
    )


def _is_host(text: str) -> bool:
    try:
        return bool(parse_host(text))
    except ConfigurationError:
        return False


_TEXTS = ("mirror", "registry", "host", "kind", "scope", "secret")
