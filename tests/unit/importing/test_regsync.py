"""Files of regsync."""

from __future__ import annotations

from typing import Any

import pytest

from registry_sync.config.connection_type import known_type
from registry_sync.importing.tools.skopeo_sync import NUMBERS
from tests.unit.importing.conftest import Run

HEAD = "version: 1\ndefaults: {interval: 60m}\nsync:\n"

TEAM = "  source: quay.example/team/app\n  target: copies.example/team/app\n"


def step(text: str) -> str:
    return HEAD + "- type: repository\n" + TEAM + text


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ("", None),
        ("  tags: {allow: [latest, '3\\.\\d+']}", {"include": ["latest", "/3\\.\\d+/"]}),
        ("  tags: {deny: ['.*-rc\\d+', debug]}", {"exclude": ["/.*-rc\\d+/", "debug"]}),
        ("  tags: {allow: ['.*'], deny: [debug]}", {"exclude": ["debug"]}),
        ("  tags: {allow: ['1|2']}", {"include": ["/1.*|.*2/"]}),
        (
            "  tags: {semverRange: ['>=1.0.0 <2.0.0', '>=4.0.0']}",
            {"semver": ">=1.0.0 <2.0.0 || >=4.0.0", "prereleases": True},
        ),
        (
            "  tags: {semverRange: ['>=1.2'], deny: ['.*-arm']}",
            {"exclude": ["/.*-arm/"], "semver": ">=1.2", "prereleases": True},
        ),
        (
            "  tagSets: [{allow: [latest]}, {semverRange: ['^2.0.0']}]",
            [{"include": ["latest"]}, {"semver": "^2.0.0", "prereleases": True}],
        ),
        ("  tagSets: [{allow: [latest]}, {}]", None),
        ("  tags: {semverRange: ['']}", None),
        ("  tags: {allow: ['a${2}b'], deny: []}", {"include": ["/a$${2}b/"]}),
    ],
)
def test_filters_of_tags_become_rules(written: str, tags: Any, run: Run) -> None:
    done = run(step(written))
    assert done.lost == []
    (rule,) = done.rules
    assert (rule if isinstance(rule, dict) else {}).get("tags") == tags


@pytest.mark.parametrize(
    ("written", "place"), [("tags: {newest: 5}", "tags.newest"), ("tagSets: [{allow: [a], age: 5d}]", "tagSets[0].age")]
)
def test_an_unknown_filter_leaves_the_step_out(written: str, place: str, run: Run) -> None:
    done = run(step(f"  {written}"))
    problem = f"7: sync[0].{place}: this filter is unknown to the import; look up its meaning; the entry is left out"
    assert (done.lost, done.document["mirrors"]) == ([problem], {})


def test_no_filter_means_all_tags_and_is_told(run: Run) -> None:
    assert "4: sync[0]: has no filter of tags, so all tags are mirrored".replace("sync[0]: ", "") in run(step("")).noted


def test_images_of_one_repository_become_one_list_of_names(run: Run) -> None:
    pin = f"sha256:{64 * 'a'}"
    done = run(
        HEAD
        + "- {type: image, source: busybox, target: copies.example/box}\n"
        + "- {type: image, source: 'busybox:1.36', target: 'copies.example/box:1.36'}\n"
        + f"- {{type: image, source: 'busybox@{pin}', target: 'copies.example/box:pinned'}}\n"
        + f"- {{type: image, source: 'busybox@{pin}', target: 'copies.example/box@{pin}'}}\n"
    )
    assert done.document["mirrors"] == {
        "docker_io_to_copies_example": {
            "source": "docker_io",
            "destinations": ["copies_example"],
            "schedule": "@hourly",
            "repositories": [
                {
                    "repository": "library/busybox",
                    "rename": "box",
                    "tags": {"names": ["latest", "1.36", f"pinned@{pin}", f"digest-aaaaaaaaaaaa@{pin}"]},
                }
            ],
        }
    }


def test_an_image_that_gets_another_tag_is_a_comment_with_the_remedy(run: Run) -> None:
    done = run(HEAD + "- {type: image, source: 'quay.example/a/b:v1', target: 'copies.example/a/b:v2'}\n")
    problem = (
        "quay.example/a/b:v1 becomes the tag 'v2'; tags keep their names here: pin it as names: ['v2@sha256:…'], with "
        "the digest that 'v1' has"
    )
    assert (done.lost, done.document["mirrors"]) == ([f"4: {problem}"], {})
    assert f"      # a:4: NOT IMPORTED: {problem}\n      # - a/b\n" in done.text


