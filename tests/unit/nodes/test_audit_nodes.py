"""``nodes audit`` of whole machines: folders with every trap, several machines in one call, allowed additions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.node_pools import Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.nodes.audit_node import Baseline, audit_node
from registry_sync.nodes.compare_file import Difference
from registry_sync.routes.load import load_mirrors
from tests.unit.nodes.test_render import FILE, folder_of

IMAGES, CRI = "io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri"


def baseline(runtime: Runtime, version: str = "", *allowed: str, pool: str = "outside_china") -> Baseline:
    file = load_mirrors(FILE)
    versions = Versions.parse(version) if version else Versions()
    return Baseline(file=file, pool=file.node_pools[pool], runtime=runtime, versions=versions, allowed=allowed)


def found(runtime: Runtime, folder: Path, version: str = "", *allowed: str) -> list[tuple[str, str, str]]:
    audit = audit_node(baseline(runtime, version, *allowed), folder)
    assert audit.problem == ""
    return [(difference.key, difference.verdict, difference.advice) for difference in audit.differences]


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A copy of a containerd node's root folder, as rendered."""
    shutil.copytree(folder_of("containerd", "2.1", "outside_china"), tmp_path / "node" / "etc" / "containerd")
    return tmp_path / "node"


def hosts_of(node: Path, folder: str = "docker.io") -> Path:
    return node / "etc" / "containerd" / "certs.d" / folder / "hosts.toml"


@pytest.mark.parametrize("start", ["", "etc", "etc/containerd"])
def test_a_node_as_rendered_has_no_differences(node: Path, start: str) -> None:
    """The folder may be a copy of /, of /etc or of /etc/containerd."""
    hosts_of(node, "quay.io").parent.mkdir()
    hosts_of(node, "quay.io").write_text('server = "https://quay.io"\n')
    assert found("containerd", node / start, "2.1") == []


def test_every_trap_of_a_containerd_node_is_found(node: Path) -> None:
    config = node / "etc" / "containerd" / "config.toml"
    config.write_text(config.read_text().replace('certs.d"', 'certs.d:/etc/docker/certs.d"'))
    hosts_of(node).write_text(hosts_of(node).read_text().replace("capabilities", "capabilties", 1))
    for folder in ("_default", "registry-1.docker.io", "docker.oi"):
        shutil.copytree(hosts_of(node).parent, hosts_of(node, folder).parent)
    url = "host.https://gsoci.azurecr.io"
    assert found("containerd", node, "2.1") == [
        (
            f"plugins.{IMAGES}.registry.config_path",
            "different",
            (
                "write one folder: with a list, containerd from 2.1 on silently uses no mirror, unless "
                "discard_unpacked_layers or use_local_image_pull is true"
            ),
        ),
        (f"{url}.capabilities", "missing", ""),
        (f"{url}.capabilties", "unknown", "did you mean 'capabilities'?"),
        (
            "certs.d/_default/hosts.toml",
            "unexpected",
            "it applies to every registry without a folder of its own: their images are pulled from it; remove it",
        ),
        ("certs.d/docker.oi/hosts.toml", "unknown", "did you mean 'docker.io'?"),
        ("certs.d/registry-1.docker.io/hosts.toml", "unknown", "containerd ignores it: it looks for docker.io"),
    ]


def test_a_node_without_hosts_toml_or_config_toml_has_no_mirror(node: Path) -> None:
    hosts_of(node).unlink()
    missing = ("certs.d/docker.io/hosts.toml", "missing", "containerd uses no mirror for docker.io")
    assert found("containerd", node, "2.1") == [missing]
    hosts_of(node).write_text("")
    (node / "etc" / "containerd" / "config.toml").unlink()
    without = "without it, containerd from 2.2 on has a list of two folders, and silently uses no mirror"
    assert found("containerd", node, "2.2")[:2] == [
        ("version", "missing", ""),
        (f"plugins.{IMAGES}", "missing", without),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'version = 3\n[plugins."{IMAGES}".registry]\nconfig_path = "/etc/containerd/certs.d"\n', []),
        (f'version = 2\n[plugins."{CRI}".registry]\nconfig_path = "/etc/containerd/certs.d"\n', []),
        (
            f'[plugins."{IMAGES}".registry]\nconfig_path = "/a:/b"\n[plugins."{IMAGES}"]\nuse_local_image_pull = true',
            [
                (
                    f"plugins.{IMAGES}.registry.config_path",
                    "different",
                    (
                        "write one folder: with a list, containerd from 2.1 on uses mirrors only as long as "
                        "use_local_image_pull = true is set"
                    ),
                )
            ],
        ),
    ],
)
def test_imported_files_count(node: Path, text: str, expected: list[tuple[str, str, str]]) -> None:
    folder = node / "etc" / "containerd"
    (folder / "config.toml").write_text('version = 3\nimports = ["/etc/containerd/conf.d/*.toml", "/none"]\n')
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "mirrors.toml").write_text(text)
    assert found("containerd", node, "2.1") == expected
    assert found("containerd", folder, "2.1") == expected


