"""Find out whether a destination refuses an image for its foreign layers. skopeo shows only the status of the answer.

The base layers of Windows images have URLs to download them from. docker-registry and distribution answer such a
manifest by 500 "invalid URL on layer", unless their configuration allows the URL; Gitea answers 404 "blob unknown".
Both look like a fault that passes. https://distribution.github.io/distribution/about/configuration/#validation
"""

from __future__ import annotations

from collections.abc import Callable

from registry_sync.errors import LockedTag, MissingContent, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.manifest import Manifest


def has_foreign_layers(manifest: Manifest) -> bool:
    """Return whether an image has layers that machines download from URLs in the manifest."""
    return any(blob.urls for blob in manifest.blobs)


def explain_not_stored(
    image: Manifest, error: RegistrySyncError, put: Callable[[Manifest], object] | None
) -> RegistrySyncError:
    """The error to report for an image with foreign layers whose manifest the destination did not store.

    :param error: what skopeo reported.
    :param put: puts the manifest once more, to read the body of the answer; ``None`` when a policy forbids that. The
        layers are then taken for the reason.
    """
    if put is None:
        return _refused(image, error)
    try:
        put(image)
    except (MissingContent, RefusedError, TemporaryError) as refusal:
        explained = explain_refusal(image, refusal)
        return error if explained is refusal else explained
    return error


def explain_refusal(manifest: Manifest, error: RegistrySyncError) -> RegistrySyncError:
    """The error to report for a manifest that the destination did not store, by its answer to our own PUT."""
    is_refusal = isinstance(error, MissingContent | RefusedError) or "invalid url" in str(error).lower()
    is_other = isinstance(error, LockedTag) or not has_foreign_layers(manifest)
    return _refused(manifest, error) if is_refusal and not is_other else error


def _refused(image: Manifest, error: RegistrySyncError) -> RefusedError:
    return RefusedError(
        f"the destination does not store {image.digest.short}, which has layers with URLs to download them from, as "
        "Windows images have; allow the URLs (docker-registry and distribution: validation.manifests.urls.allow), or "
        f"exclude the image ({error})"
    )