def test_destinations_of_one_entry_share_a_mirror(run: Run) -> None:
    done = run(
        HEAD
        + "".join(
            f"- {{type: repository, source: quay.example/a/b, target: {host}/a/b}}\n"
            for host in ("x.example", "y.example")
        )
    )
    assert [mirror["destinations"] for mirror in done.document["mirrors"].values()] == [["x_example", "y_example"]]


@pytest.mark.parametrize(
    ("written", "schedule", "noted"),
    [
        ("interval: 60m", "@hourly", []),
        (
            "interval: 1h30m",
            "@hourly",
            ["2: defaults.interval: no schedule runs every '1h30m'; '@hourly' is the nearest"],
        ),
        (
            "schedule: '15 01 * * *'",
            "15 01 * * *",
            ["2: defaults.schedule: the hours are in UTC here, and in the time zone of regsync's process there"],
        ),
        ("schedule: '@every 10m'", "*/10 * * * *", []),
        ("schedule: '5 * * * *'", "5 * * * *", []),
    ],
)
def test_schedules(written: str, schedule: str, noted: list[str], run: Run) -> None:
    text = step("  tags: {allow: [a]}").replace("interval: 60m", written)
    done = run(text)
    (mirror,) = done.document["mirrors"].values()
    assert mirror["schedule"] == schedule
    assert [line for line in done.noted if "schedule" in line] == noted


@pytest.mark.parametrize(
    ("written", "line", "problem"),
    [
        ("interval: often", 2, "defaults.interval: 'often' is not a duration such as 60m; write schedule:"),
        (
            "schedule: '0 0 31 2 *'",
            2,
            "defaults.schedule: '0 0 31 2 *' is not a schedule here; write schedule: with five fields of cron",
        ),
        (
            "schedule: 'CRON_TZ=Asia/Tokyo 0 6 * * *'",
            2,
            "defaults.schedule: CRON_TZ=Asia/Tokyo has no counterpart: schedules are in UTC; shift the hours",
        ),
    ],
)
def test_a_schedule_that_differs_is_told(written: str, line: int, problem: str, run: Run) -> None:
    done = run(step("").replace("interval: 60m", written))
    assert done.lost == [f"{line}: {problem}"]


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("  platform: linux/amd64", {"platforms": ["linux/amd64"]}),
        ("  platforms: [linux/amd64, linux/arm64]", {"platforms": ["linux/amd64", "linux/arm64"]}),
        ("  backup: 'old-{{.Ref.Tag}}'", {"backup_tag": "old-{{ tag }}-{{ digest_short }}"}),
        ("  referrers: false", {"signatures": False}),
        ("  referrers: true", {}),
        ("  fastCheck: true\n  forceRecursive: true", {}),
    ],
)
def test_options(written: str, options: dict[str, Any], run: Run) -> None:
    done = run(step(f"  tags: {{allow: [a]}}\n{written}\n"))
    assert done.lost == []
    assert done.rules == [{"repository": "team/app", "tags": {"include": ["a"]}, **options}]


@pytest.mark.parametrize(
    ("written", "remark"),
    [
        (
            "  hooks: {pre: {type: exec, params: [notify]}}",
            (
                "sync[0].hooks: runs a command around each copy; use notify: for messages, or a DAG that "
                "the mirror's asset starts"
            ),
        ),
        (
            "  ratelimit: {min: 100}",
            (
                "sync[0].ratelimit: keeps that many pulls for others; runs here wait when a registry answers 429, and "
                "requests_per_second slows them"
            ),
        ),
        (
            "  mediaTypes: [application/vnd.oci.image.index.v1+json]",
            "sync[0].mediaTypes: copies some media types only; tags of all types are copied",
        ),
        (
            "  backup: 'other.example/old:{{.Ref.Tag}}'",
            (
                "sync[0].backup: 'other.example/old:{{.Ref.Tag}}' has no counterpart; backups are tags of the same "
                "repository: write backup_tag:"
            ),
        ),
        (
            "  referrerFilters: [{artifactType: x}]",
            (
                "sync[0].referrerFilters: copies some types of artifacts only; all are copied, or none "
                "with signatures: false"
            ),
        ),
        ("  surprise: 1", "sync[0].surprise: this key is unknown to the import; look up its meaning"),
    ],
)
def test_what_has_no_counterpart_is_told_at_its_line(written: str, remark: str, run: Run) -> None:
    done = run(step(f"  tags: {{allow: [a]}}\n{written}\n"))
    assert done.lost == [f"8: {remark}"]
    assert done.rules == [{"repository": "team/app", "tags": {"include": ["a"]}}]


