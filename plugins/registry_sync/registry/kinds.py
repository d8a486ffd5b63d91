"""The kinds of registry: their hosts, abilities, and rules for repository names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from registry_sync.registry.ecr_host import ECR_HOST

Kind = Literal[
    "distribution",
    "quay",
    "docker_hub",
    "acr",
    "aliyun",
    "harbor",
    "google",
    "ghcr",
    "ecr",
    "gitlab",
    "artifactory",
    "nexus",
]

HOSTS: tuple[tuple[Kind, str], ...] = (
    ("quay", r"quay\.io"),
    ("docker_hub", r"docker\.io"),
    ("acr", r"[a-z0-9-]+(\.[a-z0-9-]+(\.geo)?)?\.azurecr\.(io|cn|us)"),
    ("aliyun", r"registry(-[a-z]+)*\.[a-z0-9-]+\.aliyuncs\.com"),
    ("aliyun", r"[a-z0-9-]+-registry(-[a-z]+)?\.[a-z0-9-]+\.cr\.aliyuncs\.com"),
    ("aliyun", r"[a-z0-9-]+\.[a-z0-9-]+\.personal\.cr\.aliyuncs\.com"),
    ("google", r"([a-z0-9-]+\.)?gcr\.io"),
    ("google", r"[a-z0-9-]+-docker\.pkg\.dev"),
    ("ghcr", r"ghcr\.io"),
    ("ghcr", r"containers\.[a-z0-9-]+\.ghe\.com"),
    ("ecr", ECR_HOST),
    ("gitlab", r"registry\.gitlab\.com"),
    ("artifactory", r"[a-z0-9-]+\.jfrog\.io"),
)
"""Lower-case host patterns of the kinds that are services. Harbor and Nexus are self-hosted, so they have none."""

ECR_PUBLIC = "public.ecr.aws"
"""Host of ECR's public registry."""

ECR_PUBLIC_HOSTS = frozenset({ECR_PUBLIC, "ecr-public.aws.com"})
"""The same, with the host that answers IPv6 too."""

OWN_API: frozenset[Kind] = frozenset({"quay", "docker_hub", "harbor", "ghcr", "ecr", "gitlab", "artifactory"})
"""Kinds that support ``api_url``: their API may be at another address than the registry."""

CREATES_REPOSITORIES: frozenset[Kind] = frozenset({"docker_hub", "ecr"})
"""Kinds that support ``create_repository``: their API can create a repository."""

LIMITS_PULLS: frozenset[Kind] = frozenset({"docker_hub"})
"""Kinds that support ``keep_pulls``: their responses say how many pulls are left."""

LISTS_PUSH_TIMES: frozenset[Kind] = frozenset(
    {"quay", "docker_hub", "acr", "harbor", "google", "ghcr", "ecr", "gitlab", "artifactory"}
)
"""Kinds that list push times. Rules about push times need a source of one of these kinds."""

NAMES_TELL_ALL: frozenset[Kind] = frozenset({"distribution"})
"""Kinds whose list of a namespace has names only, and does not show which repositories are private. A missing
repository has no tags, and is not a failure."""

UNKNOWN_PUSH_TIME_IS_OLD: frozenset[Kind] = frozenset({"docker_hub"})
"""Kinds where a tag without a push time is older than all others. Docker Hub has lost those of tags that were last
pushed more than eight years ago: https://github.com/docker/hub-feedback/issues/2344."""


def infer_kind(host: str) -> Kind:
    """The kind of registry at ``host``, ``distribution`` for unknown hosts.

    >>> infer_kind("gsoci.azurecr.io"), infer_kind("harbor.example:8443")
    ('acr', 'distribution')
    """
    name = host.lower().removesuffix(":443")
    return next((kind for kind, pattern in HOSTS if re.fullmatch(pattern, name)), "distribution")


def api_url_fault(address: str, *, tls: bool) -> str:
    """Credentials are sent to an ``api_url``, so it must be an origin.

    Returns the fault of ``address`` with passwords hidden, empty if it is valid.

    >>> api_url_fault("https://quay.example:8443", tls=True)
    ''
    """
    is_allowed = address.startswith("https://") or not tls
    if is_allowed and _ORIGIN.fullmatch(address) and is_reachable(address):
        return ""
    shown = re.sub("//[^/]*@", "//…@", address)
    return f"{shown!r} is not a valid API address; write https://host or https://host:port"


_ORIGIN = re.compile(r"https?://([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?/?")


def is_reachable(address: str) -> bool:
    """Return whether a URL has a port that exists, and an address of IPv6 that is one.

    >>> is_reachable("https://quay.example:8443"), is_reachable("https://quay.example:99999")
    (True, False)
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        return parts.port != 0 and (":" not in host or bool(ip_address(host)))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Rules for names beyond the OCI grammar. ``first``, ``others``, ``whole``: the lengths of such parts."""

    title: str
    form: str
    least_parts: int
    most_parts: int | None = None
    first: tuple[int, int] = (1, 255)
    others: tuple[int, int] = (1, 255)
    whole: tuple[int, int] = (1, 511)


