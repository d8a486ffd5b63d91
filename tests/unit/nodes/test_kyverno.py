"""``nodes render --as kyverno``: the policy renames what ``nodes images`` renames, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import re2
import yaml

from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.rewrite_manifests import rewrite
from registry_sync.nodes.roll_out.forms import render_as
from registry_sync.nodes.roll_out.kyverno import MAX_RULES, RewriteRule, rewrite_rules
from registry_sync.routes.image_names import NameMap
from registry_sync.routes.load import load_mirrors
from tests.unit.nodes.test_image_names import MIRRORS

IMAGES = """\
quay.io/team/one-app:v1
quay.io:443/team/one-app:v1
quay.io/team/one-app@sha256:0000
quay.io/team/one-app:v1@sha256:0000
quay.io/team/agent-x
quay.io/team/agent-xy:v1
quay.io/team/tool:v1
quay.io/team/one-app-test:v1
quay.io/team/sub/two-app:v1
quay.iox/team/one-app:v1
alpine
alpine:3.20
library/alpine:3.20
docker.io/alpine
index.docker.io/library/alpine:3.20
docker.io/library/alpine:3.20
docker.io/library/busybox
team/alpine:1
tools/tool:v1
acr.example/library/alpine:3.20
acr.example/tools/tool:v1
localhost/library/alpine:3.20
cn.example/team/one-app:v2
ghcr.io/team/one-app:v1
""".splitlines()


def load(folder: Path, text: str = MIRRORS) -> NameMap:
    path = folder / "mirrors.yaml"
    path.write_text(text)
    file = load_mirrors(path)
    return NameMap(file, file.node_pools["china"])


def apply(rules: list[RewriteRule], image: str) -> str:
    """Rename an image as Kyverno does: by RE2, by the first rule that matches."""
    for rule in rules:
        if re2.search(rule.pattern, image) and not any(re2.search(pattern, image) for pattern in rule.excluded):
            return str(re2.sub(rule.pattern, rule.replacement, image))
    return image


@pytest.mark.parametrize("image", IMAGES)
def test_the_policy_renames_as_the_command_does(tmp_path: Path, image: str) -> None:
    names = load(tmp_path)
    assert apply(rewrite_rules(names), image) == rewrite(image, "image", names).text


@pytest.mark.parametrize("namespace", ["team", "team/sub"])
@pytest.mark.parametrize(("name", "renamed"), [("one:v1", True), ("one-test:v1", False)])
def test_excluded_names_stay(tmp_path: Path, namespace: str, name: str, renamed: bool) -> None:
    image = f"quay.io/{namespace}/{name}"
    new = f"{{namespace: {namespace}, exclude"
    text = MIRRORS.replace('{namespace: team, include: ["*-app", agent-?]', f'{new}: ["*-test"]')
    names = load(tmp_path, text)
    assert apply(rewrite_rules(names), image) == (image.replace("quay.io", "cn.example") if renamed else image)


def rendered(folder: Path, text: str = MIRRORS) -> tuple[str, list[Any]]:
    load(folder, text)
    file = load_mirrors(folder / "mirrors.yaml")
    policy = render_as("kyverno", file, file.node_pools["china"], None, Versions()).text
    return policy, list(yaml.safe_load_all(policy))


def test_pods_are_renamed_when_they_are_created_and_debugged(tmp_path: Path) -> None:
    _, (pods, ephemeral) = rendered(tmp_path)
    rules = [document["spec"]["matchConstraints"]["resourceRules"][0] for document in (pods, ephemeral)]
    assert [(rule["operations"], rule["resources"]) for rule in rules] == [
        (["CREATE"], ["pods"]),
        (["UPDATE"], ["pods/ephemeralcontainers"]),
    ]
    expressions = [
        document["spec"]["mutations"][0]["applyConfiguration"]["expression"] for document in (pods, ephemeral)
    ]
    fields = [re.findall(r"(\w+): has\(", expression) for expression in expressions]
    assert fields == [["containers", "initContainers"], ["ephemeralContainers"]]


def test_many_rules_are_several_mutations(tmp_path: Path) -> None:
    listed = "".join(f"      - team/app{number}\n" for number in range(MAX_RULES + 1))
    text = MIRRORS.replace(
        "    repositories:\n      - {namespace: team, include",
        f"    repositories:\n{listed}      - {{namespace: team, include",
    )
    assert len(rendered(tmp_path, text)[1][0]["spec"]["mutations"]) == 2


def test_expressions_are_named_as_not_covered(tmp_path: Path) -> None:
    policy, _ = rendered(tmp_path, MIRRORS.replace('"*-app", agent-?', '"/.*-app/"'))
    assert "# Not covered: /.*-app/ of quay.io/team, of mirror china\n" in policy


def test_a_pool_without_routes_is_refused(tmp_path: Path) -> None:
    text = MIRRORS.replace("nodes:\n", "nodes:\n  empty: {registry: none}\n").replace(
        "mirrors:\n", "  none: {host: none.example}\nmirrors:\n", 1
    )
    load(tmp_path, text)
    file = load_mirrors(tmp_path / "mirrors.yaml")
    with pytest.raises(ConfigurationError) as error:
        render_as("kyverno", file, file.node_pools["empty"], None, Versions())
    assert str(error.value) == "pool 'empty': no route copies anything to 'none'; no image is renamed"
