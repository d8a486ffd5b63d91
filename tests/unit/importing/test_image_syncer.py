"""Files of image-syncer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.importing.conftest import Run

DIGEST = f"sha256:{64 * 'c'}"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"quay.example/a/b": "copies.example/a/b"}, "a/b"),
        ({"quay.example/a/b:v1": "copies.example/a/b"}, {"repository": "a/b", "tags": {"names": ["v1"]}}),
        (
            {"quay.example/a/b:v1,v2": "copies.example/a/b:v1,v2"},
            {"repository": "a/b", "tags": {"names": ["v1", "v2"]}},
        ),
        (
            {"quay.example/a/b:/^1[.]2$/": "copies.example/x/y"},
            {"repository": "a/b", "rename": "x/y", "tags": {"include": ["/^1[.]2$/"]}},
        ),
        ({"quay.example/a/b:/rc/": "copies.example/a/b"}, {"repository": "a/b", "tags": {"include": ["/.*rc.*/"]}}),
        (
            {f"quay.example/a/b@{DIGEST}": "copies.example/a/b"},
            {"repository": "a/b", "tags": {"names": [f"digest-cccccccccccc@{DIGEST}"]}},
        ),
        (
            {f"quay.example/a/b@{DIGEST}": "copies.example/a/b:v1"},
            {"repository": "a/b", "tags": {"names": [f"v1@{DIGEST}"]}},
        ),
        (
            {"alpine:3.18.2": "copies.example/alpine"},
            {"repository": "library/alpine", "rename": "alpine", "tags": {"names": ["3.18.2"]}},
        ),
    ],
)
def test_rules(rules: dict[str, Any], expected: Any, run: Run) -> None:
    for text in (json.dumps(rules), json.dumps(rules, indent="\t"), json.dumps({"images": rules, "auth": {}})):
        done = run(text)
        assert (done.lost, done.rules) == ([], [expected])


def test_a_list_of_destinations(run: Run) -> None:
    done = run('{"quay.example/a/b:v1": ["x.example/a/b", "y.example/a/b", "x.example/c/d"]}')
    assert [mirror["destinations"] for mirror in done.document["mirrors"].values()] == [
        ["x_example", "y_example"],
        ["x_example"],
    ]


def test_tags_with_other_names_are_told(run: Run) -> None:
    done = run('{"quay.example/a/b:v1,v2": "x.example/a/b:w1,w2"}')
    assert done.lost == [
        (
            "1: quay.example/a/b:v1,v2: changes the names of tags, which stay the same here: pin each as names: "
            "['w1@sha256:…'], with the digest of the tag"
        )
    ]
    assert "# - {repository: a/b, tags: {names: [v1, v2]}}" in done.text


def test_logins_of_a_second_file(run: Run) -> None:
    done = run(
        "quay.example/a/b: copies.example/a/b\n",
        "quay.example: {username: robot, password: hunter2}\n"
        "copies.example: {username: $USER_OF_COPIES, password: '${COPIES}', insecure: true}\n"
        "quay.example/team: {username: other, password: hunter3}\n",
    )
    assert done.document["registries"] == {
        "quay_example": {"host": "quay.example", "connection": "registry_quay_example"},
        "copies_example": {"host": "copies.example", "connection": "registry_copies_example", "tls": False},
    }
    assert '--conn-login "$USER_OF_COPIES" --conn-password "$COPIES"\n' in done.errors
    assert done.lost == [
        "3: 'quay.example/team': a registry has one login for all its repositories; this one is not used"
    ]
    assert "hunter" not in done.text + done.errors


def test_the_login_of_a_part_is_used_for_the_registry_and_said(run: Run) -> None:
    done = run(
        "quay.example/team/b: copies.example/a/b\n",
        "quay.example/team: {username: robot, password: hunter2}\n"
        "quay.example/other: {username: x, password: hunter3}\n",
    )
    assert done.document["registries"]["quay_example"]["connection"] == "registry_quay_example"
    assert "b:1: 'quay.example/team': is used for the whole registry, which has one login here" in done.errors
    assert done.lost == [
        "2: 'quay.example/other': a registry has one login for all its repositories; this one is not used"
    ]


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ("quay.example/a/b: []", "quay.example/a/b: has no destination"),
        (
            "quay.example/a/b: '${TARGET}/a/b'",
            "'${TARGET}/a/b' has a variable; write its value, and import the file again",
        ),
        ("'quay.example/a/b:v1,v*': x.example/a/b", "'quay.example/a/b:v1,v*': 'v*' is not a tag"),
        ("'quay.example/a/b:/[/': x.example/a/b", "'quay.example/a/b:/[/': '/[/' is not a valid regular expression"),
    ],
)
def test_a_rule_that_cannot_be_said_is_left_out(rules: str, problem: str, run: Run) -> None:
    done = run(f"{rules}\n", options=("--from", "image-syncer"))
    (remark,) = done.lost
    assert remark.startswith(f"1: {problem}")
    assert remark.endswith("; the entry is left out")
    assert done.document["mirrors"] == {}