_NAMES: Mapping[str, _Names] = {
    # https://docs.docker.com/reference/api/hub/latest/ , CreateRepository: 2 to 255 characters
    "docker_hub": _Names(title="Docker Hub", form="NAMESPACE/NAME", least_parts=2, most_parts=2, others=(2, 255)),
    # A namespace is a user or an organisation; further parts since Quay 3.6 (FEATURE_EXTENDED_REPOSITORY_NAMES):
    # https://docs.projectquay.io/config_quay.html
    "quay": _Names(title="Quay", form="NAMESPACE/NAME", least_parts=2),
    # https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-createnamespace, -createrepository
    "aliyun": _Names(
        title="Aliyun", form="NAMESPACE/NAME", least_parts=2, most_parts=2, first=(2, 120), others=(2, 64)
    ),
    # https://goharbor.io/docs/main/working-with-projects/working-with-images/pulling-pushing-images/
    "harbor": _Names(title="Harbor", form="PROJECT/NAME", least_parts=2),
    # https://docs.github.com/en/packages/working-with-a-github-packages-registry/working-with-the-container-registry
    "ghcr": _Names(title="GitHub", form="OWNER/NAME", least_parts=2),
    # https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
    "ecr": _Names(title="ECR", form="NAME", least_parts=1, others=(0, 255), whole=(2, 256)),
    # https://docs.gitlab.com/user/packages/container_registry/#naming-convention-for-your-container-images
    "gitlab": _Names(title="GitLab", form="GROUP/PROJECT", least_parts=2),
}

_FIRST_PUSH: Mapping[str, str] = {
    "quay": "let the robot account or user create repositories in {namespace!r} (its team there: role Creator)",
    "docker_hub": "create it (Repositories, Create repository), or write create_repository: true for the registry",
    "aliyun": "create the namespace {namespace!r}, and turn on Automatically Create Repository for it",
    "harbor": "create the project {namespace!r} (Projects, New Project), and let the account push to it",
    "google": "create the repository in Artifact Registry that {name!r} will be in",
    "ghcr": "let the token's user create packages in {namespace!r} (Settings, Packages), with write:packages",
    "ecr": (
        "create it (aws ecr create-repository), write create_repository: true for the registry, or make a repository "
        "creation template for CREATE_ON_PUSH"
    ),
    "gitlab": "create the project that {name!r} belongs to, with its container registry, and let the account push",
    "artifactory": (
        "create the Docker repository whose key {namespace!r} is, or that the host stands for, and give the account "
        "Deploy/Cache there"
    ),
    "nexus": (
        "create a hosted Docker repository behind this host and port, and give the account its privileges read, add "
        "and edit"
    ),
}


def first_push_advice(kind: str, name: str) -> str:
    """Advice for a failed push, in case the repository does not exist; empty if unknown.

    >>> first_push_advice("google", "team/app")
    "if 'team/app' does not exist yet: create the repository in Artifact Registry that 'team/app' will be in"
    """
    advice = _FIRST_PUSH.get(kind, "").format(name=name, namespace=name.partition("/")[0])
    return f"if {name!r} does not exist yet: {advice}" if advice else ""


_DELETION_PRIVILEGES: Mapping[str, str] = {
    "acr": "content/delete",
    "quay": "repo:write of an OAuth token",
    "docker_hub": "an access token that may delete",
    "harbor": "Delete Tag of the robot account",
    "google": "the permission to delete tags",
    "ghcr": "delete:packages of a classic personal access token, and the role Admin on the package",
    "ecr": "ecr:BatchDeleteImage",
    "gitlab": "an access token with write_registry and the role Developer, not a deploy token",
    "artifactory": "Delete/Overwrite on the repository",
    "nexus": "the privilege nx-repository-view-docker-NAME-delete",
}


def deletion_privilege(kind: str) -> str:
    """The privilege that deleting tags needs.

    >>> deletion_privilege("harbor")
    'Delete Tag of the robot account'
    """
    return _DELETION_PRIVILEGES.get(kind, "deletion enabled at the registry")


def name_fault(kind: str, name: str) -> str:
    """The reason that ``name`` is not a valid repository name for the kind; empty if it is.

    >>> name_fault("harbor", "app")
    "Harbor names have two parts or more, PROJECT/NAME; 'app' has 1"
    """
    rules = _NAMES.get(kind)
    if rules is None:
        return ""
    parts = name.split("/")
    is_fixed = rules.most_parts is not None
    if len(parts) < rules.least_parts or (rules.most_parts and len(parts) > rules.most_parts):
        how_many = "two parts" if is_fixed else "two parts or more"
        return f"{rules.title} names have {how_many}, {rules.form}; {name!r} has {len(parts)}"
    for part, (least, most) in ((parts[0], rules.first), ("/".join(parts[1:]), rules.others)):
        if not least <= len(part) <= most:
            seen = f"{part!r} in {name!r} has {len(part)}"
            return f"{rules.title} names have parts of {least} to {most} characters; {seen}"
    least, most = rules.whole
    if not least <= len(name) <= most:
        return f"{rules.title} names have {least} to {most} characters; {name!r} has {len(name)}"
    return ""


_OTHER_REGISTRIES = ECR_PUBLIC_HOSTS | {"mcr.microsoft.com", "registry.k8s.io"}
"""Hosts of services without a kind of their own, as far as images' names often begin with them."""


def other_registry(kind: str, name: str) -> str:
    """The registry that a repository's name begins with, where the kind has no such name; empty otherwise.

    Namespaces of Docker Hub and GitHub have no dot. Quay's may have one, but are not named after a registry. Other
    registries hold copies and caches under such names.

    >>> other_registry("docker_hub", "quay.io/cilium/certgen"), other_registry("harbor", "quay.io/cilium/certgen")
    ('quay.io', '')
    """
    first, _, rest = name.partition("/")
    is_host = infer_kind(first) != "distribution" or first in _OTHER_REGISTRIES
    is_foreign = (kind in {"docker_hub", "ghcr"} and "." in first) or (kind == "quay" and is_host)
    return first if rest and is_foreign else ""
