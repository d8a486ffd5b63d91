"""``python -m registry_sync plan`` and ``explain`` against real registries."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import PROJECT, main
from testkit import images
from testkit.interceptor import Interceptor
from testkit.quay_api import QuayApi
from testkit.registry import Htpasswd, RegistryProcess

OLD, NEW = images.multi_arch("old"), images.multi_arch("new")
READS = {"GET", "HEAD"}

Plan = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def source() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        for tag in ("missing", "moved", "same"):
            images.push(registry.url, "team/app", tag, NEW)
        images.push(registry.url, "team/app", "old-dev", OLD)
        images.push(registry.url, "team/other", "v1", OLD)
        yield registry


@pytest.fixture(scope="module")
def destination() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, "copies/app", "moved", OLD)
        images.push(registry.url, "copies/app", "same", NEW)
        yield registry


@pytest.fixture
def plan(
    source: RegistryProcess, destination: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Plan:
    """Run a command, by default ``plan``, on a mirrors file with these rules; return exit code, output and errors."""

    def plan(
        *repositories: Any, arguments: tuple[str, ...] = (), command: str = "plan", **options: Any
    ) -> tuple[int, str, str]:
        registries = {
            "origin": {"host": source.host, "tls": False},
            "backup": {"host": destination.host, "tls": False, "fresh_within": "6h"},
        }
        mirror = {"source": "origin", "destinations": ["backup"], "repositories": repositories, **options}
        file = tmp_path / "mirrors.yaml"
        defaults = {"parallel_copies": 2, "retries": 1}
        file.write_text(json.dumps({"registries": registries, "defaults": defaults, "mirrors": {"team": mirror}}))
        code = main([command, str(file), "--mirror", "team", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return plan


def app(**options: Any) -> dict[str, Any]:
    return {"repository": "team/app", "rename": "copies/app", "tags": {"exclude": ["*-dev"]}, **options}


def test_a_plan_is_printed_as_text(plan: Plan, source: RegistryProcess, destination: RegistryProcess) -> None:
    old, new = OLD.digest.short, NEW.digest.short
    source.clear_requests()
    destination.clear_requests()
    printed = plan(app())
    requests = len(source.requests()) + len(destination.requests())
    assert printed == (
        OK,
        (
            f"\n{source.host}/team/app → {destination.host}/copies/app\n"
            "listed 4 → exclude 3\n"
            "tag      decision   digest               reason\n"
            "───────  ─────────  ───────────────────  ──────────────────────────\n"
            f"missing  copy       {new}  missing at the destination\n"
            f"moved    move       {new}  [1]\n"
            "old-dev  skip       -                    excluded by '*-dev'\n"
            f"same     unchanged  {new}  same digest\n"
            "\n"
            f"[1] changed to {new}, the destination has {old}\n"
            "\n"
            "Total of 1 route\n"
            "tags      1 to copy, 1 to move, 1 to keep, 0 to delete\n"
            "          1 not mirrored, 0 would fail\n"
            "to send   nothing\n"
            f"planning  {requests} requests\n"
        ),
        "",
    )


def test_a_plan_is_printed_as_json(plan: Plan, source: RegistryProcess, destination: RegistryProcess) -> None:
    code, printed, errors = plan(app(on_moved_tag="fail"), arguments=("--json", "--tag", "mo*", "--tag", "same"))
    moved = f"changed to {NEW.digest.short}, the destination has {OLD.digest.short}"
    assert (code, errors) == (FAILED, "")
    document = json.loads(printed)
    assert document["routes"] == [
        {
            "mirror": "team",
            "source": f"{source.host}/team/app",
            "destination": f"{destination.host}/copies/app",
            "selection": [
                {"step": "listed", "tags": 4},
                {"step": "exclude", "tags": 3},
                {"step": "requested", "tags": 2},
            ],
            "tags": [
                {
                    "tag": "missing",
                    "decision": "skip",
                    "digest": None,
                    "reason": "matches none of 'mo*', 'same'",
                },
                {
                    "tag": "moved",
                    "decision": "fail",
                    "digest": str(NEW.digest),
                    "reason": f"{moved}; on_moved_tag is fail",
                },
                {"tag": "old-dev", "decision": "skip", "digest": None, "reason": "excluded by '*-dev'"},
                {"tag": "same", "decision": "unchanged", "digest": str(NEW.digest), "reason": "same digest"},
            ],
            "notes": [f"if a move is right, trigger one run with the parameter accept: team/app:moved@{NEW.digest}"],
        }
    ]
    assert document["totals"] == {
        "copy": 0,
        "move": 0,
        "keep": 1,
        "delete": 0,
        "skip": 2,
        "fail": 1,
        "images": 0,
        "sized": 0,
        "size_bytes": 0,
        "pulls": 0,
        "unsized_pulls": 0,
        "requests": 5,
        "requested_pulls": 0,
    }


def test_a_plan_shows_an_accepted_move(plan: Plan, source: RegistryProcess) -> None:
    for entry in (f"{source.host}/team/app:moved@{NEW.digest}", f"team/app:moved@{NEW.digest}"):
        code, printed, _ = plan(
            app(on_moved_tag="fail"), "team/other", arguments=("--json", "--accept", entry, "--repository", "team/*")
        )
        document = json.loads(printed)
        [moved] = [tag for tag in document["routes"][0]["tags"] if tag["tag"] == "moved"]
        assert (code, moved["decision"], moved["digest"]) == (OK, "move", str(NEW.digest))
        assert moved["reason"].endswith("; accepted, although on_moved_tag is fail")
        assert (document["totals"]["move"], document["totals"]["fail"]) == (1, 0)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("moved@{digest}", "'moved@{digest}' names no repository, and this run has 2; write REPOSITORY:moved@{digest}"),
        ("team/gone:moved@{digest}", "no repository of this run is 'team/gone'; it has team/app, team/other"),
        (
            "app:moved@sha256:12",
            (
                "'app:moved@sha256:12' is not a tag with its digest; write TAG@sha256: and 64 digits of 0-9 and a-f, "
                "or REPOSITORY:TAG@sha256:…"
            ),
        ),
    ],
)
def test_a_plan_refuses_to_accept_what_it_does_not_have(plan: Plan, entry: str, problem: str) -> None:
    arguments = ("--accept", entry.format(digest=NEW.digest))
    expected = f"accept: {problem.format(digest=NEW.digest)}\n"
    assert plan(app(), "team/other", arguments=arguments) == (UNUSABLE, "", expected)


def test_a_plan_refuses_two_accepted_digests_of_one_tag(plan: Plan, source: RegistryProcess) -> None:
    arguments = ("--accept", f"moved@{NEW.digest}", "--accept", f"team/app:moved@{OLD.digest}")
    problem = f"accept has two digests for the tag 'moved' of {source.host}/team/app; write one\n"
    assert plan(app(), arguments=arguments) == (UNUSABLE, "", problem)


def test_a_plan_says_why_a_repository_takes_no_pushes(
    source: RegistryProcess, destination: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only where something is to be copied. The reason is in the API of Quay, which is not asked otherwise."""
    with QuayApi(destination.url) as quay:
        quay.add("copies/app")
        quay.set_state("copies/app", "MIRROR")
        file = tmp_path / "mirrors.yaml"
        registries = {
            "origin": {"host": source.host, "tls": False},
            "quay": {"host": quay.host, "tls": False, "kind": "quay", "api_url": quay.url},
        }
        for tags, is_said in ((["missing"], True), (["same"], False)):
            mirror = {"source": "origin", "destinations": ["quay"], "repositories": [app(tags={"names": tags})]}
            document = {"registries": registries, "mirrors": {"team": mirror}}
            file.write_text(json.dumps(document))
            assert main(["plan", str(file), "--mirror", "team"]) == OK
            state = "in the state MIRROR (Settings, Repository State), in which Quay takes no pushes\n"
            assert (f"\n{quay.host}/copies/app is {state}" in capsys.readouterr().out) == is_said


