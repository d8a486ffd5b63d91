"""``nodes images``: the map of names at a pool's registry, and lists and manifests rewritten by it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.rewrite_manifests import rewrite
from registry_sync.oci.reference import Repository
from registry_sync.routes.image_names import NameMap
from registry_sync.routes.load import load_mirrors

MIRRORS = """\
registries:
  quay: {host: quay.io}
  hub: {host: docker.io}
  acr: {host: acr.example, private: true}
  cn: {host: cn.example, private: true}
mirrors:
  world:
    source: quay
    destinations: [acr, hub]
    repositories: [{namespace: team, exclude: ["*-test"]}, {repository: team/tool, rename: tools/tool}]
  base: {source: hub, destinations: [acr], repositories: [library/alpine]}
  china:
    source: quay
    destinations: [cn]
    repositories:
      - {namespace: team, include: ["*-app", agent-?], tags: {exclude: ["*-dev"]}}
      - {repository: team/tool, rename: flat/team-tool}
  china_base: {source: hub, destinations: [cn], repositories: [library/alpine]}
nodes:
  china: {registry: cn}
  outside_china: {registry: hub, mirrors: [acr]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mirrors.yaml"
    path.write_text(MIRRORS)
    return path


@pytest.fixture
def names(path: Path) -> NameMap:
    file = load_mirrors(path)
    return NameMap(file, file.node_pools["china"])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("quay.io/team/one-app", "cn.example/team/one-app"),
        ("docker.io/team/one-app", "cn.example/team/one-app"),
        ("acr.example/team/one-app", "cn.example/team/one-app"),
        ("quay.io/team/agent-x", "cn.example/team/agent-x"),
        ("quay.io/team/tool", "cn.example/flat/team-tool"),
        ("docker.io/tools/tool", "cn.example/flat/team-tool"),
        ("alpine", "cn.example/library/alpine"),
        ("cn.example/team/whatever", "cn.example/team/whatever"),
        ("quay.io/team/one-app-test", None),
        ("quay.io/team/agent-xy", None),
        ("docker.io/team/tool", None),
        ("docker.io/library/busybox", None),
        ("ghcr.io/team/one-app", None),
    ],
)
def test_an_image_is_found_at_the_registry_of_the_pool(names: NameMap, image: str, expected: str | None) -> None:
    renamed = names.find(Repository.parse(image))
    assert (str(renamed.repository) if renamed else None) == expected


