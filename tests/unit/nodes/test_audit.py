"""``nodes audit``: the sources of bootstrap images, and files from machines compared with the rendered ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.node_pools import BootstrapImage, ImageStore, Runtime
from registry_sync.config.rules import NamespaceRule
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.audit import audit_pool
from registry_sync.nodes.compare_file import Difference, compare_file
from registry_sync.routes.load import load_mirrors
from registry_sync.tags.patterns import parse_pattern
from tests.unit.nodes.test_render import CASES, FILE, folder_of, render_case

MIRRORS = """\
registries:
  quay: {host: quay.io}
  other: {host: other.example}
  hub: {host: docker.io}
  acr: {host: acr.example, private: true}
  acr2: {host: acr2.example, private: true}
mirrors:
  world: {source: quay, destinations: [acr, hub], repositories: [infra/base], schedule: "@hourly"}
  half: {source: quay, destinations: [acr], repositories: [infra/half]}
  one: {source: quay, destinations: [acr], repositories: [infra/two]}
  two: {source: other, destinations: [hub], repositories: [infra/two], schedule: "@hourly"}
  chain: {source: hub, destinations: [acr2], repositories: [infra/base], schedule: "@hourly"}
nodes:
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mirrors.yaml"
    path.write_text(MIRRORS)
    return path


