"""Manifests of the Kubernetes image promoter."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.cli.arguments import UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.connection_type import known_type
from tests.unit.importing.conftest import Run

ONE, TWO = (f"sha256:{64 * digit}" for digit in "12")

REGISTRIES = """\
registries:
- {name: gcr.io/stage, src: true}
- {name: us.pkg.example/prod/images, service-account: promoter@prod.iam.example}
- {name: eu.pkg.example/prod/images}
"""
IMAGES = f"- name: apple\n  dmap:\n    '{ONE}': ['1.1', latest]\n    '{TWO}': []\n"

ENTRY = {
    "repository": "stage/apple",
    "rename": "prod/images/apple",
    "tags": {"names": [f"1.1@{ONE}", f"latest@{ONE}", f"digest-222222222222@{TWO}"]},
}


def test_a_plain_manifest_and_thin_ones(run: Run) -> None:
    indented = IMAGES.replace("\n", "\n  ").rstrip()
    for texts in ((f"{REGISTRIES}images:\n  {indented}\n",), (REGISTRIES, IMAGES), (IMAGES, REGISTRIES)):
        done = run(*texts)
        assert (done.lost, done.rules) == ([], [ENTRY])
        (mirror,) = done.document["mirrors"].values()
        assert mirror["destinations"] == ["us_pkg_example", "eu_pkg_example"]
        assert done.document["defaults"] == {"on_moved_tag": "fail"}
    assert (
        f"connections add registry_us_pkg_example --conn-type {known_type()} --conn-host us.pkg.example" in done.errors
    )


@pytest.mark.parametrize(
    ("dmap", "problem"),
    [
        ("{'sha256:12': [v1]}", "6: images[0].dmap.sha256:12: 'sha256:12' is not a digest; the entry is left out"),
        (f"{{'{ONE}': ['v*']}}", f"6: images[0].dmap.{ONE}: 'v*' is not a tag; the entry is left out"),
        ("{}", "6: images[0]: has no digests under dmap:; the entry is left out".replace("images[0]: ", "")),
    ],
)
def test_an_image_that_cannot_be_said_is_left_out(dmap: str, problem: str, run: Run) -> None:
    done = run(f"{REGISTRIES}images:\n- {{name: apple, dmap: {dmap}}}\n")
    assert (done.lost, done.document["mirrors"]) == ([problem], {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (IMAGES, "a:1: has no registries:; import it together with its promoter-manifest.yaml"),
        (
            REGISTRIES.replace("src: true", "src: false"),
            "a:1: registries: expected one registry with src: true, and another one",
        ),
        (
            REGISTRIES.partition("- {name: us")[0],
            "a:1: registries: expected one registry with src: true, and another one",
        ),
    ],
)
def test_files_that_are_no_whole_manifest(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    assert main(["import", str(path)]) == UNUSABLE
    assert capsys.readouterr() == ("", f"{problem}\n")
