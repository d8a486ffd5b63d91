"""Bootstrap images and repositories from lists: ``from:``, ``images_from:``, ``nodes collect``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.document import MirrorsFile
from registry_sync.config.rules import RepositoryRule
from registry_sync.oci.reference import Digest
from registry_sync.routes.load import load_healthy_mirrors, load_mirrors

DIGEST = f"sha256:{'a' * 64}"
LIST = f"""\
# kubeadm config images list
registry.k8s.io/pause:3.10
quay.io/team/app:v1
quay.io/team/app:v2@{DIGEST}
quay.io:443/team/agent
docker.io/library/alpine:3.20
busybox
"""
FILE = """\
registries:
  quay: {host: quay.io}
  hub: {host: docker.io}
  acr: {host: acr.example, private: true}
  cn: {host: cn.example, private: true}
mirrors:
  world:
    source: quay
    destinations: [acr, hub]
    repositories: {images_from: lists/nodes.txt, backup_tag: null}
  china: {source: quay, destinations: [cn], repositories: {images_from: [lists/nodes.txt]}}
nodes:
  outside: {registry: hub, mirrors: [acr], bootstrap_images: {from: lists/nodes.txt}}
  china: {registry: cn, bootstrap_images: [{image: "quay.io/team/app:v1"}, {image: "ghcr.io/a/b:v1"}]}
