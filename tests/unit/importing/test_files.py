"""The command ``import``: files of no tool, hostile files, and the file that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.reading.other_tools import recognize, recognize_text
from registry_sync.config.reading.yaml_source import read_yaml
from registry_sync.errors import MirrorsFileError
from registry_sync.importing import files
from registry_sync.routes.load import load_mirrors

REGSYNC = "sync:\n- {type: image, source: quay.example/a/b:v1, target: copies.example/a/b:v1}\n"

TOOLS = "regsync, skopeo, image-syncer, dregsy, retagger, promoter, crsync"

UNKNOWN = f"a: is not recognized as a file of another mirroring tool; if it is, name the tool with --from: {TOOLS}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_text(REGSYNC)
    return path


BOMB = "x: &a [q, q, q, q, q, q, q, q]\n" + "".join(
    f"x{level}: &{chr(97 + level)} [{', '.join([f'*{chr(96 + level)}'] * 9)}]\n" for level in range(1, 10)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "PATH: is empty"),
        (b" \n", "PATH: is empty"),
        (b"\xff\xfe\x00", "PATH: is not UTF-8 text; save it as UTF-8"),
        (b"a: b\n", UNKNOWN),
        (b"- a\n- b\n", UNKNOWN),
        (b"just a text\n", UNKNOWN),
        (b"sync: yes\n", UNKNOWN),
        (b"sync: [a, b]\n", UNKNOWN),
        (
            b"pass: 'hunter2\n",
            "a:2: this is not valid YAML: while scanning a quoted scalar (line 1) found unexpected end of stream",
        ),
        (
            b"pass: @hunter2\n",
            (
                "a:1: this is not valid YAML: while scanning for the next token found character that "
                "cannot start any token"
            ),
        ),
        (b"a: {{ env }}: b\n", "a:1: this is not valid YAML: mapping values are not allowed in this context"),
        (BOMB.encode(), "a:1: more than 500000 values; do aliases multiply them?"),
        (
            b"a: " + 5000 * b"[",
            "a:1: this is not valid YAML: while increasing flow level exceeded maximum nesting depth",
        ),
        (b"a: \x00\n", "a:1: the control character '\\x00' is not allowed in YAML; remove it"),
    ],
)
def test_files_that_cannot_be_read(
    content: bytes, problem: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_bytes(content)
    assert main(["import", str(source)]) == UNUSABLE
    out, errors = capsys.readouterr()
    assert (out, errors.replace(f"{source}:", "PATH:")) == ("", f"{problem}\n")
    assert "hunter2" not in errors


def test_a_file_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none")]) == UNUSABLE
    assert capsys.readouterr().err == f"{tmp_path / 'none'}: cannot be read: No such file or directory\n"


def test_a_file_that_is_too_large(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1024 * 1024)
    source.write_bytes(b"#" * (1024 * 1024 + 1))
    assert main(["import", str(source)]) == UNUSABLE
    assert capsys.readouterr().err == f"{source}: is larger than 1 MiB; split it\n"


def test_files_of_two_tools(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "b"
    other.write_text("- {image: quay.example/a/b, semver: '>=1'}\n")
    assert main(["import", str(source), str(other)]) == UNUSABLE
    assert capsys.readouterr().err == (
        "a is a file of regsync, b is a file of retagger; import the files of one tool at a time\n"
    )


@pytest.mark.parametrize("tool", TOOLS.split(", "))
@pytest.mark.parametrize(
    "text",
    [
        "sync: 5\n",
        "tasks: {a: b}\n",
        "- 5\n",
        "a: 5\n",
        "5\n",
        "sync: [[a]]\ncreds: [b]\ntasks: [c]\nregistries: [d]\n",
        (
            "sync: [{type: [a], source: {b: c}, target: []}]\ncreds: [{registry: [a], pass: [hunter2], "
            "tls: {hunter2: a}}]\n"
        ),
        "tasks: [{source: a, target: {registry: [b]}, mappings: c, interval: often}]\n",
        "q.io: {images: [a], images-by-semver: {b: [c]}, credentials: {password: [hunter2]}, tls-verify: maybe}\n",
        "- {image: [a], semver: {b: c}, sha: 5}\n",
        "registries: [{name: [a], src: maybe}]\nimages: [{name: a, dmap: [b]}]\n",
        "auth: {a.io: {username: [hunter2], password: {b: hunter2}}}\nimages: {a.io/b: {c: d}}\n",
    ],
)
def test_values_of_wrong_types_are_told(tool: str, text: str, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_text(text)
    assert main(["import", str(source), "--from", tool]) in (OK, FAILED, UNUSABLE)
    out, errors = capsys.readouterr()
    assert "Traceback" not in errors
    assert "hunter2" not in errors + out
    if out:
        made = source.with_suffix(".yaml")
        made.write_text(out)
        load_mirrors(made)


def test_a_key_that_is_written_twice_is_told(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_text(f"creds: [{{registry: quay.example, pass: hunter2, pass: hunter3}}]\n{REGSYNC}")
    assert main(["import", str(source)]) == FAILED
    out, errors = capsys.readouterr()
    assert errors.startswith("Not imported:\n  a:1: duplicate key 'pass', in line 1 and line 1; keep one\n\n")
    assert "hunter" not in out + errors


def test_an_existing_file_is_kept_without_force(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "mirrors.yaml"
    assert main(["import", str(source), "-o", str(made)]) == OK
    text = made.read_text()
    assert capsys.readouterr().out == ""
    assert list(load_mirrors(made).mirrors) == ["quay_example_to_copies_example"]
    made.write_text("mine")
    assert main(["import", str(source), "-o", str(made)]) == UNUSABLE
    assert capsys.readouterr().err == f"{made} exists; write to another file, or add --force to overwrite it\n"
    assert made.read_text() == "mine"
    assert main(["import", str(source), "-o", str(made), "--force"]) == OK
    assert made.read_text() == text


def test_a_file_that_cannot_be_written(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "none" / "mirrors.yaml"
    assert main(["import", str(source), "-o", str(made)]) == UNUSABLE
    assert capsys.readouterr().err == f"{made}: cannot be written: No such file or directory\n"


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        (REGSYNC, "a regsync"),
        ("tasks:\n- {name: a, source: {registry: a.io}, target: {registry: b.io}}\n", "a dregsy"),
        ("quay.example:\n  images: {a/b: []}\n", "a skopeo"),
        ('{"quay.example/a/b": "copies.example/a/b"}\n', "an image-syncer"),
        ('{"auth": {}, "images": {"quay.example/a/b": "copies.example/a/b"}}\n', "an image-syncer"),
        ("- {image: quay.example/a/b, semver: '>=1'}\n", "a retagger"),
        ("registries:\n- {name: gcr.io/a, src: true}\n- {name: gcr.io/b}\n", "a promoter"),
        ("crsync sync --src-name=quay.io --dst-name=docker.io\n", "a crsync"),
    ],
)
def test_validate_recognizes_files_of_other_tools(text: str, tool: str, source: Path) -> None:
    source.write_text(text)
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(source)
    assert str(caught.value) == f"a: this is {tool} file; registry-sync import a turns it into a mirrors file"


@pytest.mark.parametrize(
    "text",
    [
        "registries: {sync: {host: quay.io}}\nmirrors: {}\n",
        "registries: [{name: a}]\nmirrors: {}\nnodes: {}\n",
        "mirrors: {a: {source: b}}\n",
        "x-images: {a: b}\nregistries: {}\n",
    ],
)
def test_a_broken_mirrors_file_is_not_taken_for_another_tools(text: str) -> None:
    assert recognize(read_yaml(text, "a").value) is None


@pytest.mark.parametrize("start", ["", "'registries': {}\n", '{"mirrors": {\n', "defaults: {}\n", "nodes: [\n"])
def test_a_mirrors_file_may_quote_the_command_of_crsync(start: str) -> None:
    text = "# made of crsync sync --src-name=quay.io --dst-name=docker.io\n"
    assert recognize_text(f"{text}{start}") == (None if start else "crsync")
