"""The web page of a repository or tag at its registry, where the registry has one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from registry_sync.registry.ecr_host import ECR_HOST
from registry_sync.registry.kinds import infer_kind


def web_page(host: str, repository: str, tag: str | None = None, *, kind: str | None = None) -> str | None:
    """The address of the page; ``None`` where none is known.

    >>> web_page("quay.io", "giantswarm/hyperkube", "v1.31.4")
    'https://quay.io/repository/giantswarm/hyperkube?tab=tags&tag=v1.31.4'

    :param host: of the registry, as in the mirrors file.
    :param repository: name without the registry.
    :param kind: of the registry; by default inferred from the host.
    """
    name, wanted = quote(repository, safe="/"), quote(tag, safe="") if tag else None
    for pattern, page in _BY_HOST.items():
        if match := re.fullmatch(pattern, host):
            return page(match, name, wanted)
    page_of_kind = _BY_KIND.get(kind or infer_kind(host))
    return page_of_kind(host, name, wanted) if page_of_kind else None


def _quay(host: str, name: str, tag: str | None) -> str:
    """Quay.io and own Quays have the same user interface."""
    return f"https://{host}/repository/{name}?tab=tags{f'&tag={tag}' if tag else ''}"


def _docker_hub(_host: str, name: str, tag: str | None) -> str:
    path = f"_/{name.removeprefix('library/')}" if name.startswith("library/") else f"r/{name}"
    return f"https://hub.docker.com/{path}/tags{f'?name={tag}' if tag else ''}"


def _harbor(host: str, _name: str, _tag: str | None) -> str:
    """The list of projects: addresses of repositories need a project's number (goharbor/harbor#6275)."""
    return f"https://{host}/harbor/projects"


def _acr(host: str, _name: str, _tag: str | None) -> str:
    """The list of registries: addresses of repositories need subscription and resource group."""
    portal = {"cn": "portal.azure.cn", "us": "portal.azure.us"}.get(host.rpartition(".")[2], "portal.azure.com")
    return f"https://{portal}/#browse/Microsoft.ContainerRegistry%2Fregistries"


def _google(host: str, name: str, _tag: str | None) -> str:
    """Google redirects browsers from the name of a repository to its console."""
    return f"https://{host}/{name}"


def _artifactory(host: str, name: str, tag: str | None) -> str:
    """The tree of Artifactory's own repository, whose key the name begins with."""
    return f"https://{host}/ui/repos/tree/General/{name}{f'/{tag}' if tag else ''}"


_BY_KIND: Mapping[str, Callable[[str, str, str | None], str]] = {
    "quay": _quay,
    "docker_hub": _docker_hub,
    "harbor": _harbor,
    "acr": _acr,
    "google": _google,
    "artifactory": _artifactory,
}


def _github(_host: re.Match[str], name: str, _tag: str | None) -> str:
    """GitHub redirects browsers from the name of an image to the page of its package."""
    return f"https://ghcr.io/{name}"


_CONSOLES: Mapping[str, str] = {
    r"cn-.*": "amazonaws.cn",
    r"us-gov-.*": "amazonaws-us-gov.com",
    r"eusc-.*": "amazonaws-eusc.eu",
    r"(us|eu)-iso.*": "",
    r".*": "aws.amazon.com",
}
"""Domains of AWS' consoles, by region; the first match counts. Those of isolated regions are not public."""


def _ecr(host: re.Match[str], name: str, _tag: str | None) -> str | None:
    account, _, _, region = host.groups()
    domain = next(domain for pattern, domain in _CONSOLES.items() if re.fullmatch(pattern, region))
    if not domain:
        return None
    return f"https://{region}.console.{domain}/ecr/repositories/private/{account}/{name}?region={region}"


def _ecr_public(_host: re.Match[str], name: str, _tag: str | None) -> str:
    return f"https://gallery.ecr.aws/{name}"


def _aliyun(host: re.Match[str], name: str, _tag: str | None) -> str:
    """Repositories of the Personal Edition. Those of the Enterprise Edition need the id of an instance."""
    return f"https://cr.console.aliyun.com/repository/{host[1]}/{name}/images"


def _microsoft(_host: re.Match[str], name: str, _tag: str | None) -> str:
    return f"https://mcr.microsoft.com/artifact/mar/{name}/tags"


_BY_HOST: Mapping[str, Callable[[re.Match[str], str, str | None], str | None]] = {
    r"ghcr\.io": _github,
    ECR_HOST: _ecr,
    r"public\.ecr\.aws": _ecr_public,
    r"registry\.([a-z0-9-]+)\.aliyuncs\.com": _aliyun,
    r"mcr\.microsoft\.com": _microsoft,
}