def audit(path: Path, pool: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    path.write_text(f"{MIRRORS}  p: {pool}\n")
    file = load_mirrors(path)
    found = audit_pool(file, file.node_pools["p"])
    return found.problems, found.notes


BY_HAND = "mirror {!r} has no schedule: its copies are as old as its last manual run"


@pytest.mark.parametrize(
    ("pool", "problems", "notes"),
    [
        ("{registry: hub, mirrors: [acr], bootstrap_images: [infra/base]}", (), ()),
        ("{registry: hub, mirrors: [acr2, acr], bootstrap_images: [infra/base]}", (), ()),
        (
            "{registry: hub, mirrors: [acr]}",
            (),
            ("no bootstrap_images: nodes check cannot show if its machines would start; list the images they need",),
        ),
        (
            "{registry: hub, bootstrap_images: [infra/base]}",
            (),
            ("no mirrors: while docker.io is down, its machines cannot pull anything",),
        ),
        (
            "{registry: hub, mirrors: [{registry: acr, trust: pull}], bootstrap_images: [infra/base]}",
            (),
            ("no mirror is trusted with tags (trust: pull+resolve): while docker.io is down, no tag can be pulled",),
        ),
        (
            "{registry: hub, mirrors: [acr], bootstrap_images: [infra/half]}",
            (
                (
                    "no route copies docker.io/infra/half to 'hub': machines that fall back to it find no image, or "
                    "one that somebody else pushed; mirror it there"
                ),
            ),
            (BY_HAND.format("half"),),
        ),
        (
            "{registry: hub, mirrors: [acr], bootstrap_images: [infra/two]}",
            (
                (
                    "docker.io/infra/two has several sources: at acr from quay.io/infra/two, at hub from "
                    "other.example/infra/two; machines that fall back get another image; mirror it from one source"
                ),
            ),
            (BY_HAND.format("one"),),
        ),
    ],
    ids=["whole", "over two mirrors", "no images", "outright", "bytes only", "no fallback", "two origins"],
)
def test_the_audit_finds_problems_and_notes(
    path: Path, pool: str, problems: tuple[str, ...], notes: tuple[str, ...]
) -> None:
    assert audit(path, pool) == (problems, notes)


@pytest.mark.parametrize("pattern", ["*-app", "/.*-app/", "*"])
def test_the_audit_of_a_cycle_ends(path: Path, pattern: str) -> None:
    """Such a file is refused when it is loaded. The audit ends for one that a check did not see through."""
    path.write_text(f"{MIRRORS}  p: {{registry: quay, mirrors: [acr], bootstrap_images: [infra/base]}}\n")
    file = load_mirrors(path)
    rule = NamespaceRule(namespace="infra", include=(parse_pattern(pattern),))
    world = replace(file.mirrors["world"], destinations=("acr",), rules=(rule,))
    cycle = {"world": world, "back": replace(world, name="back", source="acr", destinations=("quay",))}
    pool = replace(file.node_pools["p"], images=(BootstrapImage(repository="infra/b-app"),))
    assert audit_pool(replace(file, mirrors=cycle), pool).problems == ()


def test_the_audit_is_printed_as_text(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(
        f"{MIRRORS}"
        "  outside: {registry: hub, mirrors: [acr], bootstrap_images: [infra/base, infra/half]}\n"
        "  home: {registry: quay, bootstrap_images: [infra/base]}\n"
    )
    assert main(["nodes", "audit", "--mirrors-file", str(path)]) == FAILED
    assert capsys.readouterr() == (
        dedent("""\
            outside: acr (pull+resolve) → hub
            image       pulled from             copied by
            ──────────  ──────────────────────  ─────────────────────────────
            infra/base  acr.example/infra/base  world from quay.io/infra/base
            infra/base  docker.io/infra/base    world from quay.io/infra/base
            infra/half  acr.example/infra/half  half from quay.io/infra/half
            infra/half  docker.io/infra/half    NOTHING
            PROBLEM: no route copies docker.io/infra/half to 'hub': machines that fall back to it find no image, or one that somebody else pushed; mirror it there
            note: mirror 'half' has no schedule: its copies are as old as its last manual run

            home: quay
            image       pulled from         copied by
            ──────────  ──────────────────  ────────────
            infra/base  quay.io/infra/base  pushed there
            note: no mirrors: while quay.io is down, its machines cannot pull anything
            """),  # noqa: E501
        "",
    )
    assert main(["nodes", "audit", "--mirrors-file", str(path), "--pool", "home"]) == OK
    assert capsys.readouterr().out.startswith("home: quay\n")


def test_a_file_without_pools_has_nothing_to_audit(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(MIRRORS.replace("nodes:\n", ""))
    assert main(["nodes", "audit", "--mirrors-file", str(path)]) == OK
    assert capsys.readouterr() == (f"{path} has no nodes: section; docs/nodes.md describes it\n", "")


def test_an_invalid_mirrors_file_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(f"{MIRRORS}  p: {{registry: hub, mirrors: [quay]}}\n")
    assert main(["nodes", "audit", "--mirrors-file", str(path)]) == UNUSABLE
    out, errors = capsys.readouterr()
    assert (out, errors.startswith("mirrors.yaml:14: nodes.p.mirrors[0]: quay.io is a public registry: ")) == (
        "",
        True,
    )


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_rendered_files_have_no_differences(case: tuple[Runtime, str, str]) -> None:
    runtime, version, name = case
    file = load_mirrors(FILE)
    for each in render_case(*case):
        if each.path.suffix != ".md":
            path = folder_of(*case) / each.path
            versions = Versions.parse(version) if version else Versions()
            assert compare_file(file, file.node_pools[name], runtime, versions, path) == [], each.path


def differences(path: Path, runtime: Runtime, pool: str = "outside_china", version: str = "") -> list[Difference]:
    file = load_mirrors(FILE)
    versions = Versions.parse(version) if version else Versions()
    return compare_file(file, file.node_pools[pool], runtime, versions, path)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for files that were read back from a machine."""
    return tmp_path


CHINA = "registry-intl.cn-shanghai.aliyuncs.com"
MIRROR_URLS = '["https://gsoci.azurecr.io", "http://mirror.internal.example:5000", "https://mirror.office.example"]'


def test_a_typo_in_daemon_json_is_found(machine: Path) -> None:
    path = machine / "daemon.json"
    path.write_text(f'{{"log-driver": "journald", "registry-mirror": {MIRROR_URLS}, "max-download-attempts": 5}}')
    assert differences(path, "docker", version="20.10") == [
        Difference(key="registry-mirrors", verdict="missing", expected=MIRROR_URLS),
        Difference(key="max-download-attempts", verdict="different", found="5", expected="1"),
        Difference(
            key="registry-mirror", verdict="unknown", found=MIRROR_URLS, advice="did you mean 'registry-mirrors'?"
        ),
    ]


def test_unrelated_keys_of_daemon_json_are_ignored(machine: Path) -> None:
    path = machine / "daemon.json"
    rest = '"insecure-registries": [], "max-concurrent-downloads": 3, "dns": ["10.0.0.2"]'
    path.write_text(f'{{{rest}, "registry-mirrors": {MIRROR_URLS.replace(".io", ".io/")}, "max-download-attempts": 1}}')
    assert differences(path, "docker", version=">=20.10") == []


def test_an_insecure_registry_of_the_pool_is_found(machine: Path) -> None:
    """Its certificate is not verified then. Other insecure registries are ignored."""
    path = machine / "daemon.json"
    path.write_text(f'{{"registry-mirrors": [], "insecure-registries": ["10.0.0.0/8", "{CHINA}"]}}')
    assert differences(path, "docker", "china") == [
        Difference(
            key="insecure-registries",
            verdict="unexpected",
            found=f'["{CHINA}"]',
            advice="anyone on the network path can pose as the registry; remove it",
        )
    ]
    plain = machine / "mirrors.yaml"
    plain.write_text(
        '{registries: {home: {host: "local.example:5000", tls: false}}, mirrors: {}, nodes: {p: {registry: home}}}'
    )
    file = load_mirrors(plain)
    listed = Difference(key="insecure-registries", verdict="missing", expected='["local.example:5000"]')
    for others, expected in (('"other.example:5000"', [listed]), ('"x", "local.example:5000"', [])):
        path.write_text(f'{{"registry-mirrors": [], "insecure-registries": [{others}]}}')
        assert compare_file(file, file.node_pools["p"], "docker", Versions(), path) == expected


def test_an_option_that_keeps_an_old_dockerd_from_starting_is_found(machine: Path) -> None:
    path = machine / "daemon.json"
    path.write_text(f'{{"registry-mirrors": {MIRROR_URLS}, "max-download-attempts": 1}}')
    assert differences(path, "docker") == [
        Difference(
            key="max-download-attempts",
            verdict="unexpected",
            found="1",
            advice="dockerd before 20.10 does not start with it; give --version if all are later",
        )
    ]
    path.write_text('{"registry-mirrors": [], "max-download-attempts": 5}')
    assert differences(path, "docker", "china") == []


def test_mirrors_that_should_be_removed_are_found(machine: Path) -> None:
    path = machine / "daemon.json"
    path.write_text('{"registry-mirrors": ["https://gsoci.azurecr.io"]}')
    assert differences(path, "docker", "china") == [
        Difference(key="registry-mirrors", verdict="different", found='["https://gsoci.azurecr.io"]', expected="[]")
    ]
    path.write_text("{}")
    assert differences(path, "docker", "china") == [
        Difference(key="registry-mirrors", verdict="missing", expected="[]")
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'capabilities = ["pull", "resolve"]\n  # The',
            'capabilties = ["pull", "resolve"]\n  # The',
            [
                Difference(
                    key="host.https://gsoci.azurecr.io.capabilities", verdict="missing", expected='["pull", "resolve"]'
                ),
                Difference(
                    key="host.https://gsoci.azurecr.io.capabilties",
                    verdict="unknown",
                    found='["pull", "resolve"]',
                    advice="did you mean 'capabilities'?",
                ),
            ],
        ),
        (
            'server = "https://registry-1.docker.io"',
            'server = "https://docker.io"',
            [
                Difference(
                    key="server",
                    verdict="different",
                    found='"https://docker.io"',
                    expected='"https://registry-1.docker.io"',
                )
            ],
        ),
        (
            '[host."https://gsoci.azurecr.io"]',
            '[host."https://evil.example"]\n[host."https://gsoci.azurecr.io"]',
            [Difference(key="host.https://evil.example", verdict="unexpected", found="{}")],
        ),
        (
            '[host."https://gsoci.azurecr.io"]',
            '[host."https://gsoci.azurecr.io"]\n  skip_verify = true',
            [
                Difference(
                    key="host.https://gsoci.azurecr.io.skip_verify",
                    verdict="unexpected",
                    found="true",
                    advice="anyone on the network path can pose as the mirror; remove it",
                )
            ],
        ),
        (
            'capabilities = ["pull", "resolve"]\n  # The',
            'capabilities = ["resolve", "pull"]\n  # The',
            [],
        ),
    ],
    ids=["typo", "server", "another host", "no verification", "other order of capabilities"],
)
def test_differences_in_hosts_toml_are_found(machine: Path, old: str, new: str, expected: list[Difference]) -> None:
    text = (folder_of("containerd", "2.1", "outside_china") / "certs.d" / "docker.io" / "hosts.toml").read_text()
    assert old in text
    path = machine / "hosts.toml"
    path.write_text(text.replace(old, new, 1))
    assert differences(path, "containerd", version="2.1") == expected


def test_another_order_of_mirrors_is_found(machine: Path) -> None:
    first, second, third = (
        "https://gsoci.azurecr.io",
        "http://mirror.internal.example:5000",
        "https://mirror.office.example",
    )
    path = machine / "hosts.toml"
    table = '[host."{}"]\ncapabilities = ["pull", "resolve"]\n'
    path.write_text(
        'server = "https://registry-1.docker.io"\n' + "".join(table.format(each) for each in (second, first, third))
    )
    assert differences(path, "containerd", version="1.7") == [
        Difference(
            key="host",
            verdict="different",
            found=f'["{second}", "{first}", "{third}"]',
            expected=f'["{first}", "{second}", "{third}"]',
            advice="put them in the expected order: containerd tries them in the order of the file",
        )
    ]


CONFIG = """\
version = {version}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.9"
[plugins."{plugin}".registry]
  {key} = "/etc/containerd/certs.d"
"""
OLD, NEW = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"


@pytest.mark.parametrize(
    ("version", "plugin", "given"),
    [
        (2, OLD, ""),
        (2, OLD, "1.7"),
        (3, NEW, ""),
        (3, NEW, ">=2"),
        (2, OLD, ">=1.7"),
        (2, OLD, ">=2.4"),
        (3, NEW, ">=2.4"),
        (4, NEW, ""),
        (4, NEW, ">=2.4"),
    ],
)
def test_a_correct_config_toml_has_no_differences(machine: Path, version: int, plugin: str, given: str) -> None:
    path = machine / "config.toml"
    path.write_text(CONFIG.format(version=version, plugin=plugin, key="config_path"))
    assert differences(path, "containerd", version=given) == []


NO_PATH = "without it, containerd from 2.2 on has a list of two folders, and silently uses no mirror"


@pytest.mark.parametrize(
    ("version", "given", "advice"), [(3, "", NO_PATH), (4, "", NO_PATH), (4, "2.4", NO_PATH), (3, ">=2, <2.2", "")]
)
def test_the_old_plugin_id_with_a_newer_version_is_found(machine: Path, version: int, given: str, advice: str) -> None:
    """Containerd 2 reads such a file without an error, and uses no mirror."""
    path = machine / "config.toml"
    path.write_text(CONFIG.format(version=version, plugin=OLD, key="config_path"))
    registry = '{"registry": {"config_path": "/etc/containerd/certs.d"}}'
    assert differences(path, "containerd", version=given) == [
        Difference(key=f"plugins.{NEW}", verdict="missing", expected=registry, advice=advice),
        Difference(
            key=f"plugins.{OLD}",
            verdict="unexpected",
            found=registry,
            advice="only version = 2 reads it: no mirror is used",
        ),
    ]


def test_a_form_that_the_versions_do_not_read_is_found(machine: Path) -> None:
    path = machine / "config.toml"
    path.write_text(CONFIG.format(version=4, plugin=NEW, key="config_path"))
    assert differences(path, "containerd", version=">=2.1") == [
        Difference(key="version", verdict="different", found="4", expected="3")
    ]


LIST = "/etc/containerd/certs.d:/etc/docker/certs.d"
BROKEN = (
    "write one folder: with a list, containerd from 2.1 on silently uses no mirror, unless discard_unpacked_layers or "
    "use_local_image_pull is true"
)
DISCARD = "discard_unpacked_layers"
BESIDE = "write one folder: with a list, containerd from 2.1 on uses mirrors only as long as {} is set"
RUNTIMES = f'[plugins."{OLD}".containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"'


@pytest.mark.parametrize(
    ("version", "more", "given", "advice"),
    [
        (2, "", "", BROKEN),
        (3, "", "", BROKEN),
        (4, "", ">=2.4", BROKEN),
        (3, "", ">=2.0", BROKEN),
        (3, f'[plugins."{NEW}"]\n{DISCARD} = true', "2.2", BESIDE.format(f"{DISCARD} = true")),
        (4, f'[plugins."{NEW}"]\nuse_local_image_pull = true', "", BESIDE.format("use_local_image_pull = true")),
        (2, f'[plugins."{OLD}".containerd]\n{DISCARD} = true\n{RUNTIMES}', "", BESIDE.format(f"{DISCARD} = true")),
        (2, f'[plugins."{OLD}".containerd]\n{DISCARD} = true', "", BROKEN),  # not taken over without runtimes
        (2, f'[plugins."{OLD}"]\nuse_local_image_pull = true', "", BROKEN),
        (2, f'[plugins."{OLD}"]\nmax_concurrent_downloads = 5', "", BESIDE.format("max_concurrent_downloads = 5")),
        (3, f'[plugins."{NEW}"]\nmax_concurrent_downloads = 3', "", BROKEN),
        (3, f'[plugins."{NEW}"]\nimage_pull_with_sync_fs = true', "", BESIDE.format("image_pull_with_sync_fs = true")),
        (
            3,
            f'[plugins."{NEW}"]\ndisable_snapshot_annotations = false',
            "",
            BESIDE.format("disable_snapshot_annotations = false"),
        ),
        (3, f'[plugins."{NEW}".registry.auths]', "", BROKEN),
        (3, f'[plugins."{NEW}"]\ndiscard_unpacked_layers = false', "", BROKEN),
        (3, f'[plugins."{NEW}"]\ndiscard_unpacked_layers = "true"', "", BROKEN),
        (2, "", "1.7", "write one folder: with a list, containerd from 2.1 on silently uses no mirror"),
    ],
)
@pytest.mark.parametrize("folders", [LIST, "/etc/docker/certs.d:/etc/containerd/certs.d", "/etc/containerd/certs.d:"])
def test_a_list_in_config_path_is_explained(
    machine: Path, version: int, more: str, given: str, advice: str, folders: str
) -> None:
    """It turns mirrors off from containerd 2.1 on, without a line in the log."""
    plugin = OLD if version == 2 else NEW
    path = machine / "config.toml"
    path.write_text(f'version = {version}\n[plugins."{plugin}".registry]\nconfig_path = "{folders}"\n{more}\n')
    assert differences(path, "containerd", version=given) == [
        Difference(
            key=f"plugins.{plugin}.registry.config_path",
            verdict="different",
            found=f'"{folders}"',
            expected='"/etc/containerd/certs.d"',
            advice=advice,
        )
    ]


@pytest.mark.parametrize(
    ("rest", "key"),
    [
        ("", f"plugins.{NEW}"),
        (f'[plugins."{NEW}"]\nsnapshotter = "overlayfs"', f"plugins.{NEW}"),
        (f'[plugins."{NEW}".registry.headers]\nx = ["y"]', f"plugins.{NEW}.registry.config_path"),
    ],
)
def test_a_file_without_config_path_is_explained(machine: Path, rest: str, key: str) -> None:
    path = machine / "config.toml"
    path.write_text(f"version = 3\n{rest}\n")
    found = {difference.key: difference for difference in differences(path, "containerd", version="2.2")}
    assert (found[key].verdict, found[key].advice) == ("missing", NO_PATH)


STORE = "features.containerd-snapshotter"
IN_CONTAINERD = (
    "dockerd has the containerd store, which falls back in its own way: set image_store: containerd at the pool"
)
IN_CLASSIC = "dockerd has the classic store, which falls back in its own way: set image_store: classic at the pool"


@pytest.mark.parametrize(
    ("store", "version", "flag", "expected"),
    [
        (None, "28", "true", [Difference(key=STORE, verdict="unexpected", found="true", advice=IN_CONTAINERD)]),
        ("classic", "29", "true", [Difference(key=STORE, verdict="unexpected", found="true", advice=IN_CONTAINERD)]),
        ("containerd", "28", "", [Difference(key=STORE, verdict="missing", expected="true", advice=IN_CLASSIC)]),
        (
            "containerd",
            "28",
            "false",
            [Difference(key=STORE, verdict="different", found="false", expected="true", advice=IN_CLASSIC)],
        ),
        ("containerd", "28", "true", []),
        ("classic", "29", "", []),
        (None, "28", "", []),
        (None, ">=28", "true", []),
        (None, "29", "false", []),
        ("containerd", "29", "", []),
    ],
)
def test_the_image_store_is_told_by_its_feature_flag(
    machine: Path, store: ImageStore | None, version: str, flag: str, expected: list[Difference]
) -> None:
    """Docker with containerd's store falls back as containerd does: nodes check has to know it."""
    path = machine / "daemon.json"
    features = f', "features": {{"containerd-snapshotter": {flag}, "buildkit": true}}' if flag else ""
    path.write_text(f'{{"registry-mirrors": []{features}}}')
    file = load_mirrors(FILE)
    pool = replace(file.node_pools["china"], runtime="docker", image_store=store)
    assert compare_file(file, pool, "docker", Versions.parse(version), path) == expected


def test_mirrors_beside_config_path_are_found(machine: Path) -> None:
    path = machine / "config.toml"
    config = CONFIG.format(version=2, plugin=OLD, key="config_path")
    path.write_text(f'{config}[plugins."{OLD}".registry.mirrors."docker.io"]\n  endpoint = ["https://acr.example"]\n')
    assert differences(path, "containerd", version="1.7") == [
        Difference(
            key=f"plugins.{OLD}.registry.mirrors",
            verdict="unexpected",
            found='{"docker.io": {"endpoint": ["https://acr.example"]}}',
            advice="with config_path, containerd does not load its CRI plugin and the node is NotReady; remove it",
        )
    ]


NOT_READY = (
    "with tls in it and config_path, containerd before 2.0 does not load its CRI plugin and the node is NotReady; "
    "remove it"
)
OLDER_WAY = "mirrors do not need it; with it, containerd from 2.1 on pulls as containerd 2.0 does"


@pytest.mark.parametrize(
    ("version", "given", "setting", "advice"),
    [
        (2, "1.7", "tls", NOT_READY),
        (2, "", "tls", NOT_READY),
        (2, ">=1.7", "tls", NOT_READY),
        (2, ">=2.0", "tls", OLDER_WAY),
        (3, "", "tls", OLDER_WAY),
        (2, "1.7", "auth", OLDER_WAY),
    ],
)
def test_the_effect_of_configs_depends_on_what_is_in_it(
    machine: Path, version: int, given: str, setting: str, advice: str
) -> None:
    """Observed with containerd 1.6, 2.1 and 2.4: only ``tls`` disables the plugin, and only in 1.x."""
    path, plugin = machine / "config.toml", OLD if version == 2 else NEW
    config = CONFIG.format(version=version, plugin=plugin, key="config_path")
    path.write_text(f'{config}[plugins."{plugin}".registry.configs."a.example".{setting}]\n')
    (difference,) = differences(path, "containerd", version=given)
    assert (difference.key, difference.verdict) == (f"plugins.{plugin}.registry.configs", "unexpected")
    assert difference.advice == advice


def test_empty_tables_of_containerds_default_are_no_difference(machine: Path) -> None:
    path = machine / "config.toml"
    config = CONFIG.format(version=2, plugin=OLD, key="config_path")
    tables = "".join(f'[plugins."{OLD}".registry.{key}]\n' for key in ("auths", "configs", "headers", "mirrors"))
    path.write_text(f"{config}{tables}")
    assert differences(path, "containerd", version="1.7") == []


@pytest.mark.parametrize(
    ("runtime", "name", "text"),
    [
        ("containerd", "config.toml", f'[plugins."{OLD}".registry.configs."a.example".auth]\npassword = "hunter2"'),
        ("containerd", "config.toml", f'[plugins."{OLD}".registry.confgs."a.example".auth]\npassword = "hunter2"'),
        ("containerd", "config.toml", f'[plugins."{NEW}".registry.auths."https://a.example"]\nauth = "hunter2"'),
        ("containerd", "config.toml", f'[plugins."{OLD}".registry.headers]\nX-Key = ["hunter2"]'),
        ("containerd", "hosts.toml", '[host."https://gsoci.azurecr.io".header]\nX-Key = "hunter2"'),
        ("containerd", "hosts.toml", '[host."https://gsoci.azurecr.io"]\nauthorization = "hunter2"'),
        ("containerd", "hosts.toml", 'server = "https://robot:hunter2@registry-1.docker.io"'),
        ("containerd", "hosts.toml", '[host."https://robot:hunter2@gsoci.azurecr.io"]'),
        ("docker", "daemon.json", '{"registry-mirrors": ["https://robot:hunter2@gsoci.azurecr.io"]}'),
        ("k3s", "registries.yaml", 'mirrors: {docker.io: {endpoint: ["https://robot:hunter2@gsoci.azurecr.io"]}}'),
        ("crio", "a.conf", '[[registry]]\nprefix = "docker.io"\npassword = "hunter2"'),
    ],
)
def test_secrets_of_machines_are_not_shown(
    machine: Path, capsys: pytest.CaptureFixture[str], runtime: Runtime, name: str, text: str
) -> None:
    (machine / name).write_text(text)
    command = ["nodes", "audit", "--mirrors-file", str(FILE), "--pool", "outside_china", "--runtime", runtime]
    assert main([*command, "--against", str(machine / name)]) == FAILED
    shown = capsys.readouterr().out
    assert "***" in shown
    assert "hunter2" not in shown


def test_a_typo_of_config_path_is_found(machine: Path) -> None:
    path = machine / "config.toml"
    path.write_text(CONFIG.format(version=2, plugin=OLD, key="config_pat"))
    value = '"/etc/containerd/certs.d"'
    key = f"plugins.{OLD}.registry.config_pat"
    assert differences(path, "containerd", version="1.7") == [
        Difference(key=f"{key}h", verdict="missing", expected=value),
        Difference(key=key, verdict="unknown", found=value, advice="did you mean 'config_path'?"),
    ]


def test_differences_in_registries_conf_are_found(machine: Path) -> None:
    path = machine / "50-registry-sync.conf"
    path.write_text("""\
unqualified-search-registries = ["docker.io"]
[[registry]]
location = "quay.io"
blocked = true
[[registry]]
prefix = "docker.io"
location = "docker.io"
blocked = true
[[registry.mirror]]
location = "gsoci.azurecr.io"
pull-frm-mirror = "digest-only"
[[registry.mirror]]
location = "evil.example"
""")
    assert differences(path, "crio", "bytes_only") == [
        Difference(key="registry.docker.io.mirror[0].pull-from-mirror", verdict="missing", expected='"digest-only"'),
        Difference(
            key="registry.docker.io.mirror[0].pull-frm-mirror",
            verdict="unknown",
            found='"digest-only"',
            advice="did you mean 'pull-from-mirror'?",
        ),
        Difference(key="registry.docker.io.mirror[1]", verdict="unexpected", found='{"location": "evil.example"}'),
        Difference(
            key="registry.docker.io.blocked",
            verdict="unexpected",
            found="true",
            advice="machines never fall back; remove it",
        ),
    ]


def test_a_prefix_with_two_tables_is_found(machine: Path) -> None:
    """The first table counts."""
    path = machine / "registries.conf"
    text = (folder_of("crio", "", "china") / "registries.conf").read_text()
    squatter = '[[registry]]\nlocation = "{}"\n[[registry.mirror]]\nlocation = "evil.example"\n'
    path.write_text(text + squatter.format(CHINA))
    table = f'{{"location": "{CHINA}", "mirror": [{{"location": "evil.example"}}]}}'
    again = Difference(
        key=f"registry.{CHINA} (2)",
        verdict="unexpected",
        found=table,
        advice="this prefix has several tables, of which only the first counts; keep one",
    )
    assert differences(path, "crio", "china") == [again]
    path.write_text(squatter.format(CHINA) + text)
    assert differences(path, "crio", "china") == [
        Difference(key=f"registry.{CHINA}.prefix", verdict="missing", expected=f'"{CHINA}"'),
        Difference(key=f"registry.{CHINA}.mirror", verdict="unexpected", found='[{"location": "evil.example"}]'),
        replace(again, found=f'{{"prefix": "{CHINA}", "location": "{CHINA}"}}'),
    ]


@pytest.mark.parametrize("prefix", ["*.aliyuncs.com", "*.cn-shanghai.aliyuncs.com", "*.com"])
def test_a_pattern_that_matches_the_registry_is_found(machine: Path, prefix: str) -> None:
    path = machine / "registries.conf"
    text = (folder_of("crio", "", "china") / "registries.conf").read_text()
    other = '\n[[registry]]\nprefix = "*.example.com"\nblocked = true\n'
    path.write_text(f'{text}{other}[[registry]]\nprefix = "{prefix}"\n[[registry.mirror]]\nlocation = "evil.example"\n')
    assert differences(path, "crio", "china") == [
        Difference(
            key=f"registry.{prefix}",
            verdict="unexpected",
            found=f'{{"prefix": "{prefix}", "mirror": [{{"location": "evil.example"}}]}}',
            advice="it matches this registry too, and every other one with such a name; narrow it",
        )
    ]


def test_differences_in_registries_yaml_are_found(machine: Path) -> None:
    path = machine / "registries.yaml"
    path.write_text("""\
mirrors:
  docker.io:
    endpoints: ["https://gsoci.azurecr.io"]
  "*":
    endpoint: ["https://gsoci.azurecr.io"]
  quay.io:
    endpoint: ["https://quay.example"]
configs:
  gsoci.azurecr.io: {auth: {username: x}}
""")
    assert differences(path, "k3s") == [
        Difference(key="mirrors.docker.io.endpoint", verdict="missing", expected=MIRROR_URLS),
        Difference(
            key="mirrors.docker.io.endpoints",
            verdict="unknown",
            found='["https://gsoci.azurecr.io"]',
            advice="did you mean 'endpoint'?",
        ),
        Difference(
            key="mirrors.*",
            verdict="unexpected",
            found='{"endpoint": ["https://gsoci.azurecr.io"]}',
            advice="it applies to every registry: images of others are pulled from this one's mirrors; remove it",
        ),
    ]


def test_differences_in_a_talos_document_are_found(machine: Path) -> None:
    path = machine / "worker.yaml"
    rendered = (folder_of("talos", "1.12", "outside_china") / "registry-mirrors.yaml").read_text()
    path.write_text(
        f"version: v1alpha1\nmachine:\n  type: worker\n---\nkind: RegistryMirrorConfig\nname: quay.io\n---\n{rendered}"
        "skipFallback: true\n"
    )
    assert differences(path, "talos", version="1.12") == [
        Difference(
            key="RegistryMirrorConfig.docker.io.skipFallback",
            verdict="unexpected",
            found="true",
            advice="machines never fall back; remove it",
        )
    ]


def test_differences_in_an_older_talos_configuration_are_found(machine: Path) -> None:
    path = machine / "worker.yaml"
    path.write_text("""\
machine:
  type: worker
  registries:
    config: {}
    mirrors:
      quay.io: {endpoints: ["https://quay.example"]}
      docker.io:
        endpoints: ["https://gsoci.azurecr.io"]
        overridePaths: true
""")
    key = "machine.registries.mirrors.docker.io"
    assert differences(path, "talos", version="1.11") == [
        Difference(
            key=f"{key}.endpoints", verdict="different", found='["https://gsoci.azurecr.io"]', expected=MIRROR_URLS
        ),
        Difference(key=f"{key}.overridePaths", verdict="unknown", found="true", advice="did you mean 'overridePath'?"),
    ]


def test_missing_mirrors_of_a_talos_machine_are_found(machine: Path) -> None:
    path = machine / "worker.yaml"
    path.write_text("machine: {type: worker}\n")
    assert [(difference.key, difference.verdict) for difference in differences(path, "talos", version="1.12")] == [
        ("RegistryMirrorConfig.docker.io", "missing")
    ]
    assert [(difference.key, difference.verdict) for difference in differences(path, "talos", version="1.11")] == [
        ("machine.registries.mirrors.docker.io", "missing")
    ]


@pytest.mark.parametrize("version", ["1.11", "1.12", ">=1.10"])
def test_both_forms_of_talos_are_accepted_where_the_version_is_unknown(machine: Path, version: str) -> None:
    path = machine / "worker.yaml"
    form = "1.11" if version == ">=1.10" else version
    text = (folder_of("talos", form, "outside_china") / "registry-mirrors.yaml").read_text()
    path.write_text(f"{text}---\nkind: HostnameConfig\n")
    assert differences(path, "talos") == []
    path.write_text(text.replace("gsoci", "other"))
    assert [difference.verdict for difference in differences(path, "talos")] == ["different"]


@pytest.mark.parametrize("version", ["1.11", "1.12"])
def test_a_machine_without_mirrors_fits_a_pool_without_mirrors(machine: Path, version: str) -> None:
    path = machine / "worker.yaml"
    path.write_text("machine: {type: worker}\n")
    assert differences(path, "talos", "china", version) == []
    path.write_text("mirrors: {}\n")
    assert differences(path, "k3s", "china") == []


FILE_KEYS = [
    *("machine", "registries", "registry", "mirrors", "mirror", "plugins", "version", "host", "server", "capabilities"),
    *("registry-mirrors", "docker.io", "*", "kind", "name", "endpoints", "prefix", "x"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "docker.io", "https://acr.example/", "3"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FILE_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES, runtime=st.sampled_from(["docker", "k3s", "talos"]))
def test_any_file_is_compared_or_refused(machine: Path, value: Any, runtime: Runtime) -> None:
    path = machine / "file"
    path.write_text(json.dumps(value))
    try:
        found = differences(path, runtime)
    except ConfigurationError:
        return
    assert all(each.found or each.expected for each in found)


@pytest.mark.parametrize("runtime", ["containerd", "crio"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "registry = 5",
        "registry = [5]",
        "registry = {prefix = 'docker.io'}",
        "[[registry]]\nprefix = 'docker.io'\nmirror = 5",
        "[[registry]]\nprefix = 'docker.io'\nmirror = []",
        "plugins = 5",
        "version = 3\nplugins = {}",
        f"version = 2\nplugins = {{'{OLD}' = 5}}",
        f"version = 2\nplugins = {{'{OLD}' = {{registry = 5}}}}",
        "host = 5",
        "[host]\n'https://gsoci.azurecr.io' = 5",
        "server = 'x'\n[host.'https://gsoci.azurecr.io']\ncapabilities = 5",
    ],
)
def test_values_of_a_wrong_type_are_differences(machine: Path, text: str, runtime: Runtime) -> None:
    path = machine / "file.toml"
    path.write_text(text)
    assert differences(path, runtime) != []


def run(path: Path, *arguments: str) -> int:
    return main(["nodes", "audit", "--mirrors-file", str(FILE), "--against", str(path), *arguments])


def test_differences_are_printed_as_a_table(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = machine / "daemon.json"
    path.write_text('{"registry-mirror": ["https://gsoci.azurecr.io"]}')
    assert run(path, "--pool", "china", "--runtime", "docker") == FAILED
    assert capsys.readouterr() == (
        dedent("""\
            key               verdict  found                         expected  advice
            ────────────────  ───────  ────────────────────────────  ────────  ────────────────────────────────
            registry-mirrors  missing  -                             []        -
            registry-mirror   unknown  ["https://gsoci.azurecr.io"]  -         did you mean 'registry-mirrors'?
            """),
        "",
    )


def test_a_file_as_rendered_is_confirmed(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = machine / "daemon.json"
    path.write_text('{"registry-mirrors": [], "debug": true}')
    assert run(path, "--pool", "china", "--runtime", "docker") == OK
    assert capsys.readouterr() == (f"{path} is as rendered for pool 'china' and docker\n", "")


@pytest.mark.parametrize(
    ("runtime", "content", "problem"),
    [
        ("docker", "[]", "expected a JSON object, {...}"),
        (
            "docker",
            "{",
            "not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (
            "docker",
            '{"registry-mirrors": ["https://evil.example"], "registry-mirrors": []}',
            "duplicate key 'registry-mirrors', of which only one counts; keep one",
        ),
        (
            "docker",
            "[" * 100_000,
            ("not valid JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
        ),
        ("crio", "[", "not valid TOML: Invalid initial character for a key part (at end of document)"),
    ],
)
def test_an_unreadable_file_is_refused(
    machine: Path, runtime: str, content: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = machine / "file"
    path.write_text(content)
    assert run(path, "--pool", "china", "--runtime", runtime) == UNUSABLE
    out, errors = capsys.readouterr()
    assert (out, errors) == ("", f"{path}: {problem}\n")


@pytest.mark.parametrize("runtime", ["k3s", "talos"])
def test_a_duplicate_key_is_refused(machine: Path, runtime: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Some parsers use the last value, others reject the file."""
    path = machine / "file"
    path.write_text("a: 1\n---\nmirrors: {docker.io: {}}\nmirrors: {}\n")
    assert run(path, "--pool", "china", "--runtime", runtime) == UNUSABLE
    problem = "duplicate key 'mirrors', in line 3 and line 4; keep one"
    assert capsys.readouterr() == ("", f"{path}:4: mirrors: {problem}\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "--against needs --pool: the pool of the machine that the file is from"),
        (["--pool", "china"], "the runtime of pool 'china' is unknown; give --runtime, or set runtime: of the pool"),
        (
            ["--pool", "china", "--runtime", "k3s"],
            "{path}: cannot read it ([Errno 2] No such file or directory: '{path}')",
        ),
    ],
)
def test_invalid_arguments_are_refused(
    machine: Path, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = machine / "none"
    assert run(path, *arguments) == UNUSABLE
    assert capsys.readouterr() == ("", problem.format(path=path) + "\n")