def test_the_map_is_printed_as_a_table(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes", "images", "--mirrors-file", str(path), "--pool", "china"]) == OK
    assert capsys.readouterr() == (
        dedent("""\
            image                       becomes                      by          but not
            ──────────────────────────  ───────────────────────────  ──────────  ───────
            acr.example/library/alpine  → cn.example/library/alpine  china_base  -
            acr.example/tools/tool      → cn.example/flat/team-tool  china       -
            docker.io/library/alpine    → cn.example/library/alpine  china_base  -
            docker.io/tools/tool        → cn.example/flat/team-tool  china       -
            quay.io/team/*-app          → cn.example/team/*-app      china       -
            quay.io/team/agent-?        → cn.example/team/agent-?    china       -
            quay.io/team/tool           → cn.example/flat/team-tool  china       -
            """),
        "",
    )


def test_the_map_is_printed_as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes", "images", "--mirrors-file", str(path), "--pool", "china", "--json"]) == OK
    rows = json.loads(capsys.readouterr().out)
    assert rows[-1] == {
        "image": "quay.io/team/tool",
        "becomes": "cn.example/flat/team-tool",
        "mirrors": ["china"],
        "excluded": [],
        "namespace": "",
    }


def test_the_map_of_a_pool_with_mirrors_has_names_at_its_fallback(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nodes", "images", "--mirrors-file", str(path), "--pool", "outside_china"]) == OK
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(line[0], line[2], line[4]) for line in lines if line[0].startswith(("quay", "acr"))] == [
        ("acr.example/library/alpine", "docker.io/library/alpine", "-"),
        ("acr.example/team/*", "docker.io/team/*", "*-test"),
        ("acr.example/tools/tool", "docker.io/tools/tool", "-"),
        ("quay.io/team/*", "docker.io/team/*", "*-test"),
        ("quay.io/team/*-app", "docker.io/team/*-app", "-"),
        ("quay.io/team/agent-?", "docker.io/team/agent-?", "-"),
        ("quay.io/team/tool", "docker.io/tools/tool", "-"),
    ]


LIST = """\
# what nodes need
quay.io/team/one-app:v1   # the app

  alpine\t
alpine@sha256:0000
cn.example/team/one-app:v2
"""


def test_a_list_is_rewritten(names: NameMap) -> None:
    result = rewrite(LIST, "images.txt", names)
    assert result.text == LIST.replace("quay.io/", "cn.example/").replace("alpine", "cn.example/library/alpine")
    assert (result.renamed, result.problems) == (3, ())


MANIFEST = """\
# quay.io/team/one-app in a comment stays
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: quay.io/team/one-app, annotations: {"image": 'quay.io/team/one-app:v1'}}
spec:
  template:
    spec:
      initContainers:
      - {name: a, image: "docker.io/team/one-app:v1@sha256:00"}
      containers:
      -   image:   quay.io/team/tool:v3    # keep   this
          name: "quay.io/team/tool"
          args: ["--image=quay.io/team/tool"]
      - image: >-
          quay.io/team/agent-x:v1
      - &again
        image: alpine
      - *again
      volumes:
      - image: {reference: quay.io/team/one-app:v1, pullPolicy: Always}
---
---
kind: List
images: [alpine:3, 'tools/tool']
"""


def test_a_manifest_is_rewritten(names: NameMap) -> None:
    result = rewrite(MANIFEST, "deploy.yaml", names)
    changed = [
        (old, new) for old, new in zip(MANIFEST.splitlines(), result.text.splitlines(), strict=True) if old != new
    ]
    assert changed == [
        (
            """metadata: {name: quay.io/team/one-app, annotations: {"image": 'quay.io/team/one-app:v1'}}""",
            """metadata: {name: quay.io/team/one-app, annotations: {"image": 'cn.example/team/one-app:v1'}}""",
        ),
        (
            '      - {name: a, image: "docker.io/team/one-app:v1@sha256:00"}',
            '      - {name: a, image: "cn.example/team/one-app:v1@sha256:00"}',
        ),
        (
            "      -   image:   quay.io/team/tool:v3    # keep   this",
            "      -   image:   cn.example/flat/team-tool:v3    # keep   this",
        ),
        ("          quay.io/team/agent-x:v1", "          cn.example/team/agent-x:v1"),
        ("        image: alpine", "        image: cn.example/library/alpine"),
        (
            "      - image: {reference: quay.io/team/one-app:v1, pullPolicy: Always}",
            "      - image: {reference: cn.example/team/one-app:v1, pullPolicy: Always}",
        ),
        (
            "images: [alpine:3, 'tools/tool']",
            "images: [cn.example/library/alpine:3, 'cn.example/flat/team-tool']",
        ),
    ]
    assert (result.renamed, result.problems) == (8, ())


@pytest.mark.parametrize(
    "text", [MANIFEST.replace("\n", "\r\n"), "\ufeff" + MANIFEST, MANIFEST.rstrip("\n"), f"# 漢字 🐳\n{MANIFEST}"]
)
def test_everything_except_images_is_kept(names: NameMap, text: str) -> None:
    """Line ends, a byte order mark, the end of the file, and multi-byte characters."""
    plain = rewrite(MANIFEST, "x", names).text
    assert rewrite(text, "x", names).text == text.replace(MANIFEST.rstrip("\n"), plain.rstrip("\n")).replace(
        MANIFEST.replace("\n", "\r\n"), plain.replace("\n", "\r\n")
    )


def test_json_is_rewritten_as_yaml(names: NameMap) -> None:
    text = '{"spec": {"containers": [{"image": "quay.io/team/one-app:v1"}]}}'
    assert rewrite(text, "x.json", names).text == text.replace("quay.io", "cn.example")


def test_the_default_port_of_a_registry_is_dropped(names: NameMap) -> None:
    """The machines' configuration is by name: it does not apply to ``cn.example:443``."""
    text = "quay.io:443/team/tool:v1\ncn.example:443/team/x-app\ndocker.io:443/alpine\ncn.example/a:443\n"
    assert rewrite(text, "x", names).text == (
        "cn.example/flat/team-tool:v1\ncn.example/team/x-app\ncn.example/library/alpine\ncn.example/a:443\n"
    )


def test_names_at_the_pools_own_registry_stay(path: Path) -> None:
    file = load_mirrors(path)
    names = NameMap(file, file.node_pools["outside_china"])
    text = "alpine\nindex.docker.io/library/alpine:3\ndocker.io/team/app\n"
    assert rewrite(text, "x", names).text == text


def test_a_yaml_list_is_rewritten(names: NameMap) -> None:
    assert rewrite("- alpine\n- quay.io/team/tool:v1\n", "x", names).text == (
        "- cn.example/library/alpine\n- cn.example/flat/team-tool:v1\n"
    )


UNKNOWN = "no route copies docker.io/library/busybox to 'cn' (cn.example); mirror it there"


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("busybox:1.36", f"busybox:1.36: {UNKNOWN}"),
        (
            "quay.io/team/one-app:v1-dev",
            "quay.io/team/one-app:v1-dev: mirror 'china' skips the tag 'v1-dev': excluded by '*-dev'",
        ),
        (
            '"{{ .Values.image }}"',
            (
                "'{{ .Values.image }}' is not a valid image name: '{{ .Values.image }}' is not a repository name: "
                "only a-z, 0-9 and single '.', '_', '-' or '__' between them, in parts separated by '/'"
            ),
        ),
        ('""', "'' is not a valid image name: '' is not a repository name: it is empty"),
        (
            "{repository: quay.io/team/one-app, tag: v1}",
            "'quay.io/team/one-app' is only a part of an image's name, as in Helm values; render the chart first",
        ),
        ("alpine:-x", "'alpine:-x' is not a valid image name: 'alpine:-x': '-x' is not a tag"),
        (
            '"quay.io/team/\\\n    one-app"',
            "'quay.io/team/one-app' is split over several lines; write it in one line",
        ),
    ],
)
def test_an_image_that_cannot_be_renamed_is_reported(names: NameMap, image: str, problem: str) -> None:
    text = f"a: 1\nimage: {image}\n"
    result = rewrite(text, "pod.yaml", names)
    assert (result.text, result.renamed, result.problems) == (text, 0, (f"pod.yaml:2: {problem}",))


