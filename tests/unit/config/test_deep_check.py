"""``deep_check:`` of a mirrors file."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.config.deep_check import DeepCheckRules, parse_share, parse_size
from registry_sync.errors import ConfigurationError, MirrorsFileError
from registry_sync.routes.load import load_mirrors

_FILE = """\
registries:
  quay: {{host: quay.io}}
  acr: {{host: example.azurecr.io}}
mirrors:
  m:
    source: quay
    destinations: [acr]
    repositories: [team/app]
    schedule: "@hourly"
    deep_check: {written}
"""


SCHEDULE_ADVICE = (
    "write five cron fields such as '0 * * * *', or one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly"
)


def load(folder: Path, written: str, *, schedule: bool = True) -> DeepCheckRules:
    text = _FILE.format(written=written)
    file = folder / "mirrors.yaml"
    file.write_text(text if schedule else text.replace('    schedule: "@hourly"\n', ""))
    return load_mirrors(file).mirrors["m"].deep_check


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("null", DeepCheckRules()),
        ('"@daily"', DeepCheckRules(schedule="@daily", share=0.1, read_bytes=10**9)),
        ("30 2 * * 6", DeepCheckRules(schedule="30 2 * * 6")),
        ('{schedule: "@weekly"}', DeepCheckRules(schedule="@weekly")),
        (
            '{schedule: "@daily", share: 25%, read: 2 GB}',
            DeepCheckRules(schedule="@daily", share=0.25, read_bytes=2 * 10**9),
        ),
        ('{schedule: "@daily", share: 100%, read: 0}', DeepCheckRules(schedule="@daily", share=1.0, read_bytes=0)),
    ],
)
def test_valid_values(tmp_path: Path, written: str, expected: DeepCheckRules) -> None:
    assert load(tmp_path, written) == expected


WANTED = "expected a schedule such as '@daily', or a mapping with schedule:"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('"hourly"', f"'hourly' is not a schedule; {SCHEDULE_ADVICE}"),
        ("{share: 5%}", "'schedule' is missing"),
        ("true", f"{WANTED}, got true"),
        ("7", f"{WANTED}, got 7"),
        ("[a]", f'{WANTED}, got ["a"]'),
    ],
)
def test_invalid_values(tmp_path: Path, written: str, problem: str) -> None:
    with pytest.raises(MirrorsFileError) as caught:
        load(tmp_path, written)
    assert caught.value.problems == (f"mirrors.yaml:10: mirrors.m.deep_check: {problem}",)


@pytest.mark.parametrize(
    ("key", "written", "problem"),
    [
        ("share", "10", "expected a percentage such as 10%, got 10"),
        ("share", "0%", "'0%' is not a share; write a percentage above 0% and at most 100%, such as 10%"),
        ("share", "101%", "'101%' is not a share; write a percentage above 0% and at most 100%, such as 10%"),
        ("read", "5", "expected a size such as 2 GB, got 5"),
        ("read", "false", "expected a size such as 2 GB, got False"),
        ("read", "2 GiB", "'2 GiB' is not a size; write a number and one of B, KB, MB, GB, TB, such as 2 GB, or 0"),
        ("shares", "10%", "unknown key 'shares'; did you mean 'share'?"),
    ],
)
def test_invalid_keys(tmp_path: Path, key: str, written: str, problem: str) -> None:
    with pytest.raises(MirrorsFileError) as caught:
        load(tmp_path, f'{{schedule: "@daily", {key}: {written}}}')
    assert caught.value.problems == (f"mirrors.yaml:10: mirrors.m.deep_check.{key}: {problem}",)


def test_it_needs_a_schedule_of_the_mirror(tmp_path: Path) -> None:
    """Otherwise it would never happen."""
    with pytest.raises(MirrorsFileError) as caught:
        load(tmp_path, '"@daily"', schedule=False)
    problem = "deep_check needs a schedule, because only scheduled runs do it; write one, or remove it"
    assert [each.partition(": ")[2] for each in caught.value.problems] == [f"mirrors.m: {problem}"]


@pytest.mark.parametrize("text", ["", "10", "%", "-1%", "1e1%", "1000%", "١٠%", "10%%"])
def test_texts_that_are_not_a_share(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a share"):
        parse_share(text)


@pytest.mark.parametrize("text", ["", "5", "GB", "-1 GB", "1,5 GB", "1 gb", "9999999 B", "00"])
def test_texts_that_are_not_a_size(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a size"):
        parse_size(text)
