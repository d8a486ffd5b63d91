"""Behaviour of registries that tests do not start. Scripted servers show it, as public reports describe it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Behaviour of some registries, and the test that shows what is done about it.

    :ivar file: path below ``tests/``.
    :ivar test: name of a function or class in it.
    """

    registries: str
    behaviour: str
    file: str
    test: str


def _model(registries: str, behaviour: str, file: str, test: str) -> Model:
    return Model(registries=registries, behaviour=behaviour, file=file, test=test)


MODELS = (
    _model("Nexus", "full pages without `Link`", "integration/test_listings.py", "TestWithoutLink"),
    _model(
        "Nexus, Artifactory",
        "`Link` with another scheme, host or path",
        "integration/test_listings.py",
        "test_addresses_that_the_registry_knows_itself_by",
    ),
    _model(
        "Nexus, Google",
        "HEAD of a manifest is refused, and GET is not",
        "integration/test_digests_by_head.py",
        "test_a_refused_head_is_settled_by_one_get",
    ),
    _model(
        "Artifactory",
        "403 for a tag that does not exist yet",
        "integration/test_denied_tags.py",
        "test_a_tag_that_is_hidden_until_it_exists_is_pushed",
    ),
    _model(
        "Artifactory, Harbor",
        "one image is blocked at the source",
        "integration/test_denied_tags.py",
        "test_one_tag_fails_and_the_others_are_copied",
    ),
    _model(
        "Artifactory, Harbor",
        "the destination shows no manifest that it holds",
        "integration/test_held_content.py",
        "test_a_refused_manifest_of_the_destination_is_read_at_the_source",
    ),
    _model(
        "Quay",
        "401 for a repository that a push would create",
        "integration/test_denied_tags.py",
        "test_the_first_push_to_a_registry_that_denies_what_is_missing",
    ),
    _model(
        "Quay",
        "repositories with names outside the OCI grammar",
        "integration/test_namespaces.py",
        "test_a_repository_with_an_odd_name_fails_alone",
    ),
    _model(
        "Quay",
        "a limit of 50 requests a second, 429 without `Retry-After`",
        "integration/test_rate_limits.py",
        "test_six_tasks_at_a_quay_stay_below_its_limit",
    ),
    _model(
        "Gitea", "several challenges in a 401, `Negotiate` among them", "integration/test_logins.py", "TestChallenges"
    ),
    _model(
        "zot, Nexus, Artifactory",
        "anonymous users see less, without a 401",
        "integration/test_logins.py",
        "TestCredentialsComeFirst",
    ),
    _model("Gitea", "tags are stored in lower case", "integration/test_prune_registries.py", "TestCase"),
    _model(
        "Gitea, zot, olareg",
        "a tag is deleted without its image",
        "integration/test_prune_registries.py",
        "TestTagsAlone",
    ),
    _model(
        "Gitea",
        "404 for an image with foreign layers",
        "integration/test_shapes.py",
        "test_that_other_registries_refuse_are_a_permanent_failure",
    ),
    _model(
        "ECR, GitLab",
        "no place for OCI referrers",
        "integration/test_attached_artifacts.py",
        "test_a_registry_that_cannot_hold_referrers_gets_the_images",
    ),
    _model(
        "ECR",
        "pulls are permitted, and listings are not",
        "integration/test_named_tags.py",
        "test_where_listings_are_refused_named_tags_are_mirrored",
    ),
    _model("Quay", "its API and `/v2`, as recorded", "contract/test_quay.py", "test_tags_with_digest_and_time"),
    _model(
        "Harbor",
        "its API, by the vendor's definition",
        "contract/test_harbor.py",
        "test_our_requests_are_what_the_definition_takes",
    ),
)
