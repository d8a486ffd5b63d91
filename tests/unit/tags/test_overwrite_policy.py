"""Rules about changed tags: policies by pattern, and templates of backups with their laws."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.tags.backup_names import parse_backup_tag, reject_backup_tags
from registry_sync.tags.overwrite_policy import as_written, parse_policies, policy_of

OLD = Digest("sha256", "0123456789ab" + 52 * "0")
EVENING = datetime(2026, 11, 24, 18, 30, 5, tzinfo=UTC)
USUAL = "{{ tag }}-was-{{ digest_short }}"

TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,60}", fullmatch=True)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: Digest("sha256", text))
MOMENTS = st.datetimes(min_value=datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
TEMPLATES = st.sampled_from(
    [
        USUAL,
        "kept.{{ date }}.{{ time }}.{{ tag }}",
        "{{ tag | upper }}-was-{{ digest[7:27] }}",
        "old_{{ digest | replace(':', '.') }}_{{ tag[:20] }}",
        "{% if tag == 'latest' %}was-{% else %}older-{% endif %}{{ tag }}-before-{{ digest_short }}",
        "{{ tag }}-until-{{ date.split('-') | join }}-{{ digest_short }}",
    ]
)


RE2 = "the syntax is RE2's: counts up to 1000, no back-references or look-around"


def problem(parse: Callable[[Any], object], written: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(written)
    return str(caught.value)


class TestPolicies:
    @pytest.mark.parametrize(
        ("written", "pairs"),
        [
            ("keep", (("*", "keep"),)),
            ({"v*": "fail", "*": "keep"}, (("v*", "fail"), ("*", "keep"))),
        ],
    )
    def test_a_word_and_a_mapping_are_parsed_and_written_back(self, written: Any, pairs: Any) -> None:
        policies = parse_policies(written)
        assert tuple((pattern.text, policy) for pattern, policy in policies) == pairs
        assert as_written(policies) == written

    @pytest.mark.parametrize(
        ("written", "text"),
        [
            ("folow", "expected 'follow', 'keep' or 'fail', got 'folow'"),
            ({"v*": "fial"}, "expected 'follow', 'keep' or 'fail' for 'v*', got 'fial'"),
            ({"v*": None}, "expected 'follow', 'keep' or 'fail' for 'v*', got None"),
            ({1.5: "fail"}, "expected patterns of tags, got 1.5 (quote it)"),
            ({"/v(/": "fail"}, f"'/v(/' is not a valid regular expression: missing ): v(; {RE2}"),
            ({}, "expected 'follow', 'keep' or 'fail', or patterns of tags with one of these each, got {}"),
            (
                {"*": "keep", "latest": "follow"},
                "'latest' never counts, because '*' before it matches every tag; write '*' last",
            ),
            (True, "expected 'follow', 'keep' or 'fail', or patterns of tags with one of these each, got True"),
            (
                ("keep",),
                "expected 'follow', 'keep' or 'fail', or patterns of tags with one of these each, got ('keep',)",
            ),
        ],
    )
    def test_what_is_refused(self, written: Any, text: str) -> None:
        assert problem(parse_policies, written) == text

    @pytest.mark.parametrize(
        ("tag", "policy"),
        [
            ("latest", ("follow", "on_moved_tag is follow for 'latest'")),
            ("v1", ("fail", "on_moved_tag is fail for '/v[0-9]+/'")),
            ("v1-rc", ("keep", "on_moved_tag is keep for 'v*'")),
            ("main", ("follow", "on_moved_tag is follow")),
        ],
    )
    def test_the_first_that_matches_counts_and_the_others_follow(self, tag: str, policy: Any) -> None:
        policies = parse_policies({"latest": "follow", "/v[0-9]+/": "fail", "v*": "keep"})
        assert policy_of(tag, policies) == policy


OVERWRITTEN = "of that tag: a second backup would overwrite the first; write {{ digest_short }} into it"
MISTAKEN = "such tags would be mistaken for backups; add a distinctive word, such as -was-"


class TestBackupTag:
    @pytest.mark.parametrize(
        ("template", "name"),
        [
            (USUAL, "v1.2-was-0123456789ab"),
            ("kept-{{ tag }}-{{ date }}-{{ time }}", "kept-v1.2-2026-11-24-183005"),
            ("{{ tag }}-was-{{ digest.split(':')[1][:20] }}", f"v1.2-was-0123456789ab{8 * '0'}"),
        ],
    )
    def test_the_template_names_the_backup(self, template: str, name: str) -> None:
        assert parse_backup_tag(template).text == template
        assert parse_backup_tag(template).name("v1.2", OLD, EVENING) == name

    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("{{ tag }", "'{{ tag }' is not a Jinja2 template: unexpected '}'"),
            (
                "{{ tga }}-was",
                "'{{ tga }}-was': unknown variable 'tga'; there are tag, digest, digest_short, date, time",
            ),
            ("{{ tag }}", "'{{ tag }}' gives the tag itself; add a suffix such as -was-{{ digest_short }}"),
            ("{{ tag }} {{ digest_short }}", "gives 'latest 111111111111' for 'latest', which is not a valid tag"),
            (
                "{{ tag }}-was-{{ digest }}",
                f"gives 'latest-was-sha256:{64 * '1'}' for 'latest', which is not a valid tag",
            ),
            (
                "{{ tag }}-old",
                f"gives 'latest-old' for every image {OVERWRITTEN}",
            ),
            (
                "{{ tag }}-was-{{ date }}",
                f"gives 'latest-was-2026-01-31' for every image {OVERWRITTEN}",
            ),
            ("was-{{ date }}-{{ time }}", "gives 'was-2026-01-31-120000' for every tag; write {{ tag }} into it"),
            (
                "{{ tag }}-{{ digest_short }}",
                f"has the form of ordinary tags such as 'v1.2.3-0123456789ab': {MISTAKEN}",
            ),
            ("{{ tag.x.y }}-was", "fails for 'latest': 'str object' has no attribute 'x'"),
            ("{{ tag.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe."),
            ("{{ 1 / 0 }}", "fails for 'latest': division by zero"),
            (f"{{{{ {400 * '('}tag }}}}", "is not a Jinja2 template: it is nested too deeply"),
        ],
    )
    def test_what_is_refused_at_load(self, template: str, text: str) -> None:
        message = problem(parse_backup_tag, template)
        assert message.startswith(repr(template))
        assert message.endswith(text)

    @given(TEMPLATES, TAGS, DIGESTS, MOMENTS)
    def test_every_backup_is_a_tag_of_its_own_and_known_by_its_form(
        self, template: str, tag: str, digest: Digest, moment: datetime
    ) -> None:
        name = parse_backup_tag(template).name(tag, digest, moment)
        assert is_tag(name)
        assert name != tag
        assert parse_backup_tag(template).is_backup(name)

    def test_they_can_be_copied(self) -> None:
        """Airflow copies operators with all their arguments."""
        assert deepcopy(parse_backup_tag(USUAL)) == parse_backup_tag(USUAL)

    @given(TEMPLATES)
    def test_sound_templates_are_accepted(self, template: str) -> None:
        assert parse_backup_tag(template).text == template

    def test_backups_are_set_aside(self) -> None:
        tags = ["latest", "latest-was-0123456789ab", "v1-was-good"]
        reason = "a backup, by its name (backup_tag '{{ tag }}-was-{{ digest_short }}')"
        assert reject_backup_tags(tags, parse_backup_tag(USUAL)) == {"latest-was-0123456789ab": reason}
        assert reject_backup_tags(tags, None) == {}
