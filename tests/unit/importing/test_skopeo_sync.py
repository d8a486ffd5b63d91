"""Files of skopeo sync."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.importing.conftest import Run

TO = ("--to", "copies.example/base")

DIGEST = f"sha256:{64 * 'b'}"


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("images: {a/box: []}", {}),
        ("images: {a/box: }", {}),
        ("images: {a/box: ['1.0', latest]}", {"tags": {"names": ["1.0", "latest"]}}),
        (f"images: {{a/box: [v1, '{DIGEST}']}}", {"tags": {"names": ["v1", f"digest-bbbbbbbbbbbb@{DIGEST}"]}}),
        ("images-by-tag-regex: {a/box: '^1\\.13\\.[12]-x$'}", {"tags": {"include": ["/^1\\.13\\.[12]-x$/"]}}),
        ("images-by-tag-regex: {a/box: '^14\\.'}", {"tags": {"include": ["/^14\\..*/"]}}),
        ("images-by-tag-regex: {a/box: 'rc|beta'}", {"tags": {"include": ["/.*(?:rc|beta).*/"]}}),
        ("images-by-semver: {a/box: '>= v3.5.4-0'}", {"tags": {"semver": ">=3.5.4-0", "prereleases": True}}),
        ("images-by-semver: {a/box: '>= 1.2, < 1.4'}", {"tags": {"semver": ">=1.2 <1.4"}}),
        ("images-by-semver: {a/box: 'v3.1.1 - v3.4.0'}", {"tags": {"semver": "3.1.1 - 3.4.0"}}),
        (
            "images-by-semver: {a/box: '~>1.2, != 1.2.5'}",
            {"tags": {"semver": "~1.2", "exclude": ["/v?1\\.2\\.5/"]}},
        ),
    ],
)
def test_lists_expressions_and_ranges(written: str, rule: dict[str, Any], run: Run) -> None:
    done = run(f"quay.example:\n  {written}\n", options=TO)
    assert done.lost == []
    assert done.rules == [{"repository": "a/box", "rename": "base/box", **rule}]


def test_an_image_has_the_last_part_of_its_name_or_with_scoped_all_of_it(run: Run) -> None:
    text = "docker.io:\n  images: {alpine: ['3.20'], a/b/c: [v1]}\n"
    assert [rule["rename"] for rule in run(text, options=TO).rules] == ["base/alpine", "base/c"]
    scoped = run(text, options=(*TO, "--scoped"))
    assert [rule["rename"] for rule in scoped.rules] == ["base/docker.io/library/alpine", "base/docker.io/a/b/c"]


def test_without_a_destination_there_is_a_placeholder(run: Run) -> None:
    done = run("quay.example:\n  images: {a/box: [v1]}\n")
    assert done.document["registries"]["registry_example_com"] == {"host": "registry.example.com"}
    assert done.lost == [
        (
            "1: the file has no destination: skopeo sync names it on its command line; import it with "
            "--to HOST/PATH, or "
            "replace registry.example.com below"
        )
    ]


def test_several_registries_and_destinations(run: Run) -> None:
    text = "quay.example:\n  images: {a/x: [v1]}\ngcr.example/team:\n  images: {y: [v1]}\n"
    done = run(text, options=("--to", "one.example", "--to", "two.example"))
    assert [(mirror["source"], mirror["destinations"]) for mirror in done.document["mirrors"].values()] == [
        ("quay_example", ["one_example", "two_example"]),
        ("gcr_example", ["one_example", "two_example"]),
    ]
    assert done.rules[1] == {"repository": "team/y", "rename": "y", "tags": {"names": ["v1"]}}


def test_two_images_with_one_last_part_are_told(run: Run) -> None:
    done = run("quay.example:\n  images: {a/box: [], b/box: []}\n", options=TO)
    (remark,) = done.lost
    assert remark.startswith("2: quay.example/b/box is left out: quay.example/a/box ")
    assert len(done.rules) == 1


def test_logins_and_certificates(run: Run) -> None:
    done = run(
        "quay.example:\n  images: {a/box: [v1]}\n  credentials: {username: john, password: hunter2}\n"
        "  tls-verify: false\n  cert-dir: /home/john/certs\n",
        options=TO,
    )
    assert done.document["registries"]["quay_example"] == {
        "host": "quay.example",
        "connection": "registry_quay_example",
    }
    assert done.lost == [
        (
            "4: quay.example.tls-verify: turns off verification, or TLS itself; write ca_file: with "
            "its authority, or tls: "
            "false for plain HTTP"
        ),
        "5: quay.example.cert-dir: names a folder of certificates; write ca_file: with its authority",
    ]
    assert "hunter2" not in done.text + done.errors


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("images: {a/box: ['v*']}", "quay.example.images.a/box: 'v*' is neither a tag nor a digest"),
        ("images: {a/box: {x: y}}", "quay.example.images.a/box: expected a list of texts, got a mapping"),
        (
            "images: {A/box: [v1]}",
            "'A/box' is not a repository name: upper-case letters are not allowed; write 'a/box'",
        ),
        (
            "images-by-semver: {a/box: '1.0.0 || != 2.0.0'}",
            "quay.example.images-by-semver.a/box: '1.0.0 || != 2.0.0' has != beside ||",
        ),
        (
            "images-by-semver: {a/box: '>=1.0.0-0 <2 || >=3'}",
            (
                "quay.example.images-by-semver.a/box: '>=1.0.0-0 <2 || >=3' takes pre-releases in some of its parts "
                "only; write a rule for each"
            ),
        ),
    ],
)
def test_an_image_that_cannot_be_said_is_left_out(written: str, problem: str, run: Run) -> None:
    done = run(f"quay.example:\n  {written}\n", options=TO)
    assert (done.lost, done.document["mirrors"]) == ([f"2: {problem}; the entry is left out"], {})
