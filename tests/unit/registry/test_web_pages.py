"""Web pages of repositories at their registries."""

from __future__ import annotations

import pytest

from registry_sync.registry.web_pages import web_page

APP = "team/app"


@pytest.mark.parametrize(
    ("host", "name", "tag", "kind", "page"),
    [
        ("quay.io", APP, None, None, "https://quay.io/repository/team/app?tab=tags"),
        ("acme.jfrog.io", APP, "v1", None, "https://acme.jfrog.io/ui/repos/tree/General/team/app/v1"),
        ("art.example", APP, None, "artifactory", "https://art.example/ui/repos/tree/General/team/app"),
        ("registry.gitlab.com", APP, None, None, None),
        ("quay.example:8443", APP, "v1", "quay", "https://quay.example:8443/repository/team/app?tab=tags&tag=v1"),
        ("docker.io", APP, None, None, "https://hub.docker.com/r/team/app/tags"),
        ("docker.io", "library/alpine", "3.20", None, "https://hub.docker.com/_/alpine/tags?name=3.20"),
        ("ghcr.io", APP, "v1", None, "https://ghcr.io/team/app"),
        ("gcr.io", APP, None, None, "https://gcr.io/team/app"),
        ("europe-docker.pkg.dev", "p/r/app", None, None, "https://europe-docker.pkg.dev/p/r/app"),
        ("a.azurecr.io", APP, None, None, "https://portal.azure.com/#browse/Microsoft.ContainerRegistry%2Fregistries"),
        ("a.azurecr.cn", APP, None, None, "https://portal.azure.cn/#browse/Microsoft.ContainerRegistry%2Fregistries"),
        ("harbor.example", APP, "v1", "harbor", "https://harbor.example/harbor/projects"),
        (
            "registry.cn-shanghai.aliyuncs.com",
            APP,
            None,
            None,
            "https://cr.console.aliyun.com/repository/cn-shanghai/team/app/images",
        ),
        ("team-registry.cn-shanghai.cr.aliyuncs.com", APP, None, None, None),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            APP,
            "v1",
            None,
            "https://eu-west-1.console.aws.amazon.com/ecr/repositories/private/123456789012/team/app?region=eu-west-1",
        ),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            APP,
            None,
            None,
            "https://cn-north-1.console.amazonaws.cn/ecr/repositories/private/123456789012/team/app?region=cn-north-1",
        ),
        (
            "123456789012.dkr-ecr-fips.us-gov-west-1.on.aws",
            "app",
            None,
            None,
            "https://us-gov-west-1.console.amazonaws-us-gov.com/ecr/repositories/private/123456789012/app?region=us-gov-west-1",
        ),
        (
            "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
            "app",
            None,
            None,
            "https://eusc-de-east-1.console.amazonaws-eusc.eu/ecr/repositories/private/123456789012/app?region=eusc-de-east-1",
        ),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "app", None, None, None),
        ("123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "app", None, None, None),
        ("public.ecr.aws", APP, None, None, "https://gallery.ecr.aws/team/app"),
        ("mcr.microsoft.com", "azure-cli", None, None, "https://mcr.microsoft.com/artifact/mar/azure-cli/tags"),
        ("registry.example", APP, None, None, None),
        ("quay.io.example", APP, None, None, None),
        ("quay.io", APP, "a b&c", None, "https://quay.io/repository/team/app?tab=tags&tag=a%20b%26c"),
    ],
)
def test_a_page(host: str, name: str, tag: str | None, kind: str | None, page: str | None) -> None:
    assert web_page(host, name, tag, kind=kind) == page