@pytest.mark.parametrize(
    ("written", "remark"),
    [
        (
            "  tags: {deny: ['(?!x)']}",
            (
                "7: sync[0].tags.deny: '/(?!x)/' is not a valid regular expression: invalid perl operator: "
                "(?!; the syntax "
                "is RE2's: counts up to 1000, no back-references or look-around; the entry is left out"
            ),
        ),
        (
            "  tags: {deny: {a: b}}",
            "7: sync[0].tags.deny: expected a list of texts, got a mapping; the entry is left out",
        ),
        (
            "  platform: amd64",
            (
                "7: sync[0].platform: expected a platform such as linux/amd64 or linux/arm/v7, got "
                "'amd64'; the entry is left out"
            ),
        ),
        (
            "  tags: {semverRange: [new]}",
            (
                "7: sync[0].tags.semverRange: 'new' is not a version range: 'new' is not a version; write such as "
                "'>=1.2 <2', '^1.4', '~1.4.2', '1.x', '1.2 - 1.4' or two of them with || between; the entry is left out"
            ),
        ),
    ],
)
def test_an_entry_with_a_filter_that_cannot_be_said_is_left_out(written: str, remark: str, run: Run) -> None:
    """Mirrored without it, it would copy more than the file says."""
    done = run(step(written))
    assert (done.lost, done.document["mirrors"]) == ([remark], {})


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            "'{{ env \"HOST\" }}/app'",
            (
                "sync[0].source: is a template, which is not evaluated here; 'regsync config' prints the file without "
                "templates: import that; the entry is left out"
            ),
        ),
        (
            "ocidir:///var/images",
            "sync[0].source: is a folder; a mirror reads and writes registries only; the entry is left out",
        ),
        (
            "https://robot:hunter2@quay.example/app",
            "'https://…@quay.example/app' has no sha256 or sha512 digest behind its @; the entry is left out",
        ),
    ],
)
def test_a_source_that_is_no_repository(source: str, problem: str, run: Run) -> None:
    done = run(f"sync:\n- {{type: repository, source: {source}, target: copies.example/app}}\n")
    assert done.lost == [f"2: {problem}"]
    assert "hunter2" not in done.text + done.errors


def test_a_registry_becomes_its_namespace(run: Run) -> None:
    done = run(
        HEAD
        + "- type: registry\n  source: quay.example\n  target: copies.example/quay\n"
        + "  repos: {allow: ['team/.*-operator', team/web], deny: [team/old-operator, '.*-test']}\n"
    )
    assert done.lost == []
    assert done.rules == [
        {
            "namespace": "team",
            "include": ["/.*-operator/", "web"],
            "exclude": ["old-operator", "/.*-test/"],
            "prefix": "quay/",
        }
    ]


@pytest.mark.parametrize("repos", ["{}", "{allow: ['.*']}", "{allow: [a/x, b/y]}"])
def test_a_whole_registry_is_left_out(repos: str, run: Run) -> None:
    done = run(f"sync:\n- {{type: registry, source: quay.example, target: x.example, repos: {repos}}}\n")
    advice = "write an entry {namespace: NAME} for each namespace; the entry is left out"
    assert done.lost == [f"2: sync[0].type: a whole registry cannot be mirrored; {advice}"]


@pytest.mark.parametrize(
    ("denied", "exclude"),
    [
        ("team/(a|b)", "/(a|b)/"),
        (".*/old", "/(?:.*/)?old/"),
        (".*-(rc|dev)", "/.*-(rc|dev)/"),
        (".*-rc.*", "/.*-rc.*/"),
    ],
)
def test_patterns_of_whole_names_become_patterns_within_the_namespace(denied: str, exclude: str, run: Run) -> None:
    done = run(_registry_step(f"{{allow: ['team/.*'], deny: ['{denied}']}}"))
    assert done.lost == []
    assert done.rules == [{"namespace": "team", "exclude": [exclude]}]


@pytest.mark.parametrize(
    ("repos", "problem"),
    [
        (
            "{allow: ['team/.*|other/.*']}",
            "allow: '.*|other/.*' has alternatives outside brackets; write an entry for each",
        ),
        (
            "{allow: ['team/.*'], deny: ['team/secret|x']}",
            "deny: 'secret|x' has alternatives outside brackets; write an entry for each",
        ),
        ("{allow: ['team/.*'], ignore: [x]}", "ignore: this filter is unknown to the import; look up its meaning"),
        ("{allow: ['team/.*'], deny: ['other']}", "deny: 'other' is not a pattern within the namespace team"),
        ("{allow: ['team/.*'], deny: ['.*m.*']}", "deny: '.*m.*' is not a pattern within the namespace team"),
        ("{allow: ['team/.*'], deny: ['.*m.old']}", "deny: '.*m.old' is not a pattern within the namespace team"),
    ],
)
def test_patterns_that_reach_out_of_the_namespace_leave_the_step_out(repos: str, problem: str, run: Run) -> None:
    """``^team/.*|other/.*$`` has names of two namespaces, and ``.*m.*`` also matches the namespace itself."""
    done = run(_registry_step(repos))
    assert (done.lost, done.document["mirrors"]) == ([f"2: sync[0].repos.{problem}; the entry is left out"], {})


