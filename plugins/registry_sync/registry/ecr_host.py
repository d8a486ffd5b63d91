"""Hosts of Amazon ECR's private registries, which name the account and the region.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html. The domains are those of AWS' partitions:
commercial and GovCloud, China, the European Sovereign Cloud, and the isolated ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOMAINS = r"amazonaws\.(?:com(?:\.cn)?|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov"

_DUAL_STACK_DOMAINS = r"on\.(?:aws|amazonwebservices\.(?:com\.cn|eu))"

ECR_HOST = rf"(\d{{12}})\.dkr(?:\.ecr|(-ecr))(-fips)?\.([a-z0-9-]+)\.(?(2)(?:{_DUAL_STACK_DOMAINS})|(?:{_DOMAINS}))"
"""Pattern of a whole host in lower case. Groups: account, mark of a dual-stack host, mark of a FIPS host, region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrHost:
    """The parts of a host.

    :ivar account: number of the AWS account that the registry belongs to.
    :ivar is_fips: the host has endpoints with FIPS 140-3 cryptography only, and so has its API.
    :ivar is_dual_stack: the host answers IPv6 too, and so does its API.
    """

    account: str
    region: str
    is_fips: bool = False
    is_dual_stack: bool = False


def parse_ecr_host(host: str) -> EcrHost | None:
    """The parts of a host; ``None`` where it is not a private registry of ECR.

    >>> parse_ecr_host("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    EcrHost(account='123456789012', region='eu-west-1', is_fips=False, is_dual_stack=False)
    """
    match = re.fullmatch(ECR_HOST, host.lower().removesuffix(":443"))
    if match is None:
        return None
    account, dual_stack, fips, region = match.groups()
    return EcrHost(account=account, region=region, is_fips=bool(fips), is_dual_stack=bool(dual_stack))
