"""The wheel, installed into an environment of its own: nothing of this checkout is used.

Airflow and its packages are taken from the environment of the tests, which does not have our package.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import registry_sync
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.project import PROJECT
from testkit.registry import RegistryProcess

pytestmark = pytest.mark.timeout(300)

DAG_FILE = "from registry_sync.airflow import mirror_dags\n\nmirror_dags(globals())\n"

MIRRORS = """\
registries:
  source: {{host: "{source}", tls: false}}
  backup: {{host: "{backup}", tls: false}}
mirrors:
  team: {{source: source, destinations: [backup], repositories: [team/app]}}
"""

FOUND = """
import json, os, sys
import registry_sync
from airflow.plugins_manager import _get_plugins
from airflow.providers_manager import ProvidersManager
plugins, errors = _get_plugins()
provider = ProvidersManager().providers["registry-sync"]
print("\\n" + json.dumps({
    "package": registry_sync.__file__,
    "path": [os.path.abspath(entry) for entry in sys.path],
    "plugins": [str(each.source) for each in plugins if each.name == "registry_sync"],
    "errors": errors,
    "provider": [provider.data["name"], provider.version],
}))
"""

COPIED = "registry_sync is installed twice: the package in {installed} is used; remove the copy in {copied}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An environment with the wheel, and an Airflow home with a DAG file and a mirrors file."""

    folder: Path
    airflow: LocalAirflow

    @property
    def package(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages/registry_sync")
        return found

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        program = str(self.folder / "bin" / command[0])
        return subprocess.run(
            [program, *command[1:]],
            env=self.airflow.environment,
            cwd=self.airflow.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def found(self) -> tuple[dict[str, Any], str]:
        """What Python and Airflow find of the package, and all that they print."""
        done = self.run("python", "-c", FOUND)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, which sees the packages of this one but no checkout."""
    folder = tmp_path_factory.mktemp("installed")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(PROJECT),
    ]
    subprocess.run(build, check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "airflow.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = str(folder / "venv" / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, cwd=folder)
    return folder / "venv"


@pytest.fixture
def registries() -> Iterator[tuple[RegistryProcess, RegistryProcess]]:
    with RegistryProcess() as source, RegistryProcess() as backup:
        yield source, backup


@pytest.fixture
def installed(environment: Path, registries: tuple[RegistryProcess, RegistryProcess], tmp_path: Path) -> Installed:
    home = tmp_path / "home"
    for folder in ("dags", "include", "plugins"):
        (home / folder).mkdir(parents=True)
    source, backup = registries
    (home / "dags" / "ours.py").write_text(DAG_FILE)
    (home / "include" / "mirrors.yaml").write_text(MIRRORS.format(source=source.host, backup=backup.host))
    airflow = LocalAirflow(
        home, dags=home / "dags", plugins=home / "plugins", python=str(environment / "bin" / "python")
    )
    return Installed(folder=environment, airflow=airflow)


def test_wheel_a_dag_file_and_a_mirrors_file_are_enough(
    installed: Installed, registries: tuple[RegistryProcess, RegistryProcess]
) -> None:
    source, backup = registries
    pushed = images.multi_arch("wheel")
    images.push(source.url, "team/app", "v1", pushed)
    found, _ = installed.found()
    assert found["package"] == str(installed.package / "__init__.py")
    assert [each for each in found["path"] if is_of_the_checkout(str(each))] == []
    version = registry_sync.__version__
    assert found["provider"] == ["Registry Sync", version]
    (plugin,) = found["plugins"]
    assert plugin.startswith(f"registry-sync=={version}: EntryPoint(name='registry_sync', ")
    assert found["errors"] == {}
    done = installed.run("registry-sync", "validate")
    assert done.stdout.startswith(f"{installed.airflow.home}/include/mirrors.yaml is valid\n"), done.stderr
    installed.airflow.migrate()
    listed = installed.airflow.run("registry-sync", "--version")
    assert listed.stdout.endswith(f"registry-sync {version}\n")
    ended = installed.airflow.run("dags", "test", "mirror_team")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert images.resolve(backup.url, "team/app", "v1") == pushed.digest


def is_of_the_checkout(entry: str) -> bool:
    """True for a folder of the checkout, except the packages of the tests' environment, which may be inside it."""
    path = Path(entry).resolve()
    return path.is_relative_to(PROJECT) and path != Path(sysconfig.get_path("purelib")).resolve()


def test_copy_in_the_plugins_folder_beside_the_wheel_is_told(installed: Installed) -> None:
    copied = installed.airflow.home / "plugins" / "registry_sync"
    shutil.copytree(
        PROJECT / "plugins", copied.parent, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    found, printed = installed.found()
    assert found["package"] == str(installed.package / "__init__.py")
    (plugin,) = found["plugins"]
    assert plugin.startswith("registry-sync==")
    assert found["errors"] == {}
    assert COPIED.format(installed=installed.package, copied=copied) in printed
