"""The kinds of registry: which hosts tell a kind, and which repository names it can hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["distribution", "quay", "docker_hub", "acr", "aliyun", "harbor", "google"]

KINDS: tuple[Kind, ...] = get_args(Kind)

HOSTS: tuple[tuple[Kind, str], ...] = (
    ("quay", r"quay\.io"),
    ("docker_hub", r"docker\.io"),
    ("acr", r"[a-z0-9-]+(\.[a-z0-9-]+)?\.azurecr\.(io|cn|us)"),
    ("aliyun", r"registry(-[a-z]+)?\.[a-z0-9-]+\.aliyuncs\.com"),
    ("aliyun", r"[a-z0-9-]+-registry(-[a-z]+)?\.[a-z0-9-]+\.cr\.aliyuncs\.com"),
    ("aliyun", r"[a-z0-9-]+\.[a-z0-9-]+\.personal\.cr\.aliyuncs\.com"),
    ("google", r"([a-z0-9-]+\.)?gcr\.io"),
    ("google", r"[a-z0-9-]+-docker\.pkg\.dev"),
)
"""Hosts, whole and in lower case, of the kinds that are services. Harbor is at everybody's own host."""

OWN_API: frozenset[Kind] = frozenset({"quay", "docker_hub", "harbor"})
"""The kinds whose API may be at another address than the registry, for which ``api_url`` can be written."""

CREATES_REPOSITORIES: frozenset[Kind] = frozenset({"docker_hub"})
"""The kinds with a call to create a repository, for which ``create_repository`` can be written."""

LISTS_PUSH_TIMES: frozenset[Kind] = frozenset({"quay", "docker_hub", "acr", "harbor", "google"})
"""The kinds that tell when a tag was pushed; rules that go by that need one of them for a source."""


def infer_kind(host: str) -> Kind:
    """The kind of registry at ``host``, ``distribution`` when the host is nobody's that we know.

    >>> infer_kind("gsoci.azurecr.io"), infer_kind("harbor.example:8443")
    ('acr', 'distribution')
    """
    name = host.lower().removesuffix(":443")
    return next((kind for kind, pattern in HOSTS if re.fullmatch(pattern, name)), "distribution")


def api_url_fault(address: str, *, tls: bool) -> str:
    """Why ``address`` is no ``api_url``, to which credentials may go; empty when it is one. A password is not shown.

    >>> api_url_fault("https://quay.example:8443", tls=True)
    ''
    """
    schemes = "https" if tls else "https?"
    if re.fullmatch(rf"{schemes}://([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{{1,5}})?/?", address):
        return ""
    shown = re.sub("//[^/]*@", "//…@", address)
    return f"{shown!r} is no address of an API; write https://host or https://host:port"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """What a kind allows beside the OCI grammar; the least and most characters of the first part, and of all others."""

    title: str
    form: str
    least_parts: int
    most_parts: int | None = None
    first: tuple[int, int] = (1, 255)
    others: tuple[int, int] = (1, 255)


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
}

_FIRST_PUSH: Mapping[str, str] = {
    "quay": "let the robot account or user create repositories in {namespace!r} (its team there: role Creator)",
    "docker_hub": "create it (Repositories, Create repository), or write create_repository: true for the registry",
    "aliyun": "create the namespace {namespace!r}, and turn on Automatically Create Repository for it",
    "harbor": "create the project {namespace!r} (Projects, New Project), and let the account push to it",
    "google": "create the repository in Artifact Registry that {name!r} is to be in",
}


def first_push_advice(kind: str, name: str) -> str:
    """What to click where nothing can be written to a repository, maybe since it is not there; empty: unknown.

    >>> first_push_advice("harbor", "team/app")
    "if 'team/app' is not there yet: create the project 'team' (Projects, New Project), and let the account push to it"
    """
    advice = _FIRST_PUSH.get(kind, "").format(name=name, namespace=name.partition("/")[0])
    return f"if {name!r} is not there yet: {advice}" if advice else ""


def name_fault(kind: str, name: str) -> str:
    """Why a registry of that kind cannot hold a repository of that name; empty when it can.

    >>> name_fault("harbor", "app")
    "Harbor has names of two parts or more, PROJECT/NAME, and 'app' has 1"
    """
    rules = _NAMES.get(kind)
    if rules is None:
        return ""
    parts = name.split("/")
    is_fixed = rules.most_parts is not None
    if len(parts) < rules.least_parts or (rules.most_parts and len(parts) > rules.most_parts):
        how_many = "two parts" if is_fixed else "two parts or more"
        return f"{rules.title} has names of {how_many}, {rules.form}, and {name!r} has {len(parts)}"
    for part, (least, most) in ((parts[0], rules.first), ("/".join(parts[1:]), rules.others)):
        if not least <= len(part) <= most:
            has = f"{part!r} of {name!r} has {len(part)}"
            return f"{rules.title} has names whose parts are {least} to {most} characters long, and {has}"
    return ""
