"""The metadata of the package, and the files that say the same: requirements.txt, the version, the changelog."""

from __future__ import annotations

import re
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import registry_sync
from testkit.project import PROJECT

METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(PROJECT)).build(directory=str(folder), versions=["standard"])
    return ZipFile(path)


def in_wheel(wheel: ZipFile, name: str) -> str:
    (path,) = [each for each in wheel.namelist() if each.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def requirements(text: str) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {line for line in lines if line}


def test_requirements_file_has_the_packages_of_the_metadata() -> None:
    """People who copy the folders install the file; it has the docker provider, whose form its Connections use."""
    text = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    assert requirements(text) == {*METADATA["dependencies"], *METADATA["optional-dependencies"]["docker"]}


def test_wheel_has_every_file_of_the_package(wheel: ZipFile) -> None:
    """Also templates, styles, scripts, icons and py.typed."""
    package = PROJECT / "plugins" / "registry_sync"
    files = {str(path.relative_to(package.parent)) for path in package.rglob("*") if is_source(path)}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == files
    assert "registry_sync/py.typed" in files


def is_source(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"


def metadata(wheel: ZipFile) -> Message:
    return Parser().parsestr(in_wheel(wheel, "METADATA"))


def test_metadata_is_complete(wheel: ZipFile) -> None:
    found = metadata(wheel)
    assert (found["Name"], found["Version"]) == ("registry-sync", registry_sync.__version__)
    assert (found["License-Expression"], found["License-File"]) == ("Apache-2.0", "LICENSE")
    assert "Framework :: Apache Airflow :: Provider" in found.get_all("Classifier", [])
    assert found["Requires-Python"] == ">=3.11"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found.get_payload() == (PROJECT / "README.md").read_text(encoding="utf-8")
    assert in_wheel(wheel, "licenses/LICENSE") == (PROJECT / "LICENSE").read_text(encoding="utf-8")


def test_source_distribution_has_what_it_is_built_from() -> None:
    builder = SdistBuilder(str(PROJECT))
    names = {file.distribution_path for file in builder.recurse_included_files()}
    assert {"LICENSE", "README.md", "pyproject.toml", "plugins/registry_sync/py.typed"} <= names
    assert not [name for name in names if re.search(r"\.(pyc|env)$|^secrets/|^tests/", name)]


def test_changelog_has_this_version() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(registry_sync.__version__)} \(\d{{4}}-\d\d-\d\d\)$", text, re.MULTILINE)
