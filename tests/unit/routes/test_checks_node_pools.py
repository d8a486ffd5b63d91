"""The ``nodes:`` section of a mirrors file: its values, and the whole message of every mistake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from registry_sync.config.node_pools import BootstrapImage, NodePool, PoolMirror
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.routes.checks.node_pools import mirror_problem
from registry_sync.routes.load import json_schema, load_healthy_mirrors, load_mirrors, parse_mirrors
from testkit.settings import tag_rules
from tests.unit.routes.files import Write, flow, label, problems

FILE = """\
registries:
  quay: {host: quay.io}
  hub: {host: docker.io}
  acr: {host: acr.example, private: true}
  acr2: {host: acr2.example, private: true}
  open: {host: open.example}
  aliyun: {host: registry-intl.cn-shanghai.aliyuncs.com, private: true}
  ghcr: {host: ghcr.io, private: true}
  ecr: {host: 123456789012.dkr.ecr.eu-west-1.amazonaws.com, private: true}
  twin: {host: acr.example, private: true}
  own: {host: own.example, private: true}
mirrors:
  world:
    source: quay
    destinations: [acr, hub]
    repositories:
      - {repository: infra/base, tags: {exclude: ["*-dev"]}}
      - {repository: infra/old, rename: infra/new}
      - {namespace: team, include: ["*-app"], exclude: [bad-*]}
  china: {source: hub, destinations: [aliyun], repositories: [infra/base]}
  pushed: {source: own, destinations: [hub], repositories: [infra/pushed]}
