"""Sonatype Nexus Repository: only ``/v2``, so a digest costs a HEAD.

Its search (``/service/rest/v1/search``) lists SHA-256 and times, and is not used. The index of a search may be updated
later than a push, and then lists earlier digests as current ones. A page has 50 tags. And a connector's port, by which
most registries of Nexus are reached, does not tell which of its repositories is meant.
https://help.sonatype.com/en/search-api.html, https://help.sonatype.com/en/docker-registry.html
"""

from __future__ import annotations

from registry_sync.registry.distribution import DistributionClient


class NexusClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for self-hosted Nexus.

    Its peculiarities are handled for every registry, because others have them too:

    - Full pages of names have no ``Link``: https://github.com/sonatype/nexus-public/issues/209.
    - A ``Link`` has the address of the connector behind a proxy: https://github.com/sonatype/nexus-public/issues/1011.
    - ``tags`` may be ``null``: https://github.com/containers/skopeo/issues/2409.
    - HEAD of a manifest may be refused: https://github.com/merll/docker-registry-util/issues/3.
    - Deleting a tag that exists answers 404, deleting its image does not:
      https://github.com/sonatype/nexus-public/issues/317.
    - A tag is locked by the deployment policy *Disable redeploy*, with a 400.
    """