def test_the_folder_with_a_port_that_containerd_reads_first_is_compared(tmp_path: Path) -> None:
    plain = tmp_path / "mirrors.yaml"
    plain.write_text('{registries: {home: {host: "local.example:5000"}}, mirrors: {}, nodes: {p: {registry: home}}}')
    file = load_mirrors(plain)
    base = Baseline(file=file, pool=file.node_pools["p"], runtime="containerd", versions=Versions.parse("2.1"))
    certs = tmp_path / "node" / "certs.d"
    (certs / "local.example:5000").mkdir(parents=True)
    (certs / "local.example:5000" / "hosts.toml").write_text('server = "https://local.example:5000"\n')

    def keys() -> list[str]:
        return [
            difference.key for difference in audit_node(base, tmp_path / "node").differences if "host" in difference.key
        ]

    assert keys() == []
    (certs / "local.example_5000_").mkdir()
    (certs / "local.example_5000_" / "hosts.toml").write_text('[host."https://evil.example"]\n')
    assert keys() == ["host"]


SPEGEL = "http://127.0.0.1:30020"


def test_additions_can_be_allowed(node: Path) -> None:
    """Spegel puts itself before other mirrors, and into _default. What breaks a rendered key cannot be allowed."""
    text = hosts_of(node).read_text()
    own = f'[host."{SPEGEL}"]\ncapabilities = ["pull", "resolve"]\n[host."https://gsoci'
    hosts_of(node).write_text(text.replace('[host."https://gsoci', own))
    hosts_of(node, "_default").parent.mkdir()
    hosts_of(node, "_default").write_text(f'[host."{SPEGEL}"]\n')
    keys = [key for key, _, _ in found("containerd", node, "2.1")]
    assert keys == [f"host.{SPEGEL}", "certs.d/_default/hosts.toml"]
    assert found("containerd", node, "2.1", "host.http://127.0.0.1:*", "certs.d/_default/hosts.toml") == []
    assert [key for key, _, _ in found("containerd", node, "2.1", "host.http://other*")] == keys
    hosts_of(node).write_text(text.replace("capabilities", "capabilties", 1))
    assert [key for key, *_ in found("containerd", node, "2.1", "*")] == [
        "host.https://gsoci.azurecr.io.capabilities",
        "host.https://gsoci.azurecr.io.capabilties",
    ]


def test_another_order_beside_an_addition_is_found(node: Path) -> None:
    text = hosts_of(node).read_text()
    first, rest = text.split("\n[host.", 1)
    blocks = rest.split("\n[host.")
    hosts_of(node).write_text("\n[host.".join([first, f'"{SPEGEL}"]\n', blocks[1], blocks[0], blocks[2]]))
    advice = "put them in the expected order: containerd tries them in the order of the file"
    assert found("containerd", node, "2.1", "host.http://127*") == [("host", "different", advice)]


def test_drop_ins_of_cri_o_are_read_as_one(tmp_path: Path) -> None:
    """A later file replaces tables with the same prefix."""
    home = tmp_path / "etc" / "containers"
    (home / "registries.conf.d").mkdir(parents=True)
    (home / "registries.conf").write_text('[[registry]]\nprefix = "docker.io"\nblocked = true\n')
    rendered = (folder_of("crio", "1.29", "outside_china") / "registries.conf").read_text()
    (home / "registries.conf.d" / "50-registry-sync.conf").write_text(rendered)
    assert found("crio", tmp_path) == []
    (home / "registries.conf.d" / "99-local.conf").write_text('[[registry]]\nlocation = "docker.io"\n')
    assert [(key, verdict) for key, verdict, _ in found("crio", tmp_path)] == [
        ("registry.docker.io.prefix", "missing"),
        ("registry.docker.io.mirror", "missing"),
    ]


@pytest.mark.parametrize(
    ("runtime", "version", "place"),
    [
        ("docker", "20.10", "etc/docker"),
        ("docker", "20.10", "."),
        ("k3s", "", "etc/rancher/rke2"),
        ("k3s", "", "rancher/k3s"),
        ("talos", "1.12", "."),
    ],
)
def test_files_of_other_runtimes_are_found(tmp_path: Path, runtime: Runtime, version: str, place: str) -> None:
    rendered = folder_of(runtime, version or "1.29", "outside_china")
    shutil.copytree(rendered, tmp_path / place, dirs_exist_ok=True)
    assert found(runtime, tmp_path, version) == []


def run(*arguments: str) -> int:
    return main(["nodes", "audit", "--mirrors-file", str(FILE), "--pool", "china", "--runtime", "docker", *arguments])


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three nodes: as rendered, with a typo twice."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"n1": '{"registry-mirrors": []}', "n2": '{"registry-mirror": []}'}.items():
        folder = tmp_path / name / "etc" / "docker"
        folder.mkdir(parents=True)
        (folder / "daemon.json").write_text(text)
    shutil.copytree(tmp_path / "n2", tmp_path / "n3")
    return tmp_path