"""


def write(folder: Path, text: str = FILE, images: str = LIST) -> Path:
    path = folder / "mirrors.yaml"
    path.write_text(text)
    (folder / "lists").mkdir()
    (folder / "lists" / "nodes.txt").write_text(images)
    return path


@pytest.fixture
def file(tmp_path: Path) -> MirrorsFile:
    return load_mirrors(write(tmp_path))


def test_a_mirror_copies_the_images_of_its_source(file: MirrorsFile) -> None:
    found: list[Any] = []
    for rule in file.mirrors["world"].rules:
        assert isinstance(rule, RepositoryRule)
        found.append((rule.repository, rule.settings.tags.by_name))
    assert found == [("team/agent", ("latest",)), ("team/app", ("v1", "v2"))]


def test_bootstrap_images_are_placed_by_routes(file: MirrorsFile) -> None:
    """The hub has images by their own names, and what a route copies there; nothing brings the others."""
    outside, china = file.node_pools.values()
    placed = [(image.repository, image.tags.by_name) for image in outside.images if image.tags]
    assert placed == [
        ("team/app", ("v1", "v2")),
        ("team/agent", ("latest",)),
        ("library/alpine", ("3.20",)),
        ("library/busybox", ("latest",)),
    ]
    assert list(map(str, outside.unplaced)) == ["registry.k8s.io/pause:3.10"]
    assert [image.repository for image in china.images] == ["team/app"]
    assert list(map(str, china.unplaced)) == ["ghcr.io/a/b:v1"]


def test_digests_of_a_list_are_what_nodes_pull(tmp_path: Path) -> None:
    """Nodes pull a digest whatever the tag beside it names, and may run several images of one tag."""
    other = f"sha256:{'b' * 64}"
    names = ["app:v1", f"app:v1@{DIGEST}", f"app:v1@{other}", f"app:v2@{DIGEST}"]
    entries = ", ".join(f'{{image: "quay.io/team/{name}"}}' for name in names)
    text = FILE.replace("{from: lists/nodes.txt}", f"[{entries}]")
    outside = load_mirrors(write(tmp_path, text)).node_pools["outside"]
    pins = [dict(image.tags.named) for image in outside.images if image.tags]
    a, b = map(Digest.parse, (DIGEST, other))
    assert pins == [{"v1": None, "v2": a}, {"v1": a}, {"v1": b}]


@pytest.mark.parametrize("host", ["ghcr.io", "docker.io"])
def test_a_digest_alone_is_named_and_disturbs_nothing_else(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, images=f"{LIST}{host}/a/b@{DIGEST}\n")
    assert len(load_mirrors(path).mirrors["world"].rules) == 2
    assert main(["nodes", "audit", "--mirrors-file", str(path), "--pool", "outside"]) == FAILED
    assert (
        f"PROBLEM: {host}/a/b@{DIGEST}: a digest without a tag cannot be mirrored or checked; name it as "
        f"NAME:TAG@{DIGEST}"
    ) in capsys.readouterr().out.splitlines()


def test_a_wrong_digest_is_refused(tmp_path: Path) -> None:
    _, problems = load_healthy_mirrors(write(tmp_path, FILE.replace("ghcr.io/a/b:v1", "ghcr.io/a/b:v1@sha256:0")))
    assert problems[0] == (
        "mirrors.yaml:14: nodes.china.bootstrap_images[1].image: 'ghcr.io/a/b:v1@sha256:0': 'sha256:0' is not a "
        "sha256 or sha512 digest; a digest is sha256: and 64 digits of 0-9 and a-f"
    )


def test_a_folder_of_mirrors_files_has_its_lists_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "mirrors.d"
    folder.mkdir()
    write(folder)
    assert len(load_mirrors(folder).mirrors["world"].rules) == 2


def test_the_audit_names_what_no_route_brings(file: MirrorsFile, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes", "audit", "--mirrors-file", str(file.path), "--pool", "outside"]) == FAILED
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("PROBLEM")]
    assert problems[:2] == [
        "PROBLEM: registry.k8s.io/pause:3.10: nothing brings it to 'hub' (docker.io); mirror it there",
        (
            "PROBLEM: no route copies docker.io/library/alpine to 'acr': machines find it only at the registries "
            "after it; mirror it there"
        ),
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "{images_from: lists/nodes.txt, backup_tag: null",
            "{images_from: lists/none.txt",
            (
                "mirrors.yaml:10: mirrors.world.repositories: cannot read the list of images 'lists/none.txt' "
                "([Errno 2] No such file or directory: '{folder}/lists/none.txt')"
            ),
        ),
        (
            "{images_from: lists/nodes.txt, backup_tag",
            "{images_from: lists/nodes.txt, tags",
            "mirrors.yaml:10: mirrors.world.repositories: 'tags' cannot be beside images_from:, which names images",
        ),
        (
            "{from: lists/nodes.txt}",
            "{from: oci://charts.example/app}",
            (
                "mirrors.yaml:13: nodes.outside.bootstrap_images: 'oci://charts.example/app' is not a file; render a "
                "chart by helm template into nodes collect, and name the list"
            ),
        ),
        (
            "{from: lists/nodes.txt}",
            "{from: lists/nodes.txt, tags: x}",
            "mirrors.yaml:13: nodes.outside.bootstrap_images: unknown key 'tags' beside from:",
        ),
        (
            "quay: {host: quay.io}",
            "quay: {host: ghcr.io}",
            (
                "mirrors.yaml:10: mirrors.world.repositories: the list has no image of ghcr.io, the source; it has "
                "images of docker.io, quay.io, quay.io:443, registry.k8s.io"
            ),
        ),
    ],
)
def test_a_list_that_cannot_be_used_is_a_problem_of_its_entry(tmp_path: Path, old: str, new: str, problem: str) -> None:
    found, problems = load_healthy_mirrors(write(tmp_path, FILE.replace(old, new)))
    assert problems[0] == problem.format(folder=tmp_path)
    assert len(found.mirrors) + len(found.node_pools) < 4


@pytest.mark.parametrize("images", ["", "# nothing\n", f"quay.io/team/app@{DIGEST}\n"])
def test_a_list_without_usable_images_is_refused(tmp_path: Path, images: str) -> None:
    _, problems = load_healthy_mirrors(write(tmp_path, images=images))
    expected = (
        f"mirrors.yaml:10: mirrors.world.repositories: 'quay.io/team/app@{DIGEST}' has a digest and no tag; write "
        f"NAME:TAG@{DIGEST}"
        if images.startswith("quay")
        else "mirrors.yaml:10: mirrors.world.repositories: 'lists/nodes.txt' names no image"
    )
    assert problems[0] == expected


PODS = {
    "kind": "List",
    "items": [
        {
            "spec": {
                "containers": [{"image": "quay.io/team/app:v1"}],
                "initContainers": [{"image": "busybox:1.36"}],
                "volumes": [{"image": {"reference": "quay.io/team/data:v1"}}],
            },
            "status": {"containerStatuses": [{"image": "sha256:0000", "imageID": "x"}]},
        }
    ],
}
CHART = "---\nkind: DaemonSet\nspec: {template: {spec: {containers: [{image: 'quay.io/team/agent:v2'}]}}}\n"


def test_collect_reads_pods_charts_and_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pods, kubeadm, output = tmp_path / "pods.json", tmp_path / "kubeadm.txt", tmp_path / "nodes.txt"
    pods.write_text(json.dumps(PODS))
    kubeadm.write_text("registry.k8s.io/pause:3.10\n")
    output.write_text("quay.io/team/old:v1\nquay.io/team/app:v1\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CHART.encode())))
    assert main(["nodes", "collect", "--output", str(output), str(pods), str(kubeadm), "-"]) == OK
    assert capsys.readouterr().out == (
        "+ busybox:1.36\n+ quay.io/team/agent:v2\n+ quay.io/team/data:v1\n+ registry.k8s.io/pause:3.10\n"
        f"- quay.io/team/old:v1\n{output}: 5 images\n"
    )
    assert output.read_text() == (
        "# Images that nodes run, written by nodes collect. One a line.\nbusybox:1.36\nquay.io/team/agent:v2\n"
        "quay.io/team/app:v1\nquay.io/team/data:v1\nregistry.k8s.io/pause:3.10\n"
    )


def test_a_reader_of_the_list_never_sees_half_of_it(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text("quay.io/team/app:v1\n")
    output.write_text("quay.io/team/old:v1\n")
    with output.open() as reader:
        assert main(["nodes", "collect", "--output", str(output), str(source)]) == OK
        assert reader.read() == "quay.io/team/old:v1\n"
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it names no image; nothing was written"),
        (
            "image: {repository: quay.io/team/app, tag: v1}\n",
            "'quay.io/team/app' is only a part of an image's name, as in Helm values; render the chart first",
        ),
        ("image: 'quay.io/Team/app:v1'\n", "'quay.io/Team/app:v1' is not a valid image name: "),
    ],
)
def test_collect_never_writes_a_list_of_nothing(
    tmp_path: Path, text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as when the command before the pipe failed."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text(text)
    output.write_text("quay.io/team/app:v1\n")
    assert main(["nodes", "collect", "--output", str(output), str(source)]) == UNUSABLE
    assert capsys.readouterr().err.startswith(f"{source}: {problem}")
    assert output.read_text() == "quay.io/team/app:v1\n"
