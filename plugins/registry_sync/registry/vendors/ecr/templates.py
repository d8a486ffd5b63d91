"""Repository creation templates of Amazon ECR, by which a push creates a repository that does not exist.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-creation-templates.html
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from registry_sync.errors import DeniedError
from registry_sync.oci.reference import Repository
from registry_sync.registry.vendors.ecr.api import EcrApi, Row
from registry_sync.registry.vendors.ecr.errors import UnknownAction
from registry_sync.registry.vendors.ecr.rows import text_of

log = logging.getLogger(__name__)

_ROOT = "ROOT"
"""Prefix of the template for all repositories that no other prefix fits."""


def is_created_by_push(api: EcrApi, repository: Repository) -> bool:
    """Return whether a push creates the repository, by the one template with the longest prefix that fits.

    :raises DeniedError: when the templates are those of another account than the registry's. ECR lists no others.
    """
    found = sorted(_fitting(api, repository), key=lambda row: len(_prefix(row)))
    if not found or "CREATE_ON_PUSH" not in (found[-1].get("appliedFor") or ()):
        return False
    log.info("%s: a push creates it by the creation template %r", repository, text_of(found[-1], "prefix"))
    return True


def _fitting(api: EcrApi, repository: Repository) -> Iterator[Row]:
    try:
        for page in api.pages("DescribeRepositoryCreationTemplates", "repositoryCreationTemplates", repository.host):
            _check_account(api, repository, page.get("registryId"))
            for row in page["repositoryCreationTemplates"]:
                if not _prefix(row) or repository.name.startswith(_prefix(row)):
                    yield row
    except UnknownAction as error:
        log.info("%s: this region has no creation templates (%s)", repository, error)


def _prefix(row: Row) -> str:
    """The beginning of the names that a template is for, which ends with a slash; empty for all names."""
    prefix = text_of(row, "prefix")
    return "" if prefix == _ROOT else f"{prefix.removesuffix('/')}/"


def _check_account(api: EcrApi, repository: Repository, account: object) -> None:
    """:raises DeniedError: when the templates are those of another account."""
    ours = api.account.get("registryId")
    if ours and account and account != ours:
        raise DeniedError(
            f"{repository} does not exist, and was not created: whether a creation template of account {ours} is for "
            f"it cannot be known by an identity of account {account}; assume a role of account {ours}, create the "
            "repository, or remove create_repository where a template creates it"
        )
