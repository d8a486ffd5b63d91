"""Only what is trusted: the policy of a route, and whether this worker can enforce it. skopeo does the enforcing.

containers-policy.json(5), containers-registries.d(5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from registry_sync.errors import ConfigurationError
from registry_sync.mirrors import RouteSettings
from registry_sync.skopeo_files import Trust
from registry_sync.skopeo_probe import can_verify_sigstore
from registry_sync.skopeo_program import SkopeoProgram

SIGSTORE = "sigstoreSigned"


def trust_of(settings: RouteSettings) -> Trust | None:
    """What images of a route have to pass; ``None`` is no check.

    :raises ConfigurationError: when it is said where signatures are and not what they are for.
    """
    if settings.policy:
        return Trust(policy=settings.policy, registries_d=settings.registries_d)
    if settings.registries_d:
        raise ConfigurationError(f"registries_d {str(settings.registries_d)!r} is for a policy; write policy: too")
    return None


def check_trust(all_settings: Iterable[RouteSettings], skopeo: SkopeoProgram) -> None:
    """See that this worker can enforce what the routes ask for, before one of them starts.

    :raises ConfigurationError: when a file is not there or no policy, or asks for what this skopeo cannot do.
    """
    for trust in dict.fromkeys(trust_of(each) for each in all_settings):
        if trust is not None:
            _check(trust, skopeo)


def _check(trust: Trust, skopeo: SkopeoProgram) -> None:
    policy = _read_policy(trust)
    if trust.registries_d and not trust.registries_d.is_dir():
        raise ConfigurationError(f"there is no folder {str(trust.registries_d)!r}, the registries_d, on this worker")
    if SIGSTORE in _types(policy) and not can_verify_sigstore(skopeo):
        raise ConfigurationError(
            f"the policy {str(trust.policy)!r} asks for sigstore signatures ({SIGSTORE}), which {skopeo.shown} "
            f"{skopeo.version} cannot verify: Debian 12 builds it without; install skopeo 1.18 or later, as Debian 13 "
            "and https://github.com/containers/skopeo/blob/main/install.md have it, or ask for signedBy (GPG)"
        )


def _read_policy(trust: Trust) -> dict[str, Any]:
    where = f"the policy {str(trust.policy)!r}"
    try:
        document = json.loads(trust.policy.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read on this worker: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict) or "default" not in document:
        raise ConfigurationError(f"{where} is no containers-policy.json(5): it has no 'default'")
    return document


def _types(document: Any) -> Iterator[str]:
    """Every ``type`` of requirement, at whatever depth."""
    if isinstance(document, dict):
        if isinstance(kind := document.get("type"), str):
            yield kind
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from _types(each)
