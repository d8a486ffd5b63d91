"""JFrog Artifactory: its query language lists manifests with digests and times; names and manifests use ``/v2``.

https://jfrog.com/help/r/jfrog-rest-apis/artifactory-query-language. A tag is a folder of the repository with the file
``manifest.json``, or ``list.manifest.json`` for an index. Its SHA-256 is the digest.

Only local and federated repositories are read so. Remote repositories list the tags of their upstream, and know the
digests of those that somebody has pulled, which may be outdated; virtual repositories contain remote ones.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from registry_sync.errors import ConfigurationError, DeniedError, LoginRejected, NotFound, RefusedError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.name_listing import list_names
from registry_sync.registry.tag_pages import parse_digest, parse_time
from registry_sync.registry.vendors.vendor_api import BasicLogin, VendorApiClient
from registry_sync.registry.wire.http_errors import is_web_page
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.urls import shown_url

log = logging.getLogger(__name__)

CHECKED_TAGS = 3
"""Tags of which one must have the digest that the query lists, before any is believed."""

_OWN_CONTENT = frozenset({"LOCAL", "FEDERATED"})

_FILES = ("manifest.json", "list.manifest.json")

_FIELDS = ("repo", "path", "name", "sha256", "created", "modified", "updated")

Item = dict[str, Any]


class ArtifactoryClient(VendorApiClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for ``NAME.jfrog.io`` and self-hosted Artifactory.

    The first part of a name is the key of Artifactory's own repository ("repository path method"). Hosts and ports that
    stand for a key are read by ``/v2`` alone.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True

    def __init__(self, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(endpoint, **options)
        self._own_content: frozenset[str] | None = None

    def _api_authenticator(self, endpoint: Endpoint) -> BasicLogin:
        return BasicLogin(endpoint)

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The images below a repository's key, from its own catalog; else from that of ``/v2``.

        :raises ConfigurationError: when there is neither.
        """
        key = namespace.partition("/")[0]
        url = f"{self._api.base_url}/artifactory/api/docker/{quote(key, safe='')}/v2/_catalog"
        is_listed = False
        try:
            for name in list_names(partial(self._api.call, "GET"), url, "repositories"):
                is_listed = True
                if f"{key}/{name}".startswith(f"{namespace}/"):
                    yield ListedRepository(name=f"{key}/{name}")
        except (NotFound, DeniedError, RefusedError) as error:
            if is_listed or isinstance(error, LoginRejected):
                raise
            log.info("%s has no catalog of %r; trying /v2 (%s)", self._host, key, error)
            yield from super()._list_repositories(namespace, include_private=include_private)

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:
        """All tags. ``/v2`` decides which there are. Tags that the query does not list with one digest are names only.

        :raises NotFound: when the repository does not exist.
        """
        names = [entry.name for entry in super()._list_tags(repository, since=since)]
        found = self._find_tags(repository, frozenset(names)) if names else {}
        for name in names:
            yield found.get(name) or ListedTag(name=name)

    def _find_tags(self, repository: Repository, names: Collection[str]) -> Mapping[str, ListedTag]:
        """The tags by query; none where Artifactory does not answer it, or answers for another repository."""
        key, _, image = repository.name.partition("/")
        if not (image and self._credentials):
            return {}
        try:
            if key not in self._keys_of_own_content():
                log.info("%s is not in a local repository of Artifactory; each tag needs a HEAD request", repository)
                return {}
            tags = _tags(self._query(key, image), key, image, names)
        except (ConfigurationError, NotFound, DeniedError, RefusedError) as error:
            log.info("%s has no listing with digests; each tag needs a HEAD request (%s)", repository, error)
            return {}
        return tags if self._is_confirmed(repository, tags) else {}

    def _keys_of_own_content(self) -> frozenset[str]:
        """The repositories whose content is Artifactory's own.

        https://jfrog.com/help/r/jfrog-rest-apis/get-repositories
        """
        if self._own_content is None:
            rows = _json(self._api.call("GET", "/artifactory/api/repositories")).items("key", "type")
            self._own_content = frozenset(row["key"] for row in rows if row["type"].upper() in _OWN_CONTENT)
        return self._own_content

    def _query(self, key: str, image: str) -> list[Item]:
        """The manifests of an image, also of those whose names go on. :raises RefusedError: when they are too many."""
        files = [{"name": name} for name in _FILES]
        criteria = json.dumps({"repo": key, "path": {"$match": f"{image}/*"}, "$or": files})
        body = f"items.find({criteria}).include({', '.join(map(json.dumps, _FIELDS))})"
        headers = {"Content-Type": "text/plain"}
        response = _json(self._api.call("POST", "/artifactory/api/search/aql", headers=headers, body=body.encode()))
        rows = response.rows("results", "repo", "path", "name")
        extent = response.json().get("range")
        if isinstance(extent, dict) and extent.get("notification"):
            raise RefusedError(f"{shown_url(response.url)} lists a part only: {extent['notification']!r}")
        return rows

    def _is_confirmed(self, repository: Repository, tags: Mapping[str, ListedTag]) -> bool:
        """Compare one of the newest tags with ``/v2``, whose host may stand for another key than the name begins with.

        A tag that is refused, such as by Xray, decides nothing.
        """
        newest = sorted(tags.values(), key=lambda entry: (entry.pushed_at is not None, entry.pushed_at), reverse=True)
        for entry in newest[:CHECKED_TAGS]:
            try:
                digest = self.head_manifest(repository, entry.name)
            except LoginRejected:
                raise
            except (DeniedError, RefusedError) as error:
                log.info("%s", error)
                continue
            if digest != entry.digest:
                log.warning(
                    "%s:%s has another digest by /v2 than by query; queries are not used", repository, entry.name
                )
            return digest == entry.digest
        return False


def _tags(rows: list[Item], key: str, image: str, names: Collection[str]) -> dict[str, ListedTag]:
    """The tags whose folder has one manifest.

    ``updated`` is the time of the last upload, by the documentation. The latest of the three times is used: the others
    are set at the upload's beginning and end.
    """
    folders = defaultdict[str, list[Item]](list)
    for row in rows:
        folder, _, tag = row["path"].rpartition("/")
        if row["repo"] == key and folder == image and row["name"] in _FILES and tag in names:
            folders[tag].append(row)
    entries = {tag: _entry(tag, *found) for tag, found in folders.items() if len(found) == 1}
    return {tag: entry for tag, entry in entries.items() if entry.digest}


def _entry(tag: str, row: Item) -> ListedTag:
    times = [time for field in ("created", "modified", "updated") if (time := parse_time(row.get(field)))]
    return ListedTag(name=tag, digest=parse_digest(f"sha256:{row.get('sha256')}"), pushed_at=max(times, default=None))


def _json(response: Response) -> Response:
    """:raises RefusedError: for a web page, such as of a host that stands for a repository's key."""
    if is_web_page(response):
        raise RefusedError(f"{shown_url(response.url)} answered {response.status} with a web page")
    return response
