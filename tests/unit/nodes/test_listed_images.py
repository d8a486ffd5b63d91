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

DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
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
        f"NAME:TAG@{DIGEST}, with any TAG of your own"
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
        f"mirrors.yaml:10: mirrors.world.repositories: lists/nodes.txt:1: 'quay.io/team/app@{DIGEST}' has a digest and "
        f"no tag; write quay.io/team/app:TAG@{DIGEST}, with any TAG of your own, or remove it"
        if images.startswith("quay")
        else "mirrors.yaml:10: mirrors.world.repositories: 'lists/nodes.txt' names no image"
    )
    assert problems[0] == expected


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (
            f"quay.io/team/app:v2@{OTHER}",
            (
                f"'quay.io/team/app:v2@{OTHER}' has another digest than the same tag before, {DIGEST}; a mirror copies "
                "one: remove the other"
            ),
        ),
        (
            "quay.io/Team/app:v1",
            "'Team/app' is not a repository name: upper-case letters are not allowed; write 'team/app'",
        ),
        (
            "quay.io/team/app:v1@sha256:0",
            (
                "'quay.io/team/app:v1@sha256:0': 'sha256:0' is not a sha256 or sha512 digest; a digest is sha256: and "
                "64 digits of 0-9 and a-f"
            ),
        ),
    ],
)
def test_a_problem_of_a_list_names_its_line(tmp_path: Path, image: str, problem: str) -> None:
    _, problems = load_healthy_mirrors(write(tmp_path, images=f"{LIST}{image}\n"))
    assert problems[0] == f"mirrors.yaml:10: mirrors.world.repositories: lists/nodes.txt:8: {problem}"


@pytest.mark.parametrize("names", [("app:v1", f"app:v1@{DIGEST}"), (f"app:v1@{DIGEST}", "app:v1")])
def test_a_mirror_takes_the_pinned_one_of_two_names(tmp_path: Path, names: tuple[str, str]) -> None:
    path = write(tmp_path, images="".join(f"quay.io/team/{name}\n" for name in names))
    (rule,) = load_mirrors(path).mirrors["world"].rules
    assert isinstance(rule, RepositoryRule)
    assert dict(rule.settings.tags.named) == {"v1": Digest.parse(DIGEST)}


def test_a_custom_resource_without_a_tag_is_a_problem_of_a_list(tmp_path: Path) -> None:
    resource = "apiVersion: v1\nkind: App\nimage: {repository: quay.io/team/a}\n"
    _, problems = load_healthy_mirrors(write(tmp_path, images=resource))
    assert problems[0] == (
        "mirrors.yaml:10: mirrors.world.repositories: lists/nodes.txt:3: 'quay.io/team/a' is not a whole image with "
        "the tag beside it; list the image by name, and write a list by nodes collect"
    )


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


def collect(tmp_path: Path, text: str) -> tuple[int, Path, Path]:
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text(text)
    return main(["nodes", "collect", "--output", str(output), str(source)]), source, output


def written(output: Path) -> list[str]:
    return output.read_text().splitlines()[1:]


def test_collect_leaves_out_a_digest_without_a_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mirror refuses it, with all other images of its list."""
    code, source, output = collect(tmp_path, f"quay.io/team/app:v1\nquay.io/team/pause@{DIGEST}\n")
    reason = (
        f"quay.io/team/pause@{DIGEST} has a digest and no tag; name it as quay.io/team/pause:TAG@{DIGEST} in another "
        "input, with any TAG of your own"
    )
    assert (code, capsys.readouterr().err) == (FAILED, f"{source}:2: left out: {reason}\n")
    assert written(output) == ["quay.io/team/app:v1", f"# left out: {reason}"]
    lists = tmp_path / "mirrors"
    lists.mkdir()
    assert load_mirrors(write(lists, images=f"{LIST}{output.read_text()}")).mirrors["world"]


def test_collect_takes_the_tag_of_a_digest_from_another_image(tmp_path: Path) -> None:
    image = f"quay.io/team/pause:v1@{DIGEST}"
    code, _, output = collect(tmp_path, f"{image}\nquay.io/team/pause@{DIGEST}\n")
    assert (code, written(output)) == (OK, [image])


def test_collect_writes_the_tag_that_machines_pull_without_one(tmp_path: Path) -> None:
    code, _, output = collect(tmp_path, "nginx\nnginx:latest\nquay.io:443/team/app\n")
    assert (code, written(output)) == (OK, ["nginx:latest", "quay.io:443/team/app:latest"])


def test_collect_creates_the_folder_of_its_list(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "lists" / "new" / "out"
    source.write_text("quay.io/team/app:v1\n")
    assert main(["nodes", "collect", "--output", str(output), str(source)]) == OK
    assert written(output) == ["quay.io/team/app:v1"]


CUSTOM = """\
image: quay.io/team/plain:v1
---
apiVersion: example.org/v1
kind: App
spec:
  a: {image: {repository: quay.io/team/a, tag: 1.10}}
  b: {image: {registry: quay.io, repository: team/b, tag: v2, digest: %s}}
  c: {image: {repository: quay.io/team/c}}
  d: {image: {repository: quay.io/team/d, tag: null}}
  e: {image: {repository: quay.io/team/e, tag: "{{ version }}"}}
