"""Rendered files: golden files per runtime and version, and their content as a parser reads it.

To regenerate the golden files after an intended change: PYTHONPATH=plugins:. python -m tests.unit.nodes.test_render
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_sync.cli.arguments import OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import MirrorTrust, NodePool, PoolMirror, Runtime
from registry_sync.config.registry import Registry
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.render import RUNTIMES, RenderedFile, render_pool, write_files
from registry_sync.routes.load import load_mirrors

GOLDEN = Path(__file__).parent / "golden"
FILE = GOLDEN / "mirrors.yaml"

CASES: tuple[tuple[Runtime, str, str], ...] = (
    ("docker", "20.10", "outside_china"),
    ("docker", "19.3", "outside_china"),
    ("docker", "", "outside_china"),
    ("docker", "28", "china"),
    ("containerd", "1.6", "outside_china"),
    ("containerd", "1.7", "bytes_only"),
    ("containerd", "2.0", "outside_china"),
    ("containerd", "2.1", "outside_china"),
    ("containerd", "2.4", "outside_china"),
    ("containerd", "", "outside_china"),
    ("containerd", "1.7", "china"),
    ("containerd", "2.1", "china"),
    ("crio", "1.29", "outside_china"),
    ("crio", "", "bytes_only"),
    ("crio", "", "china"),
    ("k3s", "1.29", "outside_china"),
    ("k3s", "", "china"),
    ("talos", "1.11", "outside_china"),
    ("talos", "1.12", "outside_china"),
    ("talos", ">=1.10", "outside_china"),
    ("talos", "", "outside_china"),
    ("talos", "1.11", "china"),
    ("talos", "1.12", "china"),
)


def render_case(runtime: Runtime, version: str, pool: str) -> list[RenderedFile]:
    file = load_mirrors(FILE)
    return render_pool(file, file.node_pools[pool], runtime, Versions.parse(version) if version else Versions())


def folder_of(runtime: Runtime, version: str, pool: str) -> Path:
    return GOLDEN / f"{runtime}-{version.replace('>=', 'from-') or 'any'}-{pool}"


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_rendered_files_equal_the_golden_files(case: tuple[Runtime, str, str]) -> None:
    golden = folder_of(*case)
    expected = {str(path.relative_to(golden)): path.read_text() for path in golden.rglob("*") if path.is_file()}
    assert {str(file.path): file.text for file in render_case(*case)} == expected


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir() if path.is_dir()} == {folder_of(*each).name for each in CASES}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_lines_fit_a_terminal(case: tuple[Runtime, str, str]) -> None:
    """The files are read on machines, during outages."""
    for each in render_case(*case):
        lines = each.text.split("\n")
        assert lines.pop() == ""
        assert [line for line in lines if len(line) > 130 or line != line.rstrip()] == [], each.path
        assert "\n\n\n" not in each.text


def registry(name: str, host: str, **entry: Any) -> Registry:
    return Registry(name=name, host=host, **entry)


def pool_of(mirrors: Sequence[tuple[Registry, MirrorTrust]], host: str = "docker.io") -> tuple[MirrorsFile, NodePool]:
    registries = {"home": registry("home", host), **{mirror.name: mirror for mirror, _ in mirrors}}
    pool = NodePool(
        name="p",
        registry="home",
        pool_mirrors=tuple(PoolMirror(registry=mirror.name, trust=trust) for mirror, trust in mirrors),
    )
    return MirrorsFile(path=FILE, registries=registries, mirrors={}, node_pools={"p": pool}), pool


def rendered(
    mirrors: Sequence[tuple[Registry, MirrorTrust]], runtime: Runtime, version: str = "", host: str = "docker.io"
) -> dict[str, str]:
    file, pool = pool_of(mirrors, host)
    versions = Versions.parse(version) if version else Versions()
    return {each.path.name: each.text for each in render_pool(file, pool, runtime, versions)}


HOSTS = st.lists(
    st.from_regex(r"[a-z0-9]{1,8}\.example(:[1-9][0-9]{0,3})?", fullmatch=True), unique=True, min_size=0, max_size=4
)


@st.composite
def whole_trust(draw: st.DrawFn) -> list[tuple[Registry, MirrorTrust]]:
    names = draw(HOSTS)
    return [(registry(f"m{n}", host, tls=draw(st.booleans())), "pull+resolve") for n, host in enumerate(names)]


@st.composite
def any_trust(draw: st.DrawFn) -> list[tuple[Registry, MirrorTrust]]:
    trust = st.sampled_from(get_args(MirrorTrust))
    return [(each, draw(trust)) for each, _ in draw(whole_trust())]


def urls(mirrors: Sequence[tuple[Registry, MirrorTrust]]) -> list[str]:
    return [f"{'https' if mirror.tls else 'http'}://{mirror.host}" for mirror, _ in mirrors]


@settings(deadline=None)  # the first example reads the templates
@given(whole_trust(), st.sampled_from(["", "19.3", ">=19.3", "<20.10", ">=20.10", "20.10.24", ">=20.10, <29"]))
def test_dockerd_gets_the_mirrors_in_order(mirrors: list[tuple[Registry, MirrorTrust]], version: str) -> None:
    """An option that dockerd does not know keeps it from starting."""
    document = json.loads(rendered(mirrors, "docker", version)["daemon.json"])
    assert document.pop("registry-mirrors") == urls(mirrors)
    knows = version.strip(">=").startswith("20.10")
    assert document == ({"max-download-attempts": 1} if mirrors and knows else {})


@settings(deadline=None)  # the first example reads the templates
@given(any_trust(), st.sampled_from(["", "1.6", "1.7", "2.0", "2.1", ">=1.7", ">=2.1"]))
def test_containerd_gets_the_mirrors_in_order(mirrors: list[tuple[Registry, MirrorTrust]], version: str) -> None:
    document = tomllib.loads(rendered(mirrors, "containerd", version)["hosts.toml"])
    assert document.pop("server") == "https://registry-1.docker.io"
    hosts = document.pop("host", {})
    assert document == {}
    if not mirrors:
        assert list(hosts) == ([] if version.strip(">=").startswith("2") else ["https://registry-1.docker.io"])
        return
    assert list(hosts) == urls(mirrors)
    assert [host["capabilities"] for host in hosts.values()] == [trust.split("+") for _, trust in mirrors]
    honours = version in {"2.1", ">=2.1"}
    assert {host.get("dial_timeout") for host in hosts.values()} == {"2s" if honours else None}


@pytest.mark.parametrize(
    ("version", "document"),
    [
        ("", (2, "io.containerd.grpc.v1.cri")),
        ("1.6", (2, "io.containerd.grpc.v1.cri")),
        (">=1.7", (2, "io.containerd.grpc.v1.cri")),
        (">=1.7, <3", (2, "io.containerd.grpc.v1.cri")),
        (">=2", (3, "io.containerd.cri.v1.images")),
        ("2.1.9", (3, "io.containerd.cri.v1.images")),
        (">=2.3, <3", (3, "io.containerd.cri.v1.images")),
        ("2.4", (4, "io.containerd.cri.v1.images")),
        (">=2.4.2", (4, "io.containerd.cri.v1.images")),
        (">=3", (4, "io.containerd.cri.v1.images")),
    ],
)
def test_the_plugin_id_of_containerd_fits_the_version(version: str, document: tuple[int, str]) -> None:
    """With version = 3, containerd silently ignores the old plugin id, and the mirrors with it."""
    number, plugin = document
    assert tomllib.loads(rendered([], "containerd", version)["config.toml"]) == {
        "version": number,
        "plugins": {plugin: {"registry": {"config_path": "/etc/containerd/certs.d"}}},
    }


@settings(deadline=None)  # the first example reads the templates
@given(any_trust())
def test_cri_o_gets_the_mirrors_in_order(mirrors: list[tuple[Registry, MirrorTrust]]) -> None:
    table = {"prefix": "docker.io", "location": "docker.io"}
    tables = [
        {"location": mirror.host, "pull-from-mirror": "all" if trust == "pull+resolve" else "digest-only"}
        | ({} if mirror.tls else {"insecure": True})
        for mirror, trust in mirrors
    ]
    document = tomllib.loads(rendered(mirrors, "crio")["registries.conf"])
    assert document == {"registry": [{**table, "mirror": tables} if tables else table]}


@settings(deadline=None)  # the first example reads the templates
@given(whole_trust())
def test_k3s_gets_the_mirrors_in_order(mirrors: list[tuple[Registry, MirrorTrust]]) -> None:
    document = yaml.safe_load(rendered(mirrors, "k3s")["registries.yaml"])
    assert document == {"mirrors": {"docker.io": {"endpoint": urls(mirrors)}} if mirrors else {}}


@settings(deadline=None)  # the first example reads the templates
@given(whole_trust())
def test_talos_gets_the_mirrors_in_order(mirrors: list[tuple[Registry, MirrorTrust]]) -> None:
    newer = yaml.safe_load(rendered(mirrors, "talos", ">=1.12")["registry-mirrors.yaml"])
    assert newer == {
        "apiVersion": "v1alpha1",
        "kind": "RegistryMirrorConfig",
        "name": "docker.io",
        "endpoints": [{"url": url} for url in urls(mirrors)],
    }
    assert yaml.safe_load(rendered(mirrors, "talos")["registry-mirrors.yaml"]) == newer
    wanted = {"docker.io": {"endpoints": urls(mirrors)}} if mirrors else {}
    for version in (">=1.11", "1.11", "<2"):
        older = yaml.safe_load(rendered(mirrors, "talos", version)["registry-mirrors.yaml"])
        assert older == {"machine": {"registries": {"mirrors": wanted}}}


def test_containerd_finds_a_registry_with_a_port() -> None:
    """The folder may be HOST_PORT_ or HOST:PORT. Every file system supports the first name."""
    file, pool = pool_of([(registry("m", "acr.example"), "pull+resolve")], "local.example:5000")
    hosts = render_pool(file, pool, "containerd", Versions())[1]
    assert str(hosts.path) == "certs.d/local.example_5000_/hosts.toml"
    assert tomllib.loads(hosts.text)["server"] == "https://local.example:5000"


@pytest.mark.parametrize(
    ("host", "folder"),
    [("[fd00::1]:5000", "[fd00::1]_5000_"), ("[fd00::1]", "[fd00::1]"), ("acr.example", "acr.example")],
)
def test_the_folder_has_the_name_that_containerd_looks_for(host: str, folder: str) -> None:
    """The host, or with underscores around the port: hostDirectory in containerd's remotes/docker/config.

    containerd 1.6 rejects image names with an IPv6 address (observed); later versions were not tested.
    """
    file, pool = pool_of([], host)
    assert str(render_pool(file, pool, "containerd", Versions())[1].path) == f"certs.d/{folder}/hosts.toml"


@pytest.mark.parametrize("count", [0, 1])
def test_plain_http_is_configured_for_a_registry_without_tls(count: int) -> None:
    """Runtimes use HTTPS by default."""
    mirrors: list[tuple[Registry, MirrorTrust]] = [(registry("m", "acr.example"), "pull+resolve")]
    file, pool = pool_of(mirrors[:count], "local.example:5000")
    file = replace(file, registries={**file.registries, "home": registry("home", "local.example:5000", tls=False)})

    def text(runtime: Runtime, version: str = "1") -> str:
        return render_pool(file, pool, runtime, Versions.parse(version))[-1].text

    urls = [*["https://acr.example"][:count], "http://local.example:5000"]
    assert yaml.safe_load(text("k3s")) == {"mirrors": {"local.example:5000": {"endpoint": urls}}}
    machine = {"registries": {"mirrors": {"local.example:5000": {"endpoints": urls}}}}
    assert yaml.safe_load(text("talos")) == {"machine": machine}
    assert yaml.safe_load(text("talos", "1.12"))["endpoints"] == [{"url": url} for url in urls]
    assert tomllib.loads(text("containerd"))["server"] == "http://local.example:5000"
    assert tomllib.loads(text("crio"))["registry"][0]["insecure"] is True
    if not count:  # dockerd has mirrors for Docker Hub alone
        daemon, why = render_pool(file, pool, "docker", Versions())
        assert json.loads(daemon.text) == {"registry-mirrors": [], "insecure-registries": ["local.example:5000"]}
        assert (
            "- `insecure-registries`: local.example:5000 uses plain HTTP, which dockerd otherwise refuses." in why.text
        )


def test_rendered_files_apply_to_one_registry() -> None:
    for runtime in RUNTIMES:
        for each in render_case(runtime, "", "outside_china"):
            assert "_default" not in each.path.parts
            if each.path.suffix in {".yaml", ".toml", ".conf", ".json"}:
                code = "".join(
                    line for line in each.text.splitlines(keepends=True) if not line.lstrip().startswith("#")
                )
                assert "*" not in code
                assert "_default" not in code


@pytest.mark.parametrize("runtime", ["docker", "k3s", "talos"])
def test_a_pool_that_the_runtime_does_not_support_is_refused(runtime: Runtime) -> None:
    with pytest.raises(ConfigurationError) as caught:
        render_case(runtime, "", "bytes_only")
    assert str(caught.value) == (
        f"bytes_only: {runtime} cannot pull from a mirror without also resolving tags there, and 'acr' has "
        "trust: pull; use containerd or crio, or set trust: pull+resolve"
    )


def render(*arguments: str) -> int:
    return main(["nodes", "render", "--mirrors-file", str(FILE), *arguments])


def test_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--pool", "outside_china", "--runtime", "containerd", "--version", "2.1", "--output", str(tmp_path))
    assert render(*arguments) == OK
    paths = [tmp_path / "config.toml", tmp_path / "certs.d" / "docker.io" / "hosts.toml"]
    assert capsys.readouterr() == ("".join(f"{path}: written\n" for path in paths), "")
    assert (
        paths[1].read_text()
        == (folder_of("containerd", "2.1", "outside_china") / "certs.d" / "docker.io" / "hosts.toml").read_text()
    )
    assert render(*arguments) == OK
    assert capsys.readouterr() == ("".join(f"{path}: unchanged\n" for path in paths), "")


def test_files_that_differ_are_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "registries.yaml"
    arguments = ("--pool", "china", "--runtime", "k3s", "--output", str(tmp_path))
    assert render(*arguments) == OK
    path.write_text(path.read_text().replace("mirrors: {}", 'mirrors: {"*": {}}'))
    capsys.readouterr()
    assert render(*arguments) == UNUSABLE
    assert capsys.readouterr() == (
        "",
        (
            f"{path} exists and differs:\n"
            f"--- {path} (existing)\n"
            f"+++ {path} (rendered)\n"
            "@@ -7 +7 @@\n"
            '-mirrors: {"*": {}}\n'
            "+mirrors: {}\n"
            "no file was written; --force replaces files that differ\n"
        ),
    )
    assert render(*arguments, "--force") == OK
    assert capsys.readouterr() == (f"{path}: replaced\n", "")
    assert path.read_text().endswith("\nmirrors: {}\n")


def test_no_file_is_written_when_one_differs(tmp_path: Path) -> None:
    files = render_case("containerd", "2.1", "outside_china")
    (tmp_path / "config.toml").write_bytes(b"\xff\n" * 60)
    with pytest.raises(ConfigurationError) as caught:
        write_files(files, tmp_path, force=False)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path / 'config.toml'} exists and differs:"
    assert lines[-2].startswith("... and ")
    assert lines[-1] == "no file was written; --force replaces files that differ"
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_a_folder_in_place_of_a_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "registries.yaml"
    path.mkdir()
    assert render("--pool", "china", "--runtime", "k3s", "--output", str(tmp_path), "--force") == UNUSABLE
    assert capsys.readouterr() == ("", f"{path}: cannot read it ([Errno 21] Is a directory: '{path}')\n")


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    assert render("--pool", "china", "--runtime", "k3s", "--output", str(tmp_path / "taken")) == UNUSABLE
    path = tmp_path / "taken" / "registries.yaml"
    assert capsys.readouterr() == (
        "",
        f"{path}: cannot write it ([Errno 17] File exists: '{tmp_path / 'taken'}')\n",
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--pool", "chine"],
            "no pool 'chine' under nodes: in {file}; it has outside_china, bytes_only, china",
        ),
        (
            ["--pool", "china"],
            "the runtime of pool 'china' is unknown; give --runtime, or set runtime: of the pool",
        ),
        (
            ["--pool", "bytes_only", "--version", "2.1"],
            "pool 'bytes_only' has containerd >=1.6, <2, which excludes '2.1'; fix --version or the pool",
        ),
        (
            ["--pool", "china", "--runtime", "crio", "--version", "new"],
            "'new' is not a version range; write one such as '>=1.7' or '>=1.7, <2'",
        ),
    ],
)
def test_invalid_arguments_are_refused(
    tmp_path: Path, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render(*arguments, "--output", str(tmp_path / "out")) == UNUSABLE
    assert capsys.readouterr() == ("", problem.format(file=FILE) + "\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "is_version_2"), [([], True), (["--version", "1.7"], True), (["--runtime", "crio"], None)]
)
def test_runtime_and_version_default_to_those_of_the_pool(
    tmp_path: Path, arguments: list[str], is_version_2: bool | None
) -> None:
    assert render("--pool", "bytes_only", "--output", str(tmp_path), *arguments) == OK
    config = tmp_path / "config.toml"
    assert (config.exists() and tomllib.loads(config.read_text())["version"] == 2) is bool(is_version_2)


if __name__ == "__main__":
    for old in (each for each in GOLDEN.iterdir() if each.is_dir()):
        shutil.rmtree(old)
    for each_case in CASES:
        write_files(render_case(*each_case), folder_of(*each_case), force=True)
