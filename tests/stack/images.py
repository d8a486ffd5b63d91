"""Stand-ins under the names of the official images, where those cannot be pulled.

All share one file system of Debian packages, and differ in the entry point. They do what docker-compose.yaml needs of
the official ones.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.stack.debian import AUTHORITIES, bootstrap, pip_settings
from tests.stack.docker import Docker, succeeded, which

_BASE = "debian-stand-in"
_ENTRY_POINTS = Path(__file__).with_name("standins")
_DEBIAN_PYTHON = (3, 11)
_PACKAGES = ("ca-certificates", "docker-registry", "postgresql", "python3", "python3-pip", "redis-server")
_NOT_NEEDED = ("doc", "man", "locale", "info")
_NOT_AIRFLOW = ("mypy*", "hypothesis*", "_pytest", "pip", "setuptools", "pkg_resources", "_distutils_hack", "*.pth")

_IMAGES = {
    "apache/airflow:slim-3.3.2-python3.11": "",
    "postgres:16": 'ENTRYPOINT ["/standins/postgres"]\nCMD ["postgres"]\nSTOPSIGNAL SIGINT\n',
    "redis:7": 'ENTRYPOINT ["/standins/redis"]\nCMD ["redis-server"]\n',
    "registry:2": 'ENTRYPOINT ["/standins/registry"]\n',
}


def make_standins(docker: Docker) -> None:
    """Make all base images of our files in ``docker``.

    :raises CommandError: for example when a package is missing.
    """
    options = (
        "--variant=minbase",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _NOT_NEEDED),
        *(f"--customize-hook={hook}" for hook in _hooks(docker.folder)),
    )
    with bootstrap(_PACKAGES, *options, log=docker.folder / "mmdebstrap.log") as made:
        imported = subprocess.run(
            [which("docker"), "import", "-", _BASE],
            stdin=made.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=docker.environment,
            check=False,
        )
    succeeded(imported)
    for name, lines in _IMAGES.items():
        docker.run("build", "--quiet", "--tag", name, "-", input_text=f"FROM {_BASE}\n{lines}")


def _hooks(folder: Path) -> list[str]:
    """Script that completes the file system ``$1``."""
    (folder / "pip.conf").write_text(pip_settings())
    copies = [f"copy-in {_ENTRY_POINTS} /", f"copy-in {folder / 'pip.conf'} /etc"]
    if AUTHORITIES.exists():
        copies.append(f"copy-in {AUTHORITIES} {AUTHORITIES.parent}")
    return copies + ([_copy_airflow()] if sys.version_info[:2] == _DEBIAN_PYTHON else [])


def _copy_airflow() -> str:
    """Copy of this machine's Airflow, which takes seconds. Our Dockerfile installs the missing packages."""
    source = shlex.quote(sysconfig.get_path("purelib"))
    target = '"$1"/usr/local/lib/python{}.{}/dist-packages'.format(*_DEBIAN_PYTHON)
    excluded = " ".join(f"--exclude=./{shlex.quote(each)}" for each in _NOT_AIRFLOW)
    return (
        f"mkdir -p {target} && tar -C {source} {excluded} -cf - . | tar -C {target} --no-same-owner -xf -"
        ' && ln -s /standins/airflow "$1"/usr/local/bin/airflow'
    )