def test_a_plan_prints_notes_about_the_selection(
    source: RegistryProcess, destination: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Interceptor(source.url) as wire:
        wire.answer("GET", "/tags/list", 403)
        file = tmp_path / "mirrors.yaml"
        registries = {
            "origin": {"host": wire.host, "tls": False},
            "backup": {"host": destination.host, "tls": False},
        }
        names = ["same", "moved", *(f"v{number}" for number in range(20))]
        mirror = {"source": "origin", "destinations": ["backup"], "repositories": [app(tags={"names": names})]}
        file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
        main(["plan", str(file), "--mirror", "team", "--json"])
        [planned] = json.loads(capsys.readouterr().out)["routes"]
        denied = "(not permitted with these credentials, or it does not exist)"
        refusal = f"GET {wire.url}/v2/team/app/tags/list answered 403 {denied}"
        assert planned["notes"] == [
            f"the source's tags cannot be listed, so each tag in names was read by itself ({refusal})"
        ]


def test_a_plan_says_why_nothing_is_pruned(plan: Plan, source: RegistryProcess, destination: RegistryProcess) -> None:
    """A plan prints all notes of a run."""
    stray = ["gone-1", "gone-2"]
    for tag in stray:
        images.push(destination.url, "copies/pruned", tag, OLD)
    images.push(source.url, "lab/pruned", "same", NEW)
    images.push(destination.url, "copies/pruned", "same", NEW)
    rule = {"repository": "lab/pruned", "rename": "copies/pruned", "prune": {"tags": "gone_at_source"}}
    note = (
        "nothing was pruned: 2 of 3 tags would be deleted (gone-1, gone-2), and max_percent 10 allows 1; to "
        "delete them, raise max_percent until that is done"
    )
    assert plan(rule) == (
        OK,
        (
            f"\n{source.host}/lab/pruned → {destination.host}/copies/pruned\n"
            "tag   decision   digest               reason\n"
            "────  ─────────  ───────────────────  ───────────\n"
            f"same  unchanged  {NEW.digest.short}  same digest\n"
            f"{note}\n"
            "\n"
            "Total of 1 route\n"
            "tags      0 to copy, 0 to move, 1 to keep, 0 to delete\n"
            "to send   nothing\n"
            "planning  4 requests\n"
        ),
        "",
    )
    _, printed, _ = plan(rule, arguments=("--json",))
    assert [route["notes"] for route in json.loads(printed)["routes"]] == [[note]]


def test_a_reason_of_60_characters_stands_in_its_row(plan: Plan) -> None:
    pattern = "/.*-(dev|snapshot|nightly|candidate|hot)/"
    _, printed, _ = plan(app(tags={"exclude": [pattern]}))
    reason = f"excluded by '{pattern}'"
    assert 50 < len(reason) <= 60
    assert f"old-dev  skip       -                    {reason}\n" in printed


def test_repository_globs_limit_the_plan(plan: Plan) -> None:
    code, printed, errors = plan(app(), "team/other", arguments=("--json", "--repository", "*/other"))
    assert (code, errors) == (OK, "")
    assert [
        (tag["tag"], tag["decision"]) for document in json.loads(printed)["routes"] for tag in document["tags"]
    ] == [("v1", "copy")]


def test_a_namespace_is_expanded(plan: Plan, source: RegistryProcess) -> None:
    code, printed, _ = plan({"namespace": "team"}, arguments=("--json",))
    assert code == OK
    assert [route["source"] for route in json.loads(printed)["routes"]] == [
        f"{source.host}/team/app",
        f"{source.host}/team/other",
    ]


@pytest.mark.parametrize("gone", [("team/gone",), ("team/gone", "team/none")], ids=len)
def test_without_any_route_there_is_no_total(plan: Plan, gone: tuple[str, ...]) -> None:
    code, printed, errors = plan(*gone)
    assert (code, errors) == (FAILED, "")
    assert printed.strip().split("\n\n")[len(gone) :] == [
        "No route could be read, so nothing is known about what a run would copy",
        f"{len(gone)} of {len(gone)} routes would fail",
    ]


def test_a_route_that_cannot_be_read_does_not_hide_the_others(
    plan: Plan, source: RegistryProcess, destination: RegistryProcess
) -> None:
    code, printed, errors = plan("team/gone", "team/other")
    assert (code, errors) == (FAILED, "")
    gone, other, total, conclusion = printed.strip().split("\n\n")
    assert conclusion == "1 of 2 routes would fail"
    assert total.startswith("Total of the 1 of 2 routes that could be read\ntags      1 to copy, ")
    heading, problem = gone.split("\n")
    assert heading == f"{source.host}/team/gone → {destination.host}/team/gone"
    assert problem.startswith(
        f"  FAILED: the source has no repository {source.host}/team/gone; "
        "check its name in the mirrors file, and that it has at least one tag ("
    )
    assert other.startswith(f"{source.host}/team/other → {destination.host}/team/other\n")


def test_a_plan_only_reads(plan: Plan, source: RegistryProcess, destination: RegistryProcess) -> None:
    source.clear_requests()
    destination.clear_requests()
    plan(app())
    requests = [*source.requests(), *destination.requests()]
    assert requests
    assert {request.method for request in requests} <= READS


def settings_of(explained: str) -> dict[str, tuple[str, str]]:
    """Value and origin of each setting in the output of ``explain``."""
    rows = explained.split("\n\n")[1].splitlines()[2:]
    parts = (re.split("  +", row) for row in rows)
    return {name: (value, origin) for name, value, origin in parts}


def test_explain_prints_settings_and_their_origins(
    plan: Plan, source: RegistryProcess, destination: RegistryProcess
) -> None:
    rule = app(
        tags={"names": ["old-dev", "gone"], "include": ["/m.*/"], "newest": 1, "newest_by": "name", "min_tags": 3},
        signatures=False,
        backup_tag=None,
    )
    code, printed, errors = plan(
        "team/other",
        rule,
        command="explain",
        arguments=("--repository", "team/app"),
        on_moved_tag="keep",
        schedule="@daily",
        fresh_within="2h",
        deep_check={"schedule": "@weekly", "share": "25%", "read": "5 GB"},
    )
    assert (code, errors) == (OK, "")
    heading, _, attrition, tags = printed.strip().split("\n\n")
    place = "mirrors.team.repositories[1]"
    assert heading == f"{source.host}/team/app → {destination.host}/copies/app  (by {place})"
    settings = settings_of(printed.strip())
    assert settings["rename"] == ("copies/app", place)
    assert settings["tags"] == (
        (
            '{"names": ["old-dev", "gone"], "include": ["/m.*/"], "newest": 1, "newest_by": "name", "min_tags": 3}',
            place,
        )
    )
    assert settings["parallel_copies"] == ("2", "defaults")
    assert settings["on_moved_tag"][1] == "mirrors.team"
    assert settings["prefix"] == ("-", "built-in default")
    assert settings["signatures"] == ("false", place)
    assert settings["backup_tag"] == ("-", place)
    assert settings["copy_timeout_minutes"] == ("60", "built-in default")
    assert settings["fresh_within"] == ("6h", "registries.backup")
    assert settings["retries"] == ("1", "defaults")
    assert settings["destinations"][1] == "mirrors.team"
    assert settings["full_check"] == ("@daily", "built-in default")
    assert settings["start_date"] == ("2026-01-01", "built-in default")
    assert settings["skopeo"] == ("local", "built-in default")
    assert settings["deep_check"] == ('{"schedule": "@weekly", "share": "25%", "read": "5 GB"}', "mirrors.team")
    origins = [origin for _, origin in settings.values()]
    assert origins == sorted(origins, key=lambda origin: origin == "built-in default")
    steps = "listed 4 → include 2 → newest 1 → with names 2"
    assert attrition.splitlines() == [
        steps,
        (
            f"a run fails and copies nothing: only 2 tags of {source.host}/team/app are selected, and min_tags is 3 "
            f"({steps})"
        ),
    ]
    assert [re.split("  +", line) for line in tags.splitlines()[2:]] == [
        ["gone", "FAILED", "names lists it, but the source has no such tag; correct the name, or remove it"],
        ["missing", "no", "not among the newest 1 by name"],
        ["moved", "yes", "passes all rules"],
        ["old-dev", "yes", "listed in names"],
        ["same", "no", "matches none of '/m.*/'"],
    ]


def test_explain_says_why_a_tag_is_selected(plan: Plan) -> None:
    namespace = {"namespace": "team", "include": ["a*"], "rename": "copies/{{ name }}"}
    ask = ("--repository", "team/app", "--destination", "backup", "--tag", "sam*")
    code, printed, _ = plan("team/other", namespace, command="explain", arguments=ask)
    assert code == OK
    assert max(map(len, printed.splitlines())) <= 120
    assert printed.strip().split("\n\n")[2:] == [
        "listed 4",
        (
            "tag   selected  why\n"
            "────  ────────  ───────────────────────────────\n"
            "same  yes       all tags are selected: no rules"
        ),
    ]
    assert settings_of(printed.strip())["rename"] == ("copies/{{ name }}", "mirrors.team.repositories[1]")
    code, printed, _ = plan("team/app", command="explain", arguments=("--repository", "team/app", "--tag", "none"))
    assert printed.strip().split("\n\n")[3] == "no such tag at the source"


def test_explain_refuses_a_repository_without_a_rule(plan: Plan) -> None:
    rules = ("team/other", {"namespace": "team", "exclude": ["app"]})
    assert plan(*rules, command="explain", arguments=("--repository", "team/app")) == (
        UNUSABLE,
        "",
        "mirror 'team' does not mirror 'team/app'; it mirrors `team/other`, all of `team` but `app`\n",
    )


def test_standard_output_is_only_the_json(
    source: RegistryProcess, destination: RegistryProcess, tmp_path: Path
) -> None:
    """Airflow logs to standard output when it is imported for its Connections."""
    file = tmp_path / "mirrors.yaml"
    file.write_text(f"""
registries:
  origin: {{host: "{source.host}", tls: false, connection: robot}}
  backup: {{host: "{destination.host}", tls: false}}
mirrors:
  team: {{source: origin, destinations: [backup], repositories: [team/other]}}
""")
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT / "plugins"),
        "PYTHONIOENCODING": "utf-8",
        "AIRFLOW_CONN_ROBOT": "docker://robot:the-robots-password@/",
    }
    command = [sys.executable, "-m", "registry_sync", "plan", str(file), "--mirror", "team", "--json"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (OK, "")
    assert json.loads(ended.stdout)["routes"][0]["source"] == f"{source.host}/team/other"


def test_all_routes_of_a_plan_share_one_login(
    source: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each new client sends a first request without credentials, which the registry answers with 401."""
    names = [f"shared/{number}" for number in range(3)]
    for name in names:
        images.push(source.url, name, "v1", NEW)
    with RegistryProcess(auth=Htpasswd(users={"robot": "secret"})) as locked:
        connection = {"conn_type": "docker", "host": locked.host, "login": "robot", "password": "secret"}
        monkeypatch.setenv("AIRFLOW_CONN_REGISTRY_BACKUP", json.dumps(connection))
        registries = {
            "origin": {"host": source.host, "tls": False},
            "backup": {"host": locked.host, "tls": False, "connection": "registry_backup"},
        }
        mirror = {"source": "origin", "destinations": ["backup"], "repositories": names}
        file = tmp_path / "mirrors.yaml"
        file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
        assert main(["plan", str(file), "--mirror", "team"]) == OK
        assert capsys.readouterr().out.count("missing at the destination") == len(names)
        assert [request.status for request in locked.requests()].count(401) == 1


def test_explain_names_the_rule_that_selects_a_tag(plan: Plan) -> None:
    rules = [{"include": ["m*"]}, {"names": ["same"]}, {"semver": "9.x"}]
    code, printed, errors = plan(app(tags=rules), command="explain", arguments=("--repository", "team/app"))
    assert (code, errors) == (OK, "")
    _, settings, steps, tags, below = printed.strip().split("\n\n")
    lines = settings.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("tags "))
    assert [re.split("  +", line.strip()) for line in lines[first : first + 3]] == [
        ["tags", '- {"include": ["m*"]}', "mirrors.team.repositories[0]"],
        ['- {"names": ["same"]}'],
        ['- {"semver": "9.x"}'],
    ]
    assert steps.splitlines()[0] == (
        "rule 1: listed 4 → include 2; rule 2: listed 4 → names 1; rule 3: listed 4 → semver 0; together 3"
    )
    assert steps.splitlines()[1].startswith("rule 3 of tags selects none of the 4 tags of ")
    rejected = (
        "rule 1: matches none of 'm*'; rule 2: not among names; rule 3: not a version, which semver '9.x' requires"
    )
    assert [re.split("  +", line) for line in tags.splitlines()[2:]] == [
        ["missing", "yes", "rule 1 selects it"],
        ["moved", "yes", "rule 1 selects it"],
        ["old-dev", "no", "[1]"],
        ["same", "yes", "rule 2: listed in names"],
    ]
    assert below == f"[1] {rejected}"


def test_explain_reads_names_where_the_source_refuses_to_list(
    source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Interceptor(source.url) as hidden:
        hidden.answer("GET", "/tags/list", 403)
        registries = {"origin": {"host": hidden.host, "tls": False}, "backup": {"host": "backup.example"}}
        entry = {"repository": "team/app", "tags": {"names": ["same", "gone"]}}
        mirror = {"source": "origin", "destinations": ["backup"], "repositories": [entry, "team/other"]}
        file = tmp_path / "mirrors.yaml"
        file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
        codes = [
            main(["explain", str(file), "--mirror", "team", "--repository", name])
            for name in ("team/app", "team/other")
        ]
    printed = capsys.readouterr()
    assert [re.split("  +", line) for line in printed.out.strip().split("\n\n")[3].splitlines()[2:]] == [
        ["gone", "FAILED", "names lists it, but the source has no such tag; correct the name, or remove it"],
        ["same", "yes", "listed in names"],
    ]
    assert codes[0] == OK != codes[1]
    assert f"{hidden.url}/v2/team/other/tags/list" in printed.err