status: {image: {repository: quay.io/team/f}}
"""


def test_collect_reads_images_of_custom_resources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that has no tag beside its repository is named, and the others are written."""
    code, source, output = collect(tmp_path, CUSTOM % DIGEST)
    assert (code, written(output)) == (
        FAILED,
        ["quay.io/team/a:1.10", f"quay.io/team/b:v2@{DIGEST}", "quay.io/team/plain:v1"],
    )
    assert capsys.readouterr().err.splitlines() == [
        f"{source}:{line}: 'quay.io/team/{name}' is not a whole image with the tag beside it; list the image by name"
        for line, name in ((8, "c"), (9, "d"), (10, "e"))
    ]


def test_collect_takes_the_tag_of_a_custom_resource_from_another_image(tmp_path: Path) -> None:
    """Such as from the running pods: the operator knows the tag."""
    resource = "apiVersion: v1\nkind: App\nimage: {registry: quay.io, repository: team/a}\n"
    code, _, output = collect(tmp_path, f"{resource}---\nimage: quay.io/team/a:v1\n")
    assert (code, written(output)) == (OK, ["quay.io/team/a:v1"])


def test_collect_reads_images_of_custom_resources_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [{"repository": "quay.io/team/a", "tag": "v1"}, {"repository": "quay.io/team/b"}]
    items = [{"apiVersion": "example.org/v1", "kind": "App", "spec": {"image": image}} for image in images]
    code, source, output = collect(tmp_path, json.dumps({"items": items}))
    assert (code, written(output)) == (FAILED, ["quay.io/team/a:v1"])
    assert capsys.readouterr().err == (
        f"{source}: 'quay.io/team/b' is not a whole image with the tag beside it; list the image by name\n"
    )


def test_a_reader_of_the_list_never_sees_half_of_it(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text("quay.io/team/app:v1\n")
    output.write_text("quay.io/team/old:v1\n")
    with output.open() as reader:
        assert main(["nodes", "collect", "--output", str(output), str(source)]) == OK
        assert reader.read() == "quay.io/team/old:v1\n"
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


PART = ": 'quay.io/team/app' is only a part of an image's name, as in Helm values; render the chart first\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": it names no image; nothing was written\n"),
        ("image: {repository: quay.io/team/app, tag: v1}\n", PART),
        ("apiVersion: v2\nname: chart\nimage: {repository: quay.io/team/app, tag: v1}\n", PART),
        ('{"image": {"repository": "quay.io/team/app", "tag": "v1"}}', PART),
        (
            "image: 'quay.io/Team/app:v1'\n",
            (
                ":1: 'quay.io/Team/app:v1' is not a valid image name: 'Team/app' is not a repository name: upper-case "
                "letters are not allowed; write 'team/app'; nothing was written\n"
            ),
        ),
        (
            f"# head\nquay.io/team/app@{DIGEST}\n",
            (
                f":2: left out: quay.io/team/app@{DIGEST} has a digest and no tag; name it as "
                f"quay.io/team/app:TAG@{DIGEST} in another input, with any TAG of your own\nno image is left; "
                "nothing was written\n"
            ),
        ),
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
    assert capsys.readouterr().err == f"{source}{problem}"
    assert output.read_text() == "quay.io/team/app:v1\n"
