"""Files of retagger with images to rename."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.importing.conftest import Run

TO = ("--to", "copies.example/team")
SHA = 64 * "e"


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        ("semver: '>= 1.2'", {"semver": ">=1.2"}),
        ("semver: '>= v3.5.4-0'", {"semver": ">=3.5.4-0", "prereleases": True}),
        ("semver: '>= 2.13', filter: '^stable-(.*)$'", {"version": "stable-(.*)", "semver": ">=2.13"}),
        ("semver: '>= 2023.8', filter: '(.+)-amd64'", {"version": "(.+)-amd64.*", "semver": ">=2023.8"}),
        ("semver: '>= 3', filter: '(a|b)-(\\d+)'", {"version": ".*?(a|b)-(?:\\d+).*", "semver": ">=3"}),
        ("tag_or_pattern: 'v1.[234].*'", {"include": ["/.*v1.[234].*/"]}),
        ("tag_or_pattern: '^[0-9]+-full$'", {"include": ["/^[0-9]+-full$/"]}),
        ("tag_or_pattern: '(.*)'", None),
        (f"tag_or_pattern: '2.7.35', sha: {SHA}", {"names": [f"2.7.35@sha256:{SHA}"]}),
        (f"tag_or_pattern: '2.7', sha: {SHA}, add_tag_suffix: ours", {"names": [f"2.7-ours@sha256:{SHA}"]}),
    ],
)
def test_tags(image: str, rule: Any, run: Run) -> None:
    done = run(f"- {{image: quay.example/a/box, override_repo_name: box2, {image}}}\n", options=TO)
    assert done.lost == []
    tags = {"tags": rule} if rule else {}
    assert done.rules == [{"repository": "a/box", "rename": "team/box2", **tags}]


def test_an_image_that_is_listed_twice_has_two_rules(run: Run) -> None:
    done = run(
        "- {image: quay.example/a/box, semver: '>=1.0'}\n- {image: quay.example/a/box, tag_or_pattern: '^x$'}\n",
        options=TO,
    )
    assert done.rules == [
        {"repository": "a/box", "rename": "team/box", "tags": [{"semver": ">=1.0"}, {"include": ["/^x$/"]}]}
    ]


def test_the_destinations_of_its_code(run: Run) -> None:
    done = run("- {image: docker.io/grafana/agent, semver: '>=1.0'}\n")
    (mirror,) = done.document["mirrors"].values()
    assert mirror["destinations"] == ["gsoci_azurecr_io", "giantswarm-registry_cn-shanghai_cr_aliyuncs_com"]
    assert mirror["repositories"][0]["rename"] == "giantswarm/agent"


def test_a_name_that_one_destination_does_not_have(run: Run) -> None:
    """The other destination has the repository all the same."""
    done = run("- {image: quay.example/a/box, override_repo_name: a/box, semver: '>=1.0'}\n")
    assert done.lost == [
        (
            "1: quay.example/a/box is left out: Aliyun names have two parts, NAMESPACE/NAME; 'giantswarm/a/box' has 3; "
            "rename it"
        )
    ]
    assert [mirror["destinations"] for mirror in done.document["mirrors"].values()] == [["gsoci_azurecr_io"]]


@pytest.mark.parametrize(("key", "value"), [("add_tag_suffix", "ours"), ("strip_semver_prefix", "true")])
def test_tags_with_other_names_are_told(key: str, value: str, run: Run) -> None:
    done = run(f"- image: quay.example/a/box\n  semver: '>=1.0'\n  {key}: {value}\n", options=TO)
    assert done.lost == [
        (
            f"3: [0].{key}: changes the names of tags, which stay the same here: pin each as names: "
            "['NEW_TAG@sha256:…'], with the digest of the tag"
        )
    ]
    assert done.document["mirrors"] == {}


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("override_repo_name: x", "[0]: has none of tag_or_pattern, sha and semver"),
        ("tag_or_pattern: x, sha: abc", "[0].sha: is not the 64 digits of a sha256 digest"),
        ("semver: '>=1', filter: 'x.*'", "[0].semver: 'x.*' has no group, whose text would be the version"),
        ("semver: '>=1', filter: 'a|(b)'", "[0].semver: 'a|(b)' has alternatives outside a group"),
    ],
)
def test_an_image_that_cannot_be_said_is_left_out(image: str, problem: str, run: Run) -> None:
    done = run(f"- {{image: quay.example/a/box, {image}}}\n", options=TO)
    assert done.lost == [f"1: {problem.removeprefix('[0]: ')}; the entry is left out"]
