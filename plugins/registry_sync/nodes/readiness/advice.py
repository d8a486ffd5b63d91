"""Advice for each fault of an image at a registry: what somebody should do, and what nodes do until then."""

from __future__ import annotations

from typing import Literal

from registry_sync.errors import DamagedContent, DeniedError, NotFound, RegistrySyncError
from registry_sync.nodes.readiness.model import EndpointCheck, Fault
from registry_sync.tags.overwrite_policy import policy_of


def advise(fault: Fault, cause: RegistrySyncError | None, check: EndpointCheck, tag: str) -> str:
    """The second half of a problem's text, which follows the observation.

    :param cause: the registry's error, ``None`` where its answer was not an error.
    """
    match fault:
        case "absent" | "incomplete" | "damaged":
            return _advise_on_content(fault, cause, check)
        case "wrong":
            return _advise_on_wrong_image(check, tag)
        case "unreadable":
            return "find out what answers instead of the registry, for example the log-in page of a proxy"
        case "silent" | "handshake" | "slow":
            return _advise_on_waiting(fault, check)
        case "unchecked":
            return "publish its images under an index with fewer levels"


def _advise_on_content(fault: Fault, cause: RegistrySyncError | None, check: EndpointCheck) -> str:
    """Never advise to delete: a deep check repairs what can be repaired, and names the steps where it cannot."""
    name = check.registry.name
    copy_again = _copy_again(check) if fault == "absent" else _repair(check)
    if cause is None or isinstance(cause, NotFound):
        return copy_again
    if isinstance(cause, DamagedContent):
        return f"check again; if it stays damaged, {copy_again}"  # it may be damaged in transit only
    if isinstance(cause, DeniedError):
        return f"nodes pull anonymously: allow anonymous pulls at {name}; if the image is missing there, {copy_again}"
    recovered = f"{name} is up" if fault == "absent" else f"{name} serves it"
    left = "cannot pull tags" if check.role == "sole" else "can use only the other registries of their pool"
    return f"until {recovered} again, nodes {left}"


def _advise_on_wrong_image(check: EndpointCheck, tag: str) -> str:
    policy, written = policy_of(tag, check.on_moved_tag)
    if check.copied_by and policy != "follow":
        return f"the mirror {check.copied_by!r} does not overwrite it ({written}): find out which digest is right"
    return f"{_copy_again(check)}, and find out who else can push to {check.registry.name}"


def _advise_on_waiting(fault: Literal["silent", "handshake", "slow"], check: EndpointCheck) -> str:
    """Only a mirror can be removed from its pool."""
    name = check.registry.name
    recovered = f"{name} is fast again" if fault == "slow" else f"{name} answers again"
    match check.role:
        case "sole":
            return f"until {recovered}, nodes cannot pull tags"
        case "fallback":
            return f"until {recovered}, nodes cannot pull images that the mirrors before it lack"
        case "mirror" if fault == "silent":
            return (
                "each pull waits before it falls back (dockerd 15 s, CRI-O 60 s, containerd 150 s, or 10 s from 2.1 on "
                f"as rendered): remove {name} from the pool's mirrors until it answers again"
            )
        case "mirror" if fault == "handshake":
            return (
                "each pull waits before it falls back (dockerd 10 s, containerd 50 s): is there a living server behind "
                f"its load balancer? else remove {name} from the pool's mirrors until it answers again"
            )
        case "mirror":
            return f"no runtime falls back from that: remove {name} from the pool's mirrors until it is fast again"


def _repair(check: EndpointCheck) -> str:
    """An ordinary run leaves a tag in sync as it is, whatever its layers are. A push skips layers that are reported."""
    if check.copied_by:
        return f"trigger the mirror {check.copied_by!r} with 'Deep check', which sends again what is missing or damaged"
    return f"push it again; if {check.registry.name} keeps damaged bytes, see docs/verify.md"


def _copy_again(check: EndpointCheck) -> str:
    return f"run the mirror {check.copied_by!r}" if check.copied_by else "push it again"