nodes:
"""
FIRST_LINE = FILE.count("\n") + 1


def with_pool(**entry: Any) -> str:
    """A valid file with one pool, in its last line."""
    pool = {"registry": "hub", **entry}
    return f"{FILE}  p: {flow(pool)}\n"


def test_pool_is_read_in_its_short_form(write: Write) -> None:
    file = load_mirrors(
        write(f"{FILE}  outside_china: {{registry: hub, mirrors: [acr]}}\n  china: {{registry: aliyun}}\n")
    )
    outside, china = file.node_pools.values()
    assert (outside.name, outside.registry, outside.pool_mirrors) == (
        "outside_china",
        "hub",
        (PoolMirror(registry="acr", trust="pull+resolve"),),
    )
    assert (china.name, china.registry, china.pool_mirrors, china.images) == ("china", "aliyun", (), ())
    assert china.versions == Versions()


def test_pool_is_read_in_its_long_form(write: Write) -> None:
    pool = load_mirrors(
        write(
            with_pool(
                description="Workers",
                mirrors=["acr", {"registry": "acr2", "trust": "pull"}],
                runtime="containerd",
                version=">=1.7, <2",
            )
        )
    ).node_pools["p"]
    assert pool.pool_mirrors == (PoolMirror(registry="acr"), PoolMirror(registry="acr2", trust="pull"))
    assert (pool.description, pool.runtime) == ("Workers", "containerd")
    assert pool.versions == Versions(floor=(1, 7), ceiling=(2,))


def test_bootstrap_images_are_names_or_mappings(write: Write) -> None:
    images = ["infra/base", {"repository": "team/one-app", "tags": {"include": ["v1"]}}]
    pool = load_mirrors(write(with_pool(mirrors=["acr"], bootstrap_images=images))).node_pools["p"]
    assert pool.images == (
        BootstrapImage(repository="infra/base"),
        BootstrapImage(repository="team/one-app", tags=tag_rules(include=("v1",))),
    )


def test_nodes_are_optional(write: Write) -> None:
    assert load_mirrors(write(FILE.replace("nodes:\n", ""))).node_pools == {}


KEYS = "description, registry, mirrors, bootstrap_images, runtime, version, image_store, notify"
NO_RANGE = "is not a version range; write one such as '>=1.7' or '>=1.7, <2'"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"registry": "hbu"}, ".registry: no registry named 'hbu'; did you mean 'hub'?"),
        ({"registry": None}, ".registry: expected a string, got null"),
        ({"mirrors": ["acr", "arc"]}, ".mirrors[1]: no registry named 'arc'; did you mean 'acr'?"),
        ({"mirrors": "acr"}, ".mirrors: expected a list, such as [a, b], got 'acr'"),
        ({"mirrors": [5]}, ".mirrors[0]: expected a registry's name, or a mapping with registry:, got the number 5"),
        ({"mirrors": [{"trust": "pull"}]}, ".mirrors[0]: 'registry' is missing"),
        (
            {"mirrors": [{"registry": "acr", "trust": "resolve"}]},
            ".mirrors[0].trust: expected 'pull+resolve' or 'pull', got 'resolve'; did you mean 'pull+resolve'?",
        ),
        (
            {"mirrors": [{"registry": "acr", "trsut": "pull"}]},
            ".mirrors[0].trsut: unknown key 'trsut'; did you mean 'trust'?",
        ),
        (
            {"bootstrap_images": [1.1]},
            (
                ".bootstrap_images[0]: expected a repository name, or a mapping with repository: or image:, got the "
                "number 1.1"
            ),
        ),
        (
            {"bootstrap_images": ["Infra/base"]},
            (
                ".bootstrap_images[0]: 'Infra/base' is not a repository name: "
                "upper-case letters are not allowed; write 'infra/base'"
            ),
        ),
        (
            {"bootstrap_images": [{"repository": "infra/base", "tags": {"includ": ["x"]}}]},
            ".bootstrap_images[0].tags.includ: unknown key 'includ'; did you mean 'include'?",
        ),
        (
            {"bootstrap_images": [{"repository": "infra/base", "tag": "v1"}]},
            ".bootstrap_images[0].tag: unknown key 'tag'; did you mean 'tags'?",
        ),
        ({"runtime": "podman"}, ".runtime: expected 'docker', 'containerd', 'crio', 'k3s' or 'talos', got 'podman'"),
        ({"runtime": "crio", "version": 1.7}, '.version: expected a string, got the number 1.7 (quote it: "1.7")'),
        ({"runtime": "crio", "version": "~1.7"}, f".version: '~1.7' {NO_RANGE}"),
        ({"runtime": "crio", "version": ""}, f".version: '' {NO_RANGE}"),
        (
            {"runtime": "crio", "version": ">=2, <1.7"},
            ".version: no version matches '>=2, <1.7'; fix one of its bounds",
        ),
        (
            {"runtime": "crio", "version": "<0"},
            ".version: no version matches '<0'; fix one of its bounds",
        ),
        ({"version": "1.7"}, ".version: version has no effect without runtime; add runtime:, or remove it"),
        (
            {"runtime": "crio", "image_store": "classic"},
            ".image_store: image_store has no effect without runtime: docker; add it, or remove this key",
        ),
        (
            {"image_store": "containerd"},
            ".image_store: image_store has no effect without runtime: docker; add it, or remove this key",
        ),
        (
            {"runtime": "docker", "image_store": "overlay2"},
            ".image_store: expected 'classic' or 'containerd', got 'overlay2'",
        ),
        ({"mirors": ["acr"]}, ".mirors: unknown key 'mirors'; did you mean 'mirrors'?"),
        ({"xyz": 1}, f".xyz: unknown key 'xyz'; allowed are {KEYS}"),
    ],
    ids=label,
)
def test_invalid_pool_is_refused(write: Write, entry: Any, problem: str) -> None:
    assert problems(write(with_pool(**entry))) == [f"mirrors.yaml:{FIRST_LINE}: nodes.p{problem}"]


SQUATTING = (
    "machines request every image of docker.io from a mirror, not only yours, so whoever pushes datadog/agent there "
    "first decides what your machines run under that name"
)


@pytest.mark.parametrize(
    ("mirrors", "problem"),
    [
        (["quay"], f"quay.io is a public registry: {SQUATTING}; use a registry that only you can push to"),
        (["ghcr"], f"ghcr.io is a public registry: {SQUATTING}; use a registry that only you can push to"),
        (
            ["aliyun"],
            (
                "registry-intl.cn-shanghai.aliyuncs.com is a public registry: "
                f"{SQUATTING}; use a registry that only you can push to"
            ),
        ),
        (
            [{"registry": "open", "trust": "pull"}],
            (
                f"'open' (open.example) is not marked private: {SQUATTING}; "
                "if only you can push to it, set private: true in registries.open"
            ),
        ),
        (
            ["ecr"],
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com requires a token, which runtimes do not send to a "
                "mirror, and every pull would skip it; use a registry that allows anonymous reads"
            ),
        ),
        (
            ["hub"],
            "docker.io is the registry of the pool, which machines use after the mirrors anyway; remove it",
        ),
    ],
    ids=["quay", "ghcr", "aliyun", "not private", "ecr", "itself"],
)
def test_unsuitable_mirror_is_refused(write: Write, mirrors: list[Any], problem: str) -> None:
    assert problems(write(with_pool(mirrors=mirrors))) == [f"mirrors.yaml:{FIRST_LINE}: nodes.p.mirrors[0]: {problem}"]


@pytest.mark.parametrize("second", ["acr", "twin"])
def test_one_registry_as_two_mirrors_is_refused(write: Write, second: str) -> None:
    assert problems(write(with_pool(mirrors=["acr", second]))) == [
        (
            f"mirrors.yaml:{FIRST_LINE}: nodes.p.mirrors[1]: 'acr' and {second!r} are the same registry, acr.example; "
            "keep one"
        )
    ]


@pytest.mark.parametrize(
    "host",
    [
        "docker.io",
        "quay.io",
        "quay.io:443",
        "quay.io:80",
        "ghcr.io:8443",
        "registry-1.docker.io:443",
        "index.docker.io:80",
        "ghcr.io",
        "public.ecr.aws",
        "gcr.io",
        "eu.gcr.io",
        "mirror.gcr.io",
        "europe-docker.pkg.dev",
        "registry.k8s.io",
        "mcr.microsoft.com",
        "registry.gitlab.com",
        "registry.cn-hangzhou.aliyuncs.com",
        "registry-vpc.cn-hangzhou.aliyuncs.com",
    ],
)
def test_public_registry_must_not_be_a_mirror(write: Write, host: str) -> None:
    file = load_mirrors(write(FILE.replace("nodes:\n", "")))
    mirror = replace(file.registries["acr"], host=host)
    registry = replace(file.registries["hub"], host="other.example")
    assert mirror_problem(mirror, registry).startswith(f"{host} is a public registry: ")


@pytest.mark.parametrize(
    "host",
    [
        "gsoci.azurecr.io",
        "team-registry.cn-shanghai.cr.aliyuncs.com",
        "crpi-1a2b.cn-hangzhou.personal.cr.aliyuncs.com",
        "harbor.example:8443",
        "quay.example.io",
        "notquay.io",
        "registry.gitlab.example.com",
    ],
)
def test_private_registry_may_be_a_mirror(write: Write, host: str) -> None:
    file = load_mirrors(write(FILE.replace("nodes:\n", "")))
    assert mirror_problem(replace(file.registries["acr"], host=host), file.registries["hub"]) == ""


@pytest.mark.parametrize(
    "host",
    [
        "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
        "123456789012.dkr-ecr.us-east-1.on.aws",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com:443",
    ],
)
def test_registry_without_anonymous_reads_must_not_be_a_mirror(write: Write, host: str) -> None:
    file = load_mirrors(write(FILE.replace("nodes:\n", "")))
    mirror = replace(file.registries["acr"], host=host)
    assert mirror_problem(mirror, file.registries["hub"]).startswith(f"{host} requires a token")


@pytest.mark.parametrize("runtime", ["docker", "k3s", "talos"])
def test_trust_pull_is_refused_for_runtimes_without_it(write: Write, runtime: str) -> None:
    assert problems(write(with_pool(mirrors=[{"registry": "acr", "trust": "pull"}], runtime=runtime))) == [
        (
            f"mirrors.yaml:{FIRST_LINE}: nodes.p.runtime: {runtime} cannot pull from a mirror without also resolving "
            "tags there, and 'acr' has trust: pull; use containerd or crio, or set trust: pull+resolve"
        )
    ]


def test_dockerd_supports_mirrors_only_for_docker_hub(write: Write) -> None:
    assert problems(write(with_pool(registry="quay", mirrors=["acr"], runtime="docker"))) == [
        (
            f"mirrors.yaml:{FIRST_LINE}: nodes.p.runtime: dockerd supports mirrors only for docker.io, and the "
            "registry of this pool is quay.io; remove mirrors:, or use containerd or crio"
        )
    ]


@pytest.mark.parametrize(
    ("entry", "image", "problem"),
    [
        (
            {"mirrors": ["acr"]},
            "infra/other",
            "no route copies it to 'acr', where machines look for acr.example/infra/other; add infra/other to 'world'",
        ),
        (
            {"mirrors": ["acr", "acr2"]},
            "infra/base",
            (
                "no route copies it to 'acr2', where machines look for acr2.example/infra/base; "
                "no mirror has the destination 'acr2'; add one that copies infra/base"
            ),
        ),
        (
            {"mirrors": ["acr"]},
            "infra/old",
            (
                "no route copies it to 'acr', where machines look for acr.example/infra/old; "
                "'world' copies it there as infra/new, but machines look for the original name; remove rename:"
            ),
        ),
        (
            {"mirrors": ["acr"]},
            "team/bad-app",
            (
                "no route copies it to 'acr', where machines look for acr.example/team/bad-app; "
                "add team/bad-app to 'world'"
            ),
        ),
        (
            {"mirrors": ["acr"]},
            "alpine",
            "no route copies it to 'acr', where machines look for acr.example/library/alpine; add alpine to 'world'",
        ),
        (
            {"registry": "aliyun"},
            "team/one-app",
            (
                "no route copies it to 'aliyun', where machines look for "
                "registry-intl.cn-shanghai.aliyuncs.com/team/one-app; add team/one-app to 'china'"
            ),
        ),
        (
            {"mirrors": ["acr"]},
            "docker.io/infra/base",
            "'docker.io/infra/base' includes the registry, which registry: already names; write 'infra/base'",
        ),
        (
            {"mirrors": ["acr"]},
            {"repository": "infra/base", "tags": {"include": ["v1", "v2-dev", "v3*"]}},
            "tag 'v2-dev' is not copied to acr.example/infra/base: 'world' skips it (excluded by '*-dev')",
        ),
    ],
    ids=["no rule", "no mirror", "renamed", "excluded", "short name", "without mirrors", "with registry", "tag"],
)
def test_bootstrap_image_without_a_route_is_refused(
    write: Write, entry: dict[str, Any], image: Any, problem: str
) -> None:
    path = write(with_pool(**entry, bootstrap_images=[image]))
    assert problems(path) == [f"mirrors.yaml:{FIRST_LINE}: nodes.p.bootstrap_images[0]: {problem}"]


@pytest.mark.parametrize(
    ("entry", "image"),
    [
        ({"mirrors": ["acr"]}, "infra/base"),
        ({"mirrors": ["acr"]}, "infra/new"),
        ({"mirrors": ["acr"]}, "team/one-app"),
        ({"registry": "aliyun"}, "infra/base"),
        ({"registry": "hub"}, "infra/base"),
        ({"registry": "quay"}, "infra/old"),
        ({"mirrors": ["own"]}, "infra/pushed"),
    ],
    ids=[
        "by name",
        "by its new name",
        "by namespace",
        "without mirrors",
        "copied to the hub",
        "at its source",
        "pushed to the mirror",
    ],
)
def test_bootstrap_image_with_a_route_is_accepted(write: Write, entry: dict[str, Any], image: str) -> None:
    assert load_mirrors(write(with_pool(**entry, bootstrap_images=[image]))).node_pools["p"].images


TWO_RULES = """\
registries: {quay: {host: quay.io}, hub: {host: docker.io}}
mirrors:
  world:
    source: quay
    destinations: [hub]
    repositories:
      - {namespace: team, include: ["*-app"], tags: {exclude: [v1]}}
      - {namespace: team, include: ["one-*"], tags: {exclude: [v2]}}