@pytest.mark.usefixtures("nodes")
def test_several_nodes_are_summarized(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--against", "n1", "n2", "--against", "n3") == FAILED
    assert capsys.readouterr() == (
        (
            "node  result       keys\n"
            "────  ───────────  ─────────────────────────────────\n"
            "n1    as rendered  -\n"
            "n2    DIFFERS      registry-mirrors, registry-mirror\n"
            "n3    DIFFERS      registry-mirrors, registry-mirror\n"
            "\n"
            "n2, n3:\n"
            "key               verdict  found  expected  advice\n"
            "────────────────  ───────  ─────  ────────  ────────────────────────────────\n"
            "registry-mirrors  missing  -      []        -\n"
            "registry-mirror   unknown  []     -         did you mean 'registry-mirrors'?\n"
            "\n"
            "1 of 3 nodes are as rendered\n"
        ),
        "",
    )
    assert run("--against", "n1", "n1/etc/docker/daemon.json") == OK
    assert capsys.readouterr().out.endswith("\n\n2 of 2 nodes are as rendered\n")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("etc/docker/daemon.json", "[]", "n1/etc/docker/daemon.json: expected a JSON object, {...}"),
        ("etc/docker/other.json", "{}", "n1: it has no file of docker, such as etc/docker/daemon.json"),
        ("", "", "n1: cannot read it ([Errno 2] No such file or directory: 'n1')"),
    ],
)
def test_a_node_that_cannot_be_read_does_not_hide_others(
    nodes: Path, name: str, text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(nodes / "n1")
    if name:
        (nodes / "n1" / name).parent.mkdir(parents=True)
        (nodes / "n1" / name).write_text(text)
    assert run("--against", "n1", "n2") == UNUSABLE
    out = capsys.readouterr().out
    assert "\nn1    CANNOT BE READ  -\nn2    DIFFERS         registry-mirrors, registry-mirror\n" in out
    assert out.endswith(f"\n\n{problem}\n\n0 of 2 nodes are as rendered\n")
    assert run("--against", "n1") == UNUSABLE
    assert capsys.readouterr() == ("", f"{problem}\n")


def test_only_additions_can_be_allowed(nodes: Path) -> None:
    (nodes / "n1" / "etc" / "docker" / "daemon.json").write_text(
        '{"registry-mirrors": [], "insecure-registries": ["registry-intl.cn-shanghai.aliyuncs.com"]}'
    )
    assert run("--against", "n1") == FAILED
    assert run("--against", "n1", "--allow", "insecure-*") == OK
    assert run("--against", "n2", "--allow", "*") == FAILED


def test_a_difference_is_a_value() -> None:
    """Nodes with the same differences are shown once."""
    assert len({Difference(key="a", verdict="missing"), Difference(key="a", verdict="missing")}) == 1


@pytest.mark.parametrize("link", ["config.toml", "certs.d", "certs.d/docker.io/hosts.toml"])
def test_a_link_out_of_the_copy_is_not_followed(tmp_path: Path, link: str) -> None:
    """It would be a file of this machine, not of the node."""
    node, path = tmp_path / "n1", tmp_path / "n1" / "etc" / "containerd" / link
    (node / "etc" / "containerd" / "certs.d" / "docker.io").mkdir(parents=True)
    (node / "etc" / "containerd" / "config.toml").write_text("version = 2\n")
    (node / "etc" / "containerd" / "certs.d" / "docker.io" / "hosts.toml").write_text("")
    outside = path.rename(tmp_path / "outside")
    path.symlink_to(outside)
    problem = f"{path}: a symbolic link to {outside}, which leads out of {node}; copy by cp -L"
    assert audit_node(baseline("containerd"), node).problem == problem


@pytest.mark.parametrize(
    ("version", "text", "is_replaced"),
    [
        ("1.7", f'[plugins."{CRI}".containerd.runtimes.nvidia]', True),
        ("", f'[plugins."{CRI}".containerd.runtimes.nvidia]', True),
        (">=2.0", f'[plugins."{CRI}".containerd.runtimes.nvidia]', False),
        ("1.7", f'[plugins."{CRI}".registry]\nconfig_path = "/etc/containerd/certs.d"', False),
        ("1.7", '[plugins."io.containerd.gc.v1.scheduler"]', False),
    ],
)
def test_an_imported_file_that_replaces_the_plugin_is_found(
    node: Path, version: str, text: str, is_replaced: bool
) -> None:
    """With such a file, containerd 1.6 used no mirror; 2.1 and 2.4 did."""
    folder = node / "etc" / "containerd"
    shutil.copy(folder_of("containerd", "1.7", "china") / "config.toml", folder / "config.toml")
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(f'imports = ["/etc/containerd/conf.d/*.toml"]\n{config}')
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "99-nvidia.toml").write_text(f"version = 2\n{text}\n")
    advice = (
        "containerd before 2.0 takes the whole table of the plugin from this imported file, and uses no mirror: repeat "
        "the registry table in it"
    )
    expected = [(f"etc/containerd/conf.d/99-nvidia.toml: plugins.{CRI}", "different", advice)] if is_replaced else []
    assert [each for each in found("containerd", node, version) if "conf.d" in each[0]] == expected
    assert not [each for each in found("containerd", node, version) if each[0].startswith("plugins")]
