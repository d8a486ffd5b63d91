"""A route at work: its two clients, its skopeo and its policy, opened once."""

from __future__ import annotations

from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError
from registry_sync.skopeo.config_files import PolicyFiles


def policy_files_of(settings: RouteSettings) -> PolicyFiles | None:
    """What images of a route have to pass; ``None`` is no check.

    :raises ConfigurationError: when it is said where signatures are and not what they are for.
    """
    if settings.policy:
        return PolicyFiles(policy=settings.policy, registries_d=settings.registries_d)
    if settings.registries_d:
        raise ConfigurationError(f"registries_d {str(settings.registries_d)!r} is for a policy; write policy: too")
    return None