nodes:
  p: {registry: hub, bootstrap_images: [{repository: team/one-app, tags: {include: [v1, v2]}}]}
"""


def test_first_of_two_namespace_rules_decides_about_an_image(write: Write) -> None:
    """As in a run: the tag rules of the second one do not matter."""
    assert problems(write(TWO_RULES)) == [
        (
            "mirrors.yaml:10: nodes.p.bootstrap_images[0]: tag 'v1' is not copied to docker.io/team/one-app: "
            "'world' skips it (excluded by 'v1')"
        )
    ]
    text = TWO_RULES.replace("exclude: [v1]", "exclude: [v3]")
    assert load_mirrors(write(text)).node_pools["p"].images


def test_mirror_named_readiness_is_refused(write: Write) -> None:
    text = FILE.replace("  pushed:", "  readiness:").replace("nodes:\n", "")
    problem = (
        "mirrors.yaml:21: mirrors.readiness: this name is reserved: the DAG mirror_readiness checks whether nodes can "
        "start; choose another name"
    )
    assert problems(write(text)) == [problem]
    file, found = load_healthy_mirrors(write(text))
    assert (list(file.mirrors), found) == (["world", "china"], (problem,))


def test_missing_route_is_not_reported_while_a_mirror_is_broken(write: Write) -> None:
    """The broken mirror may be the one that copies it."""
    text = with_pool(mirrors=["acr"], bootstrap_images=["infra/other"]).replace("source: quay", "source: qay")
    assert problems(write(text)) == [
        "mirrors.yaml:14: mirrors.world.source: no registry named 'qay'; did you mean 'quay'?"
    ]


def test_broken_pool_leaves_the_others_and_all_mirrors(write: Write) -> None:
    text = f"{FILE}  bad: {{registry: nowhere}}\n  worse: {{}}\n  good: {{registry: hub, mirrors: [acr]}}\n"
    file, found = load_healthy_mirrors(write(text))
    assert (list(file.node_pools), list(file.mirrors)) == (["good"], ["world", "china", "pushed"])
    assert found == (
        (
            f"mirrors.yaml:{FIRST_LINE}: nodes.bad.registry: no registry named 'nowhere'; "
            "the file has quay, hub, acr, acr2, open, aliyun, ghcr, ecr, twin, own"
        ),
        f"mirrors.yaml:{FIRST_LINE + 1}: nodes.worse: 'registry' is missing",
    )


@pytest.mark.parametrize(
    ("written", "got"), [("[]", "a list"), ("", "nothing"), ("x", "'x'")], ids=["list", "empty", "text"]
)
def test_invalid_nodes_section_leaves_the_mirrors(write: Write, written: str, got: str) -> None:
    file, found = load_healthy_mirrors(write(FILE.replace("nodes:", f"nodes: {written}")))
    assert (dict(file.node_pools), list(file.mirrors)) == ({}, ["world", "china", "pushed"])
    assert found == (f"mirrors.yaml:{FIRST_LINE - 1}: nodes: expected a mapping (name: ...), got {got}",)


def test_only_skips_node_pools(write: Write) -> None:
    """Every task loads the file for its own mirror, and needs no node pool."""
    path = write(with_pool(registry="nowhere"))
    file, found = parse_mirrors(path.read_text(), path, only="world")
    assert (list(file.mirrors), dict(file.node_pools), found) == (["world"], {}, ())


def test_schema_accepts_both_forms_of_entries() -> None:
    def faults(**pool: Any) -> list[str]:
        document = {"registries": {}, "mirrors": {}, "nodes": {"p": {"registry": "hub", **pool}}}
        return sorted(problem.json_path for problem in Draft202012Validator(json_schema()).iter_errors(document))

    assert faults(mirrors=["acr"]) == []
    assert faults(mirrors=[{"registry": "acr", "trust": "pull"}], runtime="k3s", version=">=1.30") == []
    assert faults(bootstrap_images=["a/b", {"repository": "a/c", "tags": {"include": ["v*"]}}]) == []
    assert faults(mirrors=[{"registry": "acr", "trust": "resolve"}]) == ["$.nodes.p.mirrors[0]"]
    assert faults(runtime="podman") == ["$.nodes.p.runtime"]
    assert faults(bootstrap_image=[]) == ["$.nodes.p"]


@pytest.mark.parametrize(
    ("text", "floor", "ceiling"),
    [
        ("1.7", (1, 7), (1, 8)),
        ("==2.0", (2,), (2, 1)),
        ("1.7.24~ds1", (1, 7, 24), (1, 7, 25)),
        ("v1.29.3+k3s1", (1, 29, 3), (1, 29, 4)),
        (">=1.7", (1, 7), None),
        (">1.7", (1, 8), None),
        ("<2", None, (2,)),
        ("<=1.7", None, (1, 8)),
        (">= 1.6, <2, <1.8", (1, 6), (1, 8)),
    ],
    ids=label,
)
def test_version_range_is_parsed(text: str, floor: Any, ceiling: Any) -> None:
    assert Versions.parse(text) == Versions(floor=floor, ceiling=ceiling)


@pytest.mark.parametrize("text", ["", "x", "1.", ">=1.7 <2", "~1.7", ">=1.7,", "1.2.3.4.5"])
def test_invalid_version_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Versions.parse(text)
    assert str(caught.value) == f"{text!r} {NO_RANGE}"


NUMBERS = st.lists(st.integers(0, 40), min_size=1, max_size=3).filter(any).map(lambda each: ".".join(map(str, each)))


@given(NUMBERS, NUMBERS)
def test_version_is_within_its_own_prefix(one: str, other: str) -> None:
    exact = Versions.parse(one)
    assert exact.are_at_least(one)
    assert exact.meet(exact)
    assert Versions.parse(f">={one}").are_at_least(other) == exact.are_at_least(other)
    assert exact.meet(Versions.parse(f">={one}"))
    assert not exact.meet(Versions.parse(f">{one}"))
    assert not exact.meet(Versions.parse(f"<{one}"))


@given(NUMBERS, NUMBERS)
def test_version_range_parses_its_own_text(one: str, other: str) -> None:
    low, high = sorted((one, other), key=lambda each: Versions.parse(f">={each}").floor or ())
    versions = Versions.parse(f">={low}, <={high}")
    assert Versions.parse(str(versions)) == versions


def test_pull_order_is_mirrors_first_and_only_trusted_ones_resolve_tags() -> None:
    mirrors = (PoolMirror(registry="acr"), PoolMirror(registry="ghcr", trust="pull"))
    pool = NodePool(name="p", registry="hub", pool_mirrors=mirrors)
    assert pool.pull_order == (("acr", True), ("ghcr", False), ("hub", True))


def test_bootstrap_image_that_a_prefix_renames_is_refused_with_the_key_to_remove(write: Write) -> None:
    text = """\
registries: {hub: {host: docker.io}, harbor: {host: harbor.example, private: true}}
mirrors:
  m: {source: hub, destinations: [harbor], prefix: dockerhub/, repositories: [library/nginx]}
nodes:
  a: {registry: hub, mirrors: [harbor], bootstrap_images: [library/nginx]}
"""
    assert problems(write(text)) == [
        (
            "mirrors.yaml:5: nodes.a.bootstrap_images[0]: no route copies it to 'harbor', where machines look for "
            "harbor.example/library/nginx; 'm' copies it there as dockerhub/library/nginx, but machines look for the "
            "original name; remove prefix: and strip_prefix:"
        )
    ]
