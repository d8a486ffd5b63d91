"""The hosts of one registry, and the names of one repository."""

from __future__ import annotations

import pytest

from registry_sync.oci.reference import Repository
from registry_sync.registry.same_registry import name_at, same_registry, same_repository
from registry_sync.registry.wire.rate_limit import RateLimiter

A = "123456789012"

ECR = f"{A}.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ECR, f"{A}.dkr-ecr.eu-west-1.on.aws"),
        (ECR, f"{A}.dkr.ecr-fips.eu-west-1.amazonaws.com"),
        (ECR, f"{A}.dkr-ecr-fips.eu-west-1.on.aws"),
        (ECR, f"{A}.DKR.ECR.eu-west-1.amazonaws.com:443"),
        (f"{A}.dkr.ecr.cn-north-1.amazonaws.com.cn", f"{A}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn"),
        ("public.ecr.aws", "ecr-public.aws.com"),
        ("gsoci.azurecr.io", "gsoci.westeurope.geo.azurecr.io"),
        ("gsoci.azurecr.cn", "gsoci.chinaeast2.geo.azurecr.cn:443"),
        ("registry.cn-beijing.aliyuncs.com", "registry-vpc.cn-beijing.aliyuncs.com"),
        ("registry.cn-beijing.aliyuncs.com", "registry-internal.cn-beijing.aliyuncs.com"),
        ("acme-registry.cn-beijing.cr.aliyuncs.com", "acme-registry-vpc.cn-beijing.cr.aliyuncs.com"),
        ("crpi-1.cn-beijing.personal.cr.aliyuncs.com", "crpi-1-vpc.cn-beijing.personal.cr.aliyuncs.com"),
        ("docker.io", "registry-1.docker.io:443"),
        ("Quay.io", "quay.io"),
    ],
)
def test_hosts_of_one_registry(one: str, other: str) -> None:
    assert same_registry(one, other)
    assert same_registry(other, one)
    assert same_repository(Repository(one, "team/app"), Repository(other, "team/app"))
    assert not same_repository(Repository(one, "team/app"), Repository(other, "team/other"))
    assert name_at(Repository(one, "team/app"), other) == "team/app"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ECR, f"{A}.dkr.ecr.eu-west-2.amazonaws.com"),
        (ECR, "123456789013.dkr.ecr.eu-west-1.amazonaws.com"),
        (ECR, f"{ECR}.evil.example"),
        ("gsoci.azurecr.io", "gsoci.azurecr.cn"),
        ("gsoci.azurecr.io", "other.westeurope.geo.azurecr.io"),
        ("registry.cn-beijing.aliyuncs.com", "registry-vpc.cn-hangzhou.aliyuncs.com"),
        ("registry.cn-beijing.aliyuncs.com", "acme-registry.cn-beijing.cr.aliyuncs.com"),
        ("acme-registry.cn-beijing.cr.aliyuncs.com", "acme-vpc-registry.cn-beijing.cr.aliyuncs.com"),
        ("gcr.io", "us.gcr.io"),
        ("gcr.io", "mirror.gcr.io"),
        ("registry.example", "registry.example:5000"),
        ("127.0.0.1:5000", "localhost:5000"),
    ],
)
def test_different_registries(one: str, other: str) -> None:
    assert not same_registry(one, other)
    assert not same_repository(Repository(one, "team/app"), Repository(other, "team/app"))
    assert name_at(Repository(one, "team/app"), other) is None


@pytest.mark.parametrize(
    ("legacy", "own"),
    [
        ("gcr.io/project/app", "us-docker.pkg.dev/project/gcr.io/app"),
        ("us.gcr.io/project/team/app", "us-docker.pkg.dev/project/us.gcr.io/team/app"),
        ("eu.gcr.io/example.com/project/app", "europe-docker.pkg.dev/example.com/project/eu.gcr.io/app"),
        ("asia.gcr.io/project/app", "asia-docker.pkg.dev/project/asia.gcr.io/app"),
    ],
)
def test_images_of_gcr_io_are_in_artifact_registry(legacy: str, own: str) -> None:
    one, other = Repository.parse(legacy), Repository.parse(own)
    assert same_repository(one, other)
    assert not same_registry(one.host, other.host)
    assert (name_at(one, other.host), name_at(other, one.host)) == (other.name, one.name)
    assert name_at(Repository(other.host, "project/docker/app"), one.host) is None


def test_a_pause_of_a_registry_holds_for_each_of_its_hosts() -> None:
    """A limit of an account and a region does not depend on the name that is used."""
    RateLimiter(None, server=ECR).pause(sent_at=0.0, seconds=1.0)
    limits = [RateLimiter(None, server=host) for host in (f"{A}.dkr-ecr.eu-west-1.on.aws", "quay.io")]
    assert [limit.pause(sent_at=0.0, seconds=0.5) for limit in limits] == [0.0, 0.5]
