"""The documentation of a mirror's DAG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from registry_sync.airflow.dags.mirror_docs import describe
from registry_sync.routes.load import load_mirrors

REGISTRIES = """\
registries:
  quay: {host: quay.io}
  acr: {host: acme.azurecr.io, fresh_within: 6h}
  backup: {host: backup.example}
"""

FILE = f"""{REGISTRIES}
mirrors:
  m:
    description: Images of our machines.
    schedule: "@hourly"
    source: quay
    destinations: [acr, backup]
    tags: {{include: ["v*"], exclude: ["*-dev", "*-rc"], semver: ">=1.20 <2", newest: 20, min_tags: 3}}
    on_moved_tag: {{latest: follow, "v*": fail}}
    prune: {{tags: gone_at_source, dry_run: false, keep: ["v1*"]}}
    fresh_within: 2h
    repositories:
      - team/plain
      - {{repository: team/app, tags: {{newest: 3}}}}
      - repository: team/web
        tags: [{{names: [latest]}}, {{include: ['/a|b`/'], older_than: 6h}}]
        platforms: [linux/amd64]
        prune: null
        signatures: false
      - namespace: other
        exclude: ["*-test"]
        tags: null
        on_moved_tag: keep
        backup_tag: "{{{{ tag }}}}-was-{{{{ digest_short }}}}"
        prune: {{tags: not_selected}}
        fresh_within: null
"""

TEXT = """\
### m

Images of our machines.

Copies images from `quay.io` (quay) on the schedule `@hourly` (UTC), to:

- `acme.azurecr.io` (acr), promise: no tag is missing for longer than 6h
- `backup.example` (backup)

What is copied, unless a repository says otherwise:

- **Tags**: matching `v*`, except `*-dev`, `*-rc`, of versions `>=1.20 <2`, the newest 20 by semver; \
at least 3, else the run fails
- **A tag that moved**: `latest` overwritten at the destination; `v*` kept at the destination, and the run fails; \
the first pattern that matches counts
- **Platforms**: all
- **Signatures and SBOMs**: copied with their image
- **Pruning**: tags that the source no longer has are deleted, at most 10 % at once, except `v1*`
- **Promise**: no tag is missing for longer than 2h

Repositories:

- `team/plain`
- `team/app`
    - **Tags**: the newest 3 by push time
- `team/web`
    - **Tags**: one of 2 rules: (1) by name `latest`; (2) matching `` /a|b`/ ``, pushed more than 6h ago
    - **Platforms**: `linux/amd64`
    - **Signatures and SBOMs**: not copied
    - **Pruning**: off, nothing is deleted
- all of `other` but `*-test`
    - **Tags**: all
    - **A tag that moved**: kept at the destination; the old image stays as `{{ tag }}-was-{{ digest_short }}`
    - **Pruning**: tags that the source no longer has, or the rules no longer select, are only reported (`dry_run`)
    - **Promise**: none

One task per repository and destination copies the tags that are missing or changed, keeps their digests, and verifies \
them. To retry a failed task, clear it; it copies only what is still missing.
"""


def described(folder: Path, text: str) -> str:
    path = folder / "mirrors.yaml"
    path.write_text(text)
    file = load_mirrors(path)
    return describe(file.mirrors["m"], file)


def test_a_mirror_and_where_its_repositories_differ(tmp_path: Path) -> None:
    assert described(tmp_path, FILE) == f"{TEXT}\nDefined in `{tmp_path.name}/mirrors.yaml`."


def test_settings_that_each_repository_writes_have_no_common_line(tmp_path: Path) -> None:
    rules = ["{repository: a/b, platforms: [linux/arm64]}", "{repository: a/c, platforms: null}"]
    mirror = f"{{source: quay, destinations: [acr], repositories: [{', '.join(rules)}]}}"
    text = described(tmp_path, f"{REGISTRIES}mirrors: {{m: {mirror}}}")
    assert [line for line in text.splitlines() if "Platforms" in line] == [
        "    - **Platforms**: `linux/arm64`",
        "    - **Platforms**: all",
    ]
    assert "Copies images from `quay.io` (quay) only when it is triggered, to:" in text


@pytest.mark.parametrize(
    "repositories",
    [
        "\n".join(f"      - giantswarm/repository-{number}" for number in range(5000)),
        "\n".join(f"      - {{repository: a/b{number}, tags: {{names: [v{number}]}}}}" for number in range(200)),
        f"      - {{namespace: a, include: [{', '.join(f'b{number}' for number in range(60))}]}}",
        f"      - {{repository: a/b, tags: {{names: [{', '.join(f'v{number}' for number in range(5000))}]}}}}",
    ],
    ids=["names", "mappings", "patterns", "tags"],
)
def test_the_text_is_bounded(tmp_path: Path, repositories: str) -> None:
    mirror = f"  m:\n    source: quay\n    destinations: [acr]\n    repositories:\n{repositories}"
    text = described(tmp_path, f"{REGISTRIES}mirrors:\n{mirror}")
    assert len(text) < 6000
    assert re.search(r"and (50|150|4950|4990) more", text)
