"""The referrers API of OCI 1.1. It is optional, and a response counts for one digest only.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
"""

from __future__ import annotations

import logging
from functools import partial
from urllib.parse import urljoin, urlsplit

from registry_sync.errors import ReferrersUnavailable, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.manifest import OCI_INDEX, Manifest, is_manifest, make_index, merge_indexes, parse_manifest
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.wire.paging import next_link, read_pages
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.transport import Transport
from registry_sync.registry.wire.urls import join_url, shown_url

log = logging.getLogger(__name__)


def read_referrers(transport: Transport, repository: Repository, subject: Digest) -> Manifest | None:
    """The referrers of a digest as one index; ``None`` when the registry does not list those of this digest.

    Registries without the API answer 404, refuse the call (400, 405, 501 …), or show a web page, at GHCR one of another
    host: https://github.com/artifacthub/hub/issues/4785.

    :raises ReferrersUnavailable: when the registry denies or blocks the call, rate-limits us, or fails.
    """
    path, scope = f"/v2/{repository.name}/referrers/{subject}", f"repository:{repository.name}:pull"
    pages = list[Manifest]()
    try:
        for response in read_pages(partial(_get, transport, scope), urljoin(transport.base_url, path), next_link):
            index = _parse_page(response)
            if index is None and pages:
                raise TemporaryError(f"{shown_url(response.url)} answered a later page without a list of referrers")
            if index is None:
                return None
            pages.append(index)
    except RegistrySyncError as error:
        if pages or error.status not in _NO_API:
            raise ReferrersUnavailable(str(error)) from error
        log.info("no referrers API for %s@%s (%s)", repository, subject, error)
        return None
    return merge_indexes(pages)


_NO_API = frozenset({400, 404, 405, 406, 410, 501})
"""Statuses of registries without the API. Others, such as 412 or 451 for a blocked image, hide what may exist."""


def _get(transport: Transport, scope: str, url: str) -> Response:
    """GET a page. A redirect to another host is followed once, without credentials, and only to its referrers API."""
    response = transport.call("GET", url, scope=scope, is_optional=True)
    if response.status < 300:
        return response
    target = urlsplit(join_url(response.url, response.headers.get("Location", ""))).path
    is_api = target.split("/")[-2:] == urlsplit(url).path.split("/")[-2:]
    return transport.follow_once(response) if is_api else response


def _parse_page(response: Response) -> Manifest | None:
    """The index of a page; ``None`` when the body is not one, such as a web page. A list of ``null`` is empty.

    :raises TemporaryError: when the index is damaged. An error page is never read as an empty list.
    """
    is_index = response.status < 300 and is_manifest(response.headers.get("Content-Type", ""))
    try:
        document = response.json()
    except TemporaryError:
        if is_index:
            raise
        return None
    if response.status >= 300 or not isinstance(document, dict) or "manifests" not in document:
        return None
    if document["manifests"] is None:
        return make_index([])
    response.rows("manifests", "mediaType", "digest")
    try:
        return parse_manifest(response.content, OCI_INDEX)
    except RefusedError as error:
        raise TemporaryError(
            f"{shown_url(response.url)} answered without a valid list of referrers: {error}"
        ) from error