def _registry_step(repos: str) -> str:
    return f"sync:\n- {{type: registry, source: quay.example, target: copies.example, repos: {repos}}}\n"


def test_a_password_that_begins_with_a_dollar_is_no_variable(run: Run) -> None:
    done = run(f"creds:\n- {{registry: quay.example, user: $ROBOT, pass: $HUNTER2}}\n{_registry_step(TEAM_ONLY)}")
    assert '--conn-login "$ROBOT" --conn-password "$REGISTRY_QUAY_EXAMPLE_PASSWORD"\n' in done.errors
    assert "HUNTER2" not in done.text + done.errors


TEAM_ONLY = "{allow: ['team/.*']}"


@pytest.mark.parametrize(("rate", "written"), [("1000000", 1000000), ("1234567.5", 1234567.5), ("0.25", 0.25)])
def test_rates_are_written_as_numbers(rate: str, written: float, run: Run) -> None:
    done = run(f"creds:\n- {{registry: quay.example, reqPerSec: {rate}}}\n{_registry_step(TEAM_ONLY)}")
    assert done.document["registries"]["quay_example"]["requests_per_second"] == written


def test_numbers_that_regsync_takes_for_versions_are_told(run: Run) -> None:
    assert f"7: sync[0].tags.semverRange: {NUMBERS}" in run(step("  tags: {semverRange: ['>=1.2']}")).noted


def test_logins_become_connections_without_their_passwords(run: Run) -> None:
    done = run(
        "creds:\n"
        "- {registry: quay.example, user: team+robot, pass: hunter2}\n"
        "- {registry: docker.io, user: '{{env \"HUB_USER\"}}', pass: '{{file \"/run/hub\"}}'}\n"
        "- {registry: copies.example, token: hunter3, tls: insecure, reqPerSec: 10, reqConcurrent: 100}\n"
        "- {registry: 'here.example:5000', tls: disabled, clientKey: hunter4}\n"
        "sync:\n- {type: repository, source: quay.example/a, target: copies.example/a}\n"
    )
    assert done.document["registries"] == {
        "quay_example": {"host": "quay.example", "connection": "registry_quay_example"},
        "docker_io": {"host": "docker.io", "connection": "registry_docker_io"},
        "copies_example": {
            "host": "copies.example",
            "connection": "registry_copies_example",
            "requests_per_second": 10,
            "max_connections": 64,
        },
        "here_example_5000": {"host": "here.example:5000", "tls": False},
    }
    add = "airflow connections add"
    commands = [
        (
            f"{add} registry_quay_example --conn-type {known_type()} --conn-host quay.example --conn-login "
            f"team+robot --conn-password "
            '"$REGISTRY_QUAY_EXAMPLE_PASSWORD"'
        ),
        (
            f"{add} registry_docker_io --conn-type {known_type()} --conn-host docker.io --conn-login "
            '"$HUB_USER" --conn-password "$(cat /run/hub)"'
        ),
        (
            f"{add} registry_copies_example --conn-type {known_type()} --conn-host copies.example --conn-login "
            '"$REGISTRY_COPIES_EXAMPLE_USER" --conn-password "$REGISTRY_COPIES_EXAMPLE_PASSWORD"'
        ),
    ]
    assert [line.strip() for line in done.errors.splitlines() if add in line] == commands
    assert done.lost == [
        "4: creds[2].tls: connects without verification; write ca_file: with its authority",
        "5: creds[3].clientKey: is the key of a client certificate, which a mirrors file cannot name",
    ]
    assert "hunter" not in done.text + done.errors


def test_an_entry_that_validate_refuses_is_left_out_with_its_reason(run: Run) -> None:
    """Two sources for one repository, and a name that Docker Hub does not have."""
    done = run(
        HEAD
        + "- {type: repository, source: quay.example/a/b, target: copies.example/a/b}\n"
        + "- {type: repository, source: gcr.example/a/b, target: copies.example/a/b}\n"
        + "- {type: repository, source: quay.example/c/d, target: copies.example/c/d}\n"
        + "- {type: repository, source: quay.example/c/d, target: docker.io/c/d/e}\n"
    )
    assert [line[:60] for line in done.lost] == [
        "5: gcr.example/a/b is left out: quay.example/a/b (mirrors.qu",
        "7: quay.example/c/d is left out: Docker Hub names have two p",
    ]
    assert done.rules == ["a/b", "c/d"]
