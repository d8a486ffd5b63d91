"""Files of dregsy."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from registry_sync.importing.tools.skopeo_sync import NUMBERS
from tests.unit.importing.conftest import Run

DIGEST = f"sha256:{64 * 'd'}"


def tasks(mapping: str, source: str = "registry: quay.example", task: str = "interval: 3600") -> str:
    return (
        "relay: skopeo\n"
        f"tasks:\n- name: one\n  {task}\n  source: {{{source}}}\n  target: {{registry: copies.example}}\n"
        f"  mappings:\n  - {{{mapping}}}\n"
    )


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ("['1.0', latest]", {"names": ["1.0", "latest"]}),
        ("['semver: >=1.31.0 <1.31.9']", {"semver": ">=1.31.0 <1.31.9", "prereleases": True}),
        ("['regex: 1\\.26\\.[0-9]-(a|b)']", {"include": ["/1\\.26\\.[0-9]-(a|b)/"]}),
        ("['regex: !.*-rc']", {"exclude": ["/.*-rc/"]}),
        (
            "['semver: >=2.0.0', 'regex: 1\\..*', latest]",
            [{"semver": ">=2.0.0", "prereleases": True}, {"include": ["/1\\..*/"]}, {"names": ["latest"]}],
        ),
        (
            "['semver: >=2.0.0', 'keep: .+-(alpine|buster)', latest]",
            [{"include": ["/.+-(alpine|buster)/"], "semver": ">=2.0.0", "prereleases": True}, {"names": ["latest"]}],
        ),
        ("['keep: !.*-rc']", {"exclude": ["/.*-rc/"]}),
        (
            "['semver: >=1.34.0', 'keep: latest 5']",
            {"semver": ">=1.34.0", "prereleases": True, "newest": 5, "newest_by": "semver"},
        ),
        (f"['v1@{DIGEST}', '{DIGEST}']", {"names": [f"v1@{DIGEST}", f"digest-dddddddddddd@{DIGEST}"]}),
    ],
)
def test_tags(written: str, tags: Any, run: Run) -> None:
    done = run(tasks(f"from: a/b, tags: {written}"))
    assert done.lost == []
    assert done.rules == [{"repository": "a/b", "tags": tags}]


@pytest.mark.parametrize(
    ("mapping", "rule"),
    [
        ("from: a/b, to: x/y", {"repository": "a/b", "rename": "x/y"}),
        ("from: /a/b", "a/b"),
        ("from: a/b, platform: all", "a/b"),
        ("from: a/b, platform: linux/arm64/v8", {"repository": "a/b", "platforms": ["linux/arm64/v8"]}),
        ("from: 'regex:team/.*', to: old", {"namespace": "team", "prefix": "old/"}),
        ("from: 'regex:team/web-.*'", {"namespace": "team", "include": ["/web-.*/"]}),
    ],
)
def test_mappings(mapping: str, rule: Any, run: Run) -> None:
    done = run(tasks(mapping))
    assert (done.lost, done.rules) == ([], [rule])


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        (
            "from: a/b, to: 'regex:a,b'",
            (
                "8: tasks[0].mappings[0].to: 'regex:a,b' replaces by an expression; write rename:, a template such as "
                "'copies/{{ name }}'; the mapping is left out"
            ),
        ),
        (
            "from: 'regex:.*'",
            (
                "8: tasks[0].mappings[0].from: '.*' begins with no namespace; write an entry {namespace: "
                "NAME} for each; the "
                "mapping is left out"
            ),
        ),
        (
            "from: a/b, tags: ['regex: a', 'keep: b']",
            (
                "8: tasks[0].mappings[0].tags: keep: beside regex: or another keep: needs two expressions "
                "to match; write "
                "one for both; the mapping is left out"
            ),
        ),
        (
            "from: a/b, tags: ['v*']",
            "8: tasks[0].mappings[0].tags: 'v*' is neither a tag nor a filter; the mapping is left out",
        ),
        ("to: a/b", "8: tasks[0].mappings[0].from: is missing; the mapping is left out"),
        (
            "from: 'regex:team/.*|other/.*'",
            (
                "8: tasks[0].mappings[0].from: '.*|other/.*' has alternatives outside brackets; write an entry for "
                "each; the mapping is left out"
            ),
        ),
    ],
)
def test_a_mapping_that_cannot_be_said_is_left_out(mapping: str, problem: str, run: Run) -> None:
    done = run(tasks(mapping))
    assert (done.lost, done.document["mirrors"]) == ([problem], {})


@pytest.mark.parametrize("filters", ["'semver: >=1.0.0', 'regex: x.*'", "'1.0', '1.1'"])
def test_a_count_over_several_filters_leaves_the_mapping_out(filters: str, run: Run) -> None:
    done = run(tasks(f"from: a/b, tags: [{filters}, 'keep: latest 3']"))
    assert done.lost == [
        (
            "8: tasks[0].mappings[0].tags: 'keep: latest 3' counts the tags of all items together; newest counts those "
            "of one rule: write it in each; the mapping is left out"
        )
    ]
    assert done.document["mirrors"] == {}


def test_numbers_that_dregsy_takes_for_versions_are_told(run: Run) -> None:
    assert f"8: tasks[0].mappings[0].tags: {NUMBERS}" in run(tasks("from: a/b, tags: ['semver: >=1.0.0']")).noted


def test_a_namespace_is_within_the_path_of_its_registry(run: Run) -> None:
    done = run(tasks("from: 'regex:team/.*'").replace("registry: quay.example", "registry: quay.example/org"))
    assert done.rules[0]["namespace"] == "org/team"


@pytest.mark.parametrize(
    ("task", "schedule"), [("interval: 60", "* * * * *"), ("interval: 86400", "@daily"), ("verbose: true", None)]
)
def test_intervals(task: str, schedule: str | None, run: Run) -> None:
    (mirror,) = run(tasks("from: a/b, tags: [v1]", task=task)).document["mirrors"].values()
    assert mirror.get("schedule") == schedule


def test_logins_are_not_shown(run: Run) -> None:
    auth = base64.b64encode(b'{"username": "alex", "password": "hunter2"}').decode()
    done = run(tasks("from: a/b, tags: [v1]", f"registry: quay.example, auth: {auth}, skip-tls-verify: true"))
    assert "--conn-login alex --conn-password " in done.errors
    assert auth not in done.text + done.errors
    assert "hunter2" not in done.text + done.errors
    assert done.lost == [
        "5: tasks[0].source.skip-tls-verify: connects without verification; write ca_file: with its authority"
    ]


def test_ecr_renews_its_login(run: Run) -> None:
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    done = run(tasks("from: a/b, tags: [v1]", f"registry: {host}, auth-refresh: 10h"))
    assert done.lost == [
        "5: tasks[0].source.auth-refresh: renews the login of ECR; docs/registries.md says how that works here"
    ]