def test_an_excluded_tag_does_not_matter_with_a_digest(names: NameMap) -> None:
    text = "quay.io/team/one-app:v1-dev@sha256:00\n"
    assert rewrite(text, "x", names).text == text.replace("quay.io", "cn.example")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("some words\n", "x: expected a list with one image a line, or YAML with Kubernetes manifests"),
        (
            "image: {{ .Values.image }}\n",
            "x:1: this is not valid YAML: a key must be a plain string (if this is a template, render it first)",
        ),
        (
            "a: [\n",
            (
                "x:2: this is not valid YAML: while parsing a flow node expected the node content, "
                "but found '<stream end>'"
            ),
        ),
    ],
)
def test_other_texts_are_refused(names: NameMap, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rewrite(text, "x", names)
    assert str(caught.value) == problem


@pytest.mark.usefixtures("low_bound_of_values")
def test_multiplying_aliases_are_refused(names: NameMap) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    with pytest.raises(ConfigurationError) as caught:
        rewrite("\n".join(lines), "x", names)
    assert str(caught.value) == "x:1: more than 5000 values; do aliases multiply them?"


IMAGES = st.sampled_from(
    [
        "quay.io/team/one-app:v1",
        "docker.io/team/one-app",
        "alpine",
        "busybox",
        "cn.example/a/b:c",
        "tools/tool@sha256:0",
    ]
)


@settings(deadline=None, max_examples=50)  # each example reads a mirrors file
@given(st.lists(IMAGES, max_size=5), st.sampled_from([None, '"', "'"]), st.booleans())
def test_rewriting_changes_only_images_and_is_idempotent(images: list[str], style: str | None, flow: bool) -> None:
    """Everything except the images keeps its value, and a second rewrite changes nothing."""
    path = Path(__file__).parent / "golden" / "mirrors.yaml"
    file = load_mirrors(path)
    names = NameMap(file, file.node_pools["china"])
    pods = [{"spec": {"containers": [{"name": image, "image": image}]}} for image in images]
    text = yaml.dump_all(pods, default_style=style, default_flow_style=flow)
    once = rewrite(text, "x", names)
    assert [each["spec"]["containers"][0]["name"] for each in yaml.safe_load_all(once.text)] == images
    again = rewrite(once.text, "x", names)
    assert (again.text, again.renamed, len(again.problems)) == (once.text, 0, len(once.problems))


def run(path: Path, *arguments: str) -> int:
    return main(["nodes", "images", "--mirrors-file", str(path), "--pool", "china", *arguments])


def test_one_file_is_rewritten_to_standard_output(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images.txt"
    images.write_text("alpine:3\nbusybox\n")
    assert run(path, str(images)) == FAILED
    assert capsys.readouterr() == (
        "cn.example/library/alpine:3\nbusybox\n",
        f"{images}:2: busybox: {UNKNOWN}\n",
    )


def test_standard_input_is_rewritten(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"image: alpine:3\r\n")))
    assert run(path, "-") == OK
    assert capsys.readouterr() == ("image: cn.example/library/alpine:3\r\n", "")


