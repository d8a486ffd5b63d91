"""Names of repositories at destinations. Invalid names in mirrors files are in ``tests/unit/routes/test_load.py``."""

from __future__ import annotations

import pytest

from registry_sync.config.renaming import VARIABLES, Names, Naming, check_name_part, check_rename, destination_name
from registry_sync.errors import ConfigurationError


def names(repository: str = "team/sub/app") -> Names:
    return Names(repository=repository, registry="quay", destination="hub", mirror="quay_to_hub")


@pytest.mark.parametrize(
    ("naming", "expected"),
    [
        (Naming(), "team/sub/app"),
        (Naming(rename="other/name"), "other/name"),
        (Naming(rename="copies/{{ name }}"), "copies/app"),
        (Naming(rename="{{ repository | replace('/', '-') }}"), "team-sub-app"),
        (Naming(rename="{{ namespace }}/{{ registry }}-{{ name }}"), "team/sub/quay-app"),
        (Naming(rename="{{ mirror }}/{% if destination == 'hub' %}h{% else %}other{% endif %}"), "quay_to_hub/h"),
        (Naming(prefix="mirror/"), "mirror/team/sub/app"),
        (Naming(prefix="mirror-"), "mirror-team/sub/app"),
        (Naming(strip_prefix="team/"), "sub/app"),
        (Naming(strip_prefix="team/", prefix="mirror/"), "mirror/sub/app"),
        (Naming(rename="other", strip_prefix="nothing/", prefix="mirror/"), "other"),
    ],
)
def test_destination_names_follow_prefix_and_rename(naming: Naming, expected: str) -> None:
    assert destination_name(naming, names()) == expected


def test_a_repository_of_one_part_has_no_namespace() -> None:
    assert destination_name(Naming(rename="copies{{ namespace }}/{{ name }}"), names("app")) == "copies/app"


def test_every_variable_has_a_value() -> None:
    template = "/".join(f"{{{{ {each} }}}}" for each in VARIABLES)
    assert destination_name(Naming(rename=template), names("a/b")) == "a/b/a/b/quay/hub/quay_to_hub"


@pytest.mark.parametrize("text", ["a/b", "copies/{{ name }}", "{{ name }}"])
def test_valid_renames_are_accepted(text: str) -> None:
    assert check_rename(text) == text


@pytest.mark.parametrize("text", ["", "mirror/", "a-", "a.b_c/0"])
def test_parts_of_names_are_accepted(text: str) -> None:
    assert check_name_part(text) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ name / 2 }}", "unsupported operand type(s) for /: 'str' and 'int'"),
        ("{{ 1 // 0 }}{{ name }}", "integer division or modulo by zero"),
        (
            "{{ name.lower.__globals__ }}",
            "'builtin_function_or_method object' has no attribute '__globals__'",
        ),
        ("{{ name.x }}", "'str object' has no attribute 'x'"),
    ],
)
def test_templates_that_fail_are_refused(template: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        destination_name(Naming(rename=template), names("a/b"))
    assert str(caught.value) == f"rename {template!r} fails for 'a/b': {problem}"


def test_a_deeply_nested_template_is_refused() -> None:
    template = f"{{{{ {400 * '('}name }}}}"
    with pytest.raises(ConfigurationError) as caught:
        check_rename(template)
    assert str(caught.value) == f"{template!r} is not a Jinja2 template: it is nested too deeply"


def test_a_template_must_make_a_repository_name() -> None:
    with pytest.raises(ConfigurationError) as caught:
        destination_name(Naming(rename="{{ name }}:latest"), names("a/b"))
    assert str(caught.value) == (
        "rename '{{ name }}:latest' gives no valid name for 'a/b': 'b:latest' is not a repository name: "
        "write it without registry, tag and digest (tags have a key of their own)"
    )
