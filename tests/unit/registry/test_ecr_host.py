"""Hosts of ECR: account, region and kind of endpoint."""

from __future__ import annotations

import pytest

from registry_sync.registry.ecr_host import EcrHost, parse_ecr_host

ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("host", "region", "is_fips", "is_dual_stack"),
    [
        ("dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", False, False),
        ("DKR.ECR.EU-WEST-1.AMAZONAWS.COM:443", "eu-west-1", False, False),
        ("dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", True, False),
        ("dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", False, False),
        ("dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", False, False),
        ("dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", False, False),
        ("dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", False, False),
        ("dkr-ecr.ap-southeast-2.on.aws", "ap-southeast-2", False, True),
        ("dkr-ecr-fips.us-east-1.on.aws", "us-east-1", True, True),
        ("dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1", False, True),
    ],
)
def test_hosts_of_ecr(host: str, region: str, is_fips: bool, is_dual_stack: bool) -> None:
    parts = EcrHost(account=ACCOUNT, region=region, is_fips=is_fips, is_dual_stack=is_dual_stack)
    assert parse_ecr_host(f"{ACCOUNT}.{host}") == parts


@pytest.mark.parametrize(
    "host",
    [
        "public.ecr.aws",
        "dkr.ecr.eu-west-1.amazonaws.com",
        "12345.dkr.ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.on.aws",
        f"{ACCOUNT}.dkr-ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com:5000",
        f"{ACCOUNT}.dkr.ecr.eu.west.amazonaws.com",
        f"x{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com",
    ],
)
def test_other_hosts(host: str) -> None:
    assert parse_ecr_host(host) is None