def test_several_files_are_rewritten_to_a_folder(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, out = tmp_path / "a.txt", tmp_path / "b.yaml", tmp_path / "out"
    first.write_bytes(b"alpine\r\n")
    second.write_bytes(b"image: alpine")
    assert run(path, str(first), str(second)) == UNUSABLE
    assert capsys.readouterr() == ("", "several files need --output DIR: on stdout they would run into each other\n")
    assert run(path, str(first), str(second), "--output", str(out)) == OK
    assert capsys.readouterr() == ("", "")
    assert (out / "a.txt").read_bytes() == b"cn.example/library/alpine\r\n"
    assert (out / "b.yaml").read_bytes() == b"image: cn.example/library/alpine"


def test_files_of_the_same_name_are_refused(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").mkdir()
    for each in (tmp_path / "a.txt", tmp_path / "x" / "a.txt"):
        each.write_text("alpine\n")
    assert (
        run(path, str(tmp_path / "a.txt"), str(tmp_path / "x" / "a.txt"), "--output", str(tmp_path / "out")) == UNUSABLE
    )
    assert capsys.readouterr() == ("", "several files are called 'a.txt' and would overwrite each other in --output\n")


def test_a_missing_file_is_reported(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.txt"
    assert run(path, str(missing)) == UNUSABLE
    assert capsys.readouterr() == (
        "",
        f"{missing}: cannot read it ([Errno 2] No such file or directory: '{missing}')\n",
    )


def test_an_output_that_cannot_be_written_is_reported(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, taken = tmp_path / "images.txt", tmp_path / "taken"
    images.write_text("alpine\n")
    taken.write_text("")
    assert run(path, str(images), "--output", str(taken)) == UNUSABLE
    problem = f"{taken / 'images.txt'}: cannot write it ([Errno 17] File exists: '{taken}')\n"
    assert capsys.readouterr() == ("", problem)
