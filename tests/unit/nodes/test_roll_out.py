"""``nodes render --as``: the script against a fake root, and the forms that carry it."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_sync.cli.arguments import UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import Runtime
from registry_sync.config.runtime_versions import Versions
from registry_sync.nodes.audit_node import audit_node
from registry_sync.nodes.roll_out.forms import FORMS, render_as
from registry_sync.routes.load import load_mirrors
from tests.unit.nodes.test_audit_nodes import baseline
from tests.unit.nodes.test_render import FILE

IMAGES, CRI = "io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri"


def rendered(
    form: str, runtime: Runtime | None = "containerd", pool: str = "outside_china", version: str = "2.1"
) -> str:
    file = load_mirrors(FILE)
    versions = Versions.parse(version) if runtime else Versions()
    return render_as(form, file, file.node_pools[pool], runtime, versions).text


def install(
    root: Path, runtime: Runtime = "containerd", restart: str = "", version: str = "2.1"
) -> tuple[int, list[str], str]:
    """Run the script against a fake root. ``restarts`` has the commands that would run on the machine.

    :param restart: the command that stands for a restart, instead of the one that records it.
    """
    command = ["sh", "-c", rendered("script", runtime, version=version)]
    environment = {"ROOT": str(root), "RESTART": restart or f"{root}/record", "PATH": "/usr/bin:/bin"}
    root.mkdir(exist_ok=True)
    (root / "record").write_text(f'#!/bin/sh\necho "$1" >> {root}/restarts\n')
    (root / "record").chmod(0o755)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def restarts(root: Path) -> list[str]:
    log = root / "restarts"
    return log.read_text().splitlines() if log.exists() else []


ACR = "gsoci.azurecr.io"
HOSTS = "/etc/containerd/certs.d/docker.io/hosts.toml"
CONFIGS = {
    "list": (
        f'version = 3\n[plugins."{IMAGES}".registry]\n  config_path = "/etc/containerd/certs.d:/etc/docker/certs.d"\n'
    ),
    "as containerd writes it": (
        f"version = 4\n[plugins.'{IMAGES}'.registry]\n  config_path = ''\n"
        "[plugins.'io.containerd.transfer.v1.local']\n  config_path = ''\n"
    ),
    "no section": 'version = 2\nroot = "/data"\n',
    "section without it": f'version = 3\n[plugins."{IMAGES}".registry]\n[plugins."{IMAGES}".registry.headers]\n',
}


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_node_is_as_rendered_afterwards_and_restarted_once(tmp_path: Path, text: str) -> None:
    root = tmp_path / "root"
    config = root / "etc" / "containerd" / "config.toml"
    left_over = config.parent / "certs.d" / "_default" / "hosts.toml"
    left_over.parent.mkdir(parents=True)
    left_over.write_text('[host."https://gsoci.azurecr.io"]\n')
    config.write_text(text)
    written, edited = f"{HOSTS}: written", "/etc/containerd/config.toml: config_path written"
    removed = "/etc/containerd/certs.d/_default: removed"
    assert install(root) == (0, [written, removed, edited], "")
    assert audit_node(baseline("containerd", "2.1" if "version = 4" not in text else "2.4"), root).problem == ""
    plugins = tomllib.loads(config.read_text())["plugins"]
    plugin = CRI if "version = 2" in text else IMAGES
    assert plugins[plugin]["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert plugins.get("io.containerd.transfer.v1.local", {"config_path": ""}) == {"config_path": ""}
    assert install(root) == (0, [], "")
    assert restarts(root) == ["systemctl try-restart containerd"]
    (root / HOSTS.lstrip("/")).write_text("old")
    assert install(root) == (0, [written], "")
    assert restarts(root) == ["systemctl try-restart containerd"]  # hosts.toml is read at every pull


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "/etc/containerd/config.toml: not there; write one by: containerd config default\n"),
        ("", "/etc/containerd/config.toml: version '' is not 2, 3 or 4; nothing was changed in it\n"),
        ("version = 5\n", "/etc/containerd/config.toml: version '5' is not 2, 3 or 4; nothing was changed in it\n"),
    ],
)
def test_a_config_of_an_unknown_form_is_kept(tmp_path: Path, text: str | None, problem: str) -> None:
    config = tmp_path / "etc" / "containerd" / "config.toml"
    config.parent.mkdir(parents=True)
    if text is not None:
        config.write_text(text)
    code, _, errors = install(tmp_path)
    assert (code, errors) == (1, problem)
    assert (config.read_text() if config.exists() else None) == text
    assert restarts(tmp_path) == []


@pytest.mark.parametrize(
    ("runtime", "action"),
    [
        ("crio", "systemctl try-reload-or-restart crio"),
        ("k3s", 'systemctl try-restart "k3s*.service" "rke2-*.service"'),
    ],
)
def test_other_runtimes_get_their_file_and_one_restart(tmp_path: Path, runtime: Runtime, action: str) -> None:
    assert install(tmp_path, runtime)[0] == 0
    assert install(tmp_path, runtime) == (0, [], "")
    assert audit_node(baseline(runtime), tmp_path).differences == ()
    assert restarts(tmp_path) == [action]


def test_rke2_has_a_home_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "etc" / "rancher" / "rke2").mkdir(parents=True)
    assert install(tmp_path, "k3s") == (0, ["/etc/rancher/rke2/registries.yaml: written"], "")


@pytest.mark.parametrize("form", ["cloud-init", "butane", "ansible", "daemonset"])
@pytest.mark.parametrize("runtime", ["containerd", "crio", "k3s"])
def test_every_form_carries_the_same_script(form: str, runtime: Runtime) -> None:
    script = rendered("script", runtime)
    documents = list(yaml.safe_load_all(rendered(form, runtime)))
    assert script in texts(documents)


def texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_eks_gets_one_folder_in_its_node_config() -> None:
    """The configuration of its images has a list."""
    _, script, config = rendered("eks").split("--//\n")
    assert subprocess.run(["sh", "-n"], input=script.partition("\n\n")[2], text=True, check=False).returncode == 0
    node = yaml.safe_load(config.partition("\n\n")[2].removesuffix("--//--\n"))
    assert node["kind"] == "NodeConfig"
    registry = {"registry": {"config_path": "/etc/containerd/certs.d"}}
    assert tomllib.loads(node["spec"]["containerd"]["config"]) == {"plugins": {CRI: registry, IMAGES: registry}}


def test_kind_mounts_hosts_toml() -> None:
    cluster = yaml.safe_load(rendered("kind"))
    assert cluster["nodes"][0]["extraMounts"] == [{"hostPath": "certs.d/docker.io/hosts.toml", "containerPath": HOSTS}]
    assert tomllib.loads(cluster["containerdConfigPatches"][0])["plugins"].keys() == {CRI, IMAGES}


def test_buildkit_has_its_own_file() -> None:
    text = rendered("buildkit", None)
    assert tomllib.loads(text) == {
        "registry": {
            "docker.io": {"mirrors": ["gsoci.azurecr.io", "mirror.internal.example:5000", "mirror.office.example"]},
            "mirror.internal.example:5000": {"http": True},
            "mirror.office.example": {},
        }
    }
    assert text.endswith('  # Its certificate is signed by your own authority: ca = ["/path/on/the/builder.pem"]\n')


def with_nodes(tmp_path: Path, nodes: str) -> MirrorsFile:
    path = tmp_path / "mirrors.yaml"
    path.write_text(FILE.read_text().partition("nodes:")[0] + f"nodes: {{pool: {nodes}}}\n")
    return load_mirrors(path)


MIXED = "{registry: hub, mirrors: [acr, {registry: office, trust: pull}], runtime: containerd}"


def render_mixed(tmp_path: Path, form: str) -> str:
    """A pool with a mirror that is trusted with tags, and one that is not."""
    file = with_nodes(tmp_path, MIXED)
    return render_as(form, file, file.node_pools["pool"], None, Versions()).text


def test_buildkit_gets_no_mirror_that_is_not_trusted_with_tags(tmp_path: Path) -> None:
    assert tomllib.loads(render_mixed(tmp_path, "buildkit")) == {"registry": {"docker.io": {"mirrors": [ACR]}}}


def test_gke_gets_the_trust_of_each_mirror(tmp_path: Path) -> None:
    text = render_mixed(tmp_path, "gke")
    pull, resolve = "HOST_CAPABILITY_PULL", "HOST_CAPABILITY_RESOLVE"
    hosts = [
        {"host": ACR, "capabilities": [pull, resolve], "dialTimeout": "2s"},
        {"host": "mirror.office.example", "capabilities": [pull], "dialTimeout": "2s"},
    ]
    assert yaml.safe_load(text) == {"registryHosts": [{"server": "docker.io", "hosts": hosts}]}
    assert "# mirror.office.example has its own authority: add ca:" in text


def test_openshift_gets_tags_only_from_mirrors_that_are_trusted_with_them(tmp_path: Path) -> None:
    by_digest, by_tag = yaml.safe_load_all(render_mixed(tmp_path, "openshift"))
    assert (by_digest["kind"], by_tag["kind"]) == ("ImageDigestMirrorSet", "ImageTagMirrorSet")
    source = {"source": "docker.io", "mirrorSourcePolicy": "AllowContactingSource"}
    assert by_digest["spec"]["imageDigestMirrors"] == [{**source, "mirrors": [ACR, "mirror.office.example"]}]
    assert by_tag["spec"]["imageTagMirrors"] == [{**source, "mirrors": [ACR]}]


def test_a_daemon_set_updates_node_by_node() -> None:
    """A new script has a ConfigMap of its own, so that running pods do not apply it before the update reaches them."""
    config_map, daemon_set = yaml.safe_load_all(rendered("daemonset"))
    pod = daemon_set["spec"]["template"]["spec"]
    assert pod["volumes"][1]["configMap"]["name"] == config_map["metadata"]["name"]
    other = next(yaml.safe_load_all(rendered("daemonset", "crio")))
    assert config_map["metadata"]["name"] != other["metadata"]["name"]
    assert pod["containers"][0]["readinessProbe"]["exec"]["command"] == ["test", "-e", "/run/as-rendered"]


@pytest.mark.parametrize(
    ("name", "expected"), [("Outside_China", "outside-china"), ("_a-", "a"), ("x" * 99, "x" * 40), ("_", "pool")]
)
def test_names_are_those_that_kubernetes_accepts(tmp_path: Path, name: str, expected: str) -> None:
    file = with_nodes(tmp_path, MIXED)
    pool = replace(file.node_pools["pool"], name=name)
    text = render_as("daemonset", file, pool, "containerd", Versions()).text
    assert list(yaml.safe_load_all(text))[1]["metadata"]["name"] == f"registry-mirrors-{expected}"


def render(tmp_path: Path, *arguments: str) -> int:
    return main(["nodes", "render", "--mirrors-file", str(FILE), "--output", str(tmp_path), *arguments])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--pool", "china", "--as", "script"],
            "the runtime of pool 'china' is unknown; give --runtime, or set runtime: of the pool",
        ),
        (
            ["--pool", "china", "--as", "buildkit"],
            "pool 'china' has no mirrors; there is nothing to render as buildkit",
        ),
        (
            ["--pool", "outside_china", "--as", "kyverno"],
            (
                "pool 'outside_china' has mirrors, which machines would no longer ask for renamed images; kyverno is "
                "for a pool without mirrors"
            ),
        ),
        (
            ["--pool", "outside_china", "--runtime", "docker", "--as", "cloud-init"],
            (
                "docker has one file for all its settings, which cannot be replaced by a script: render without "
                "--as, and merge the file"
            ),
        ),
        (
            ["--pool", "outside_china", "--as", "openshift"],
            (
                "pool 'outside_china': OpenShift's mirror set has no setting for plain HTTP, which mirror 'site' needs "
                "(tls: false)"
            ),
        ),
        (
            ["--pool", "outside_china", "--as", "gke"],
            (
                "pool 'outside_china': GKE's registryHosts has no setting for plain HTTP, which mirror 'site' needs "
                "(tls: false)"
            ),
        ),
        (
            ["--pool", "bytes_only", "--as", "buildkit"],
            (
                "pool 'bytes_only': BuildKit takes tags from its mirrors, and no mirror of the pool is trusted with "
                "them (trust: pull+resolve)"
            ),
        ),
        (
            ["--pool", "outside_china", "--runtime", "k3s", "--as", "kind"],
            "kind runs containerd; give --runtime containerd",
        ),
    ],
)
def test_forms_that_do_not_fit_are_refused(
    tmp_path: Path, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render(tmp_path, *arguments) == UNUSABLE
    assert capsys.readouterr() == ("", f"{problem}\n")


def test_a_form_is_one_file(tmp_path: Path) -> None:
    file = with_nodes(tmp_path, MIXED)
    for form in FORMS.keys() - {"kyverno"}:
        text = render_as(form, file, file.node_pools["pool"], "containerd", Versions()).text
        assert text.endswith("\n")
