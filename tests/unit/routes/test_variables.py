"""``${NAME}`` from the environment under ``env:``, and the keys ``x-…`` that hold anchors."""

from __future__ import annotations

import pytest

from registry_sync.routes.load import json_schema, load_healthy_mirrors, load_mirrors
from tests.unit.routes.files import Write, problems

FILE = """\
env: [REGISTRY_HOST, TEAM]
registries:
  quay: {host: quay.io}
  acr: {host: "${REGISTRY_HOST}"}
mirrors:
  m:
    description: THIS
    source: quay
    destinations: [acr]
    repositories: ["${TEAM}/app"]
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HOST", "acr.example:8443")
    monkeypatch.setenv("TEAM", "giantswarm")
    monkeypatch.setenv("OTHER", "other")
    monkeypatch.delenv("MISSING", raising=False)


def with_description(written: str) -> str:
    return FILE.replace("THIS", written)


def test_listed_variables_are_replaced(write: Write) -> None:
    file = load_mirrors(write(FILE))
    assert file.registries["acr"].host == "acr.example:8443"
    assert file.mirrors["m"].rules[0].repository == "giantswarm/app"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("written", "description"),
    [
        ("'$TEAM $ {{ TEAM }} {TEAM}'", "$TEAM $ {{ TEAM }} {TEAM}"),
        ("'$${TEAM}'", "${TEAM}"),
        ("'$$${TEAM}'", "$${TEAM}"),
        ("'${TEAM}-${TEAM}'", "giantswarm-giantswarm"),
        ("'${TEAM'", "${TEAM"),
        ("${TEAM}", "giantswarm"),
    ],
)
def test_other_dollars_stay(write: Write, written: str, description: str) -> None:
    assert load_mirrors(write(with_description(written))).mirrors["m"].description == description


def test_values_are_not_expanded_again_and_add_no_keys(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "${OTHER}, schedule: '@hourly'")
    file = load_mirrors(write(with_description("'${TEAM}'").replace('"${TEAM}/app"', "a/b")))
    assert (file.mirrors["m"].description, file.mirrors["m"].schedule) == ("${OTHER}, schedule: '@hourly'", None)


@pytest.mark.parametrize(
    ("name", "place", "problem"),
    [
        (
            "REGISTRY_HOST",
            "4: registries.acr.host",
            "'' is not a registry host; write host or host:port, without https:// or a path",
        ),
        (
            "TEAM",
            "10: mirrors.m.repositories[0]",
            (
                "'/app' is not a repository name: only a-z, 0-9 and single '.', '_', '-' or '__' between them, in "
                "parts separated by '/'"
            ),
        ),
    ],
)
def test_empty_variable_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, place: str, problem: str
) -> None:
    monkeypatch.setenv(name, "")
    assert problems(write(FILE)) == [f"mirrors.yaml:{place}: {problem} (${{{name}}} is empty in the environment)"]


def test_empty_variable_may_be_right(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "")
    text = FILE.replace('"${TEAM}/app"', "a/b")
    assert load_mirrors(write(text.replace("THIS", '"of ${TEAM}"'))).mirrors["m"].description == "of "


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("'${OTHER}'", "${OTHER}: 'OTHER' is not in env: (line 1); add it there"),
        (
            "'${TEAM:-x}'",
            (
                "${TEAM:-x}: only ${NAME} is expanded, with letters, digits and _; "
                "write $${ for the characters ${ themselves"
            ),
        ),
        (
            "'${}'",
            "${}: only ${NAME} is expanded, with letters, digits and _; write $${ for the characters ${ themselves",
        ),
    ],
)
def test_other_variables_are_refused(write: Write, written: str, problem: str) -> None:
    assert problems(write(with_description(written))) == [f"mirrors.yaml:7: mirrors.m.description: {problem}"]


def test_variables_without_a_list_are_refused_in_their_entry_only(write: Write) -> None:
    text = FILE.removeprefix("env: [REGISTRY_HOST, TEAM]\n").replace('"${REGISTRY_HOST}"', "acr.example")
    path = write(f"{text}  n: {{source: quay, destinations: [acr], repositories: [a/b]}}\n")
    file, found = load_healthy_mirrors(path)
    assert list(file.mirrors) == ["n"]
    advice = "variables are not expanded; write env: [TEAM] at the top of the file, or the value itself"
    assert found == (f"mirrors.yaml:9: mirrors.m.repositories[0]: ${{TEAM}}: {advice}",)


def test_missing_variable_is_an_error(write: Write) -> None:
    path = write(with_description("'${MISSING}'").replace("TEAM]", "TEAM, MISSING]"))
    advice = "set it for the DAG processor, for every worker, and where you run commands"
    assert problems(path) == [
        f"mirrors.yaml:7: mirrors.m.description: ${{MISSING}}: the environment has no variable 'MISSING'; {advice}"
    ]


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        ("TEAM", "env: expected a list, such as [a, b], got 'TEAM'"),
        ("[my.team]", "env[0]: expected a name of letters, digits, '_' and '-', got 'my.team'"),
        ("[1]", 'env[0]: expected a string, got the number 1 (quote it: "1")'),
    ],
)
def test_list_of_variables_is_checked(write: Write, listed: str, problem: str) -> None:
    text = "env: THIS\nregistries: {}\nmirrors: {}\n".replace("THIS", listed)
    assert problems(write(text)) == [f"mirrors.yaml:1: {problem}"]


def test_keys_with_x_hold_anchors(write: Write) -> None:
    text = "x-tags: &stable {include: ['v*'], exclude:\n}\nx-any: [1, ${NO}]\n" + FILE.replace(
        "description: THIS", "tags: {<<: *stable, exclude: ['*-dev']}"
    )
    file = load_mirrors(write(text.replace("${NO}", "'${NO}'")))
    assert [str(pattern) for pattern in file.mirrors["m"].rules[0].settings.tags.rules[0].exclude or ()] == ["*-dev"]


def test_other_unknown_keys_are_refused(write: Write) -> None:
    allowed = "allowed are env, registries, defaults, mirrors, nodes, and x-... for anchors"
    assert problems(write("x_tags: {}\nregistries: {}\nmirrors: {}\n")) == [
        f"mirrors.yaml:1: x_tags: unknown key 'x_tags'; {allowed}"
    ]


def test_schema_allows_extensions() -> None:
    assert json_schema()["patternProperties"].keys() == {"^x-"}
