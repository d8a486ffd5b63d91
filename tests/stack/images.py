"""Stand-ins for the official images where those cannot be pulled, under their names, so that no file needs an edit.

All are one file system of Debian packages, with another entry point each. What this machine tells apt and pip of where
packages are goes into it, and so into nothing of the project's.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.stack.docker import CommandError, Docker, which

BUILD_TIMEOUT_SECONDS = 400.0

_BASE = "debian-stand-in"
_FOLDER = Path(__file__).with_name("standins")
_SUITE = "bookworm"
_DEBIAN_PYTHON = (3, 11)
_PACKAGES = ("ca-certificates", "docker-registry", "postgresql", "python3", "python3-pip", "redis-server")
_LEFT_OUT = ("doc", "man", "locale", "info")
_NOT_AIRFLOW = ("mypy*", "hypothesis*", "_pytest", "pip", "setuptools", "pkg_resources", "_distutils_hack", "*.pth")
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_PIP_SETTINGS = ("cert", "index-url", "extra-index-url", "trusted-host", "proxy")

_IMAGES = {
    "apache/airflow:slim-3.3.2-python3.11": "",
    "postgres:16": 'ENTRYPOINT ["/standins/postgres"]\nCMD ["postgres"]\n',
    "redis:7": 'ENTRYPOINT ["/standins/redis"]\nCMD ["redis-server"]\n',
    "registry:2": 'ENTRYPOINT ["/standins/registry"]\n',
}


def make_standins(docker: Docker) -> None:
    """Have ``docker`` hold all images that our files begin from.

    :raises CommandError: when a package cannot be had, for example.
    """
    _import_file_system(docker)
    for name, lines in _IMAGES.items():
        docker.run("build", "--quiet", "--tag", name, "-", input_text=f"FROM {_BASE}\n{lines}")


def _import_file_system(docker: Docker) -> None:
    """https://manpages.debian.org/bookworm/mmdebstrap/mmdebstrap.1.en.html."""
    log = docker.folder / "mmdebstrap.log"
    command = [
        which("mmdebstrap"),
        "--variant=minbase",
        f"--include={','.join(_PACKAGES)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _LEFT_OUT),
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--aptopt={each}" for each in sorted(Path("/etc/apt/apt.conf.d").glob("9*"))),
        *(f"--customize-hook={each}" for each in _hooks(docker.folder)),
        _SUITE,
        "-",
        "-",
    ]
    with log.open("wb") as output, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env={**os.environ, "TMPDIR": "/dev/shm"}
    ) as made:
        assert made.stdin is not None
        made.stdin.write(_sources().encode())
        made.stdin.close()
        subprocess.run(
            [which("docker"), "import", "-", _BASE], stdin=made.stdout, stdout=output, stderr=output,
            env=docker.environment, timeout=BUILD_TIMEOUT_SECONDS, check=False,
        )
    if made.returncode or docker.try_run("inspect", _BASE).returncode:
        raise CommandError(f"the stand-ins could not be made:\n{log.read_text(errors='replace')[-8000:]}")


def _sources() -> str:
    """Where this machine has its packages from, in either format of apt's."""
    folder = Path("/etc/apt")
    files = (folder / "sources.list", *sorted((folder / "sources.list.d").glob("debian*")))
    return "\n".join(each.read_text() for each in files if each.exists())


def _hooks(folder: Path) -> list[str]:
    """What is done to the file system, ``$1``, at the end."""
    (folder / "pip.conf").write_text(_pip_settings())
    copies = [f"copy-in {_FOLDER} /", f"copy-in {folder / 'pip.conf'} /etc"]
    if Path(_AUTHORITIES).exists():
        copies.append(f"copy-in {_AUTHORITIES} {Path(_AUTHORITIES).parent}")
    return copies + ([_copy_airflow()] if sys.version_info[:2] == _DEBIAN_PYTHON else [])


def _copy_airflow() -> str:
    """Airflow as it is installed here, which takes seconds; what is not here is for our own Dockerfile to install."""
    source = sysconfig.get_path("purelib")
    target = '"$1"/usr/local/lib/python{}.{}/dist-packages'.format(*_DEBIAN_PYTHON)
    excluded = " ".join(f"--exclude={shlex.quote('./' + each)}" for each in _NOT_AIRFLOW)
    return (
        f'mkdir -p {target} && tar -C {shlex.quote(source)} {excluded} -cf - . | tar --no-same-owner -C {target} -xf -'
        ' && ln -s /standins/airflow "$1"/usr/local/bin/airflow'
    )


def _pip_settings() -> str:
    """How this machine's pip reaches its index: ``:env:.cert='/a/file'`` and ``global.cert='/a/file'`` are lines of it."""
    said = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = [line.partition("=") for line in said.stdout.splitlines()]
    named = {name.rpartition(".")[2]: value.strip("'") for name, _, value in pairs}
    return "[global]\n" + "".join(f"{each} = {named[each]}\n" for each in _PIP_SETTINGS if each in named)
