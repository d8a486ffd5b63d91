"""Finding skopeo, its command line and its files. Tests with the real skopeo are in tests/integration."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.skopeo import local as skopeo_program
from registry_sync.skopeo.command import copy_argv
from registry_sync.skopeo.config_files import PolicyFiles, SideFiles, SkopeoFiles, Workspace, write_skopeo_files
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.local import SkopeoBinary, find_known_skopeo, find_skopeo
from registry_sync.skopeo.runner import SkopeoVersion
from registry_sync.worker import shared_directory as shared_directories
from registry_sync.worker.shared_directory import shared_directory

DIGEST = Digest.of(b"image")
INSTALLED = Path(shutil.which("skopeo") or "skopeo")
BINARY = SkopeoBinary(path=Path("/usr/bin/skopeo"), version=SkopeoVersion(1, 9, 3))
FILES = SkopeoFiles(
    source=SideFiles(host="docker.io", tls=True, auth_file=Path("/p/source/auth.json"), cert_dir=None),
    destination=SideFiles(
        host="acr.example:5000",
        tls=True,
        auth_file=Path("/p/destination/auth.json"),
        cert_dir=Path("/p/destination/certs"),
    ),
    default_policy=Path("/p/policy.json"),
    empty_registries_d=Path("/p/registries.d"),
    temporary=Path("/p/tmp"),
    workspace=Workspace(directory=Path("/p"), environment={}),
)
SOURCE = Reference(Repository("docker.io", "library/alpine"), DIGEST)
DESTINATION = Reference(Repository("acr.example:5000", "mirror/alpine"), DIGEST)


@pytest.fixture
def binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory of PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def a_copy(**fields: Any) -> ImageCopy:
    return ImageCopy(**{"source": SOURCE, "destination": DESTINATION, "is_index": False, "format": "oci", **fields})


def test_an_index_is_copied_with_all_images() -> None:
    argv = copy_argv(BINARY, FILES, a_copy(is_index=True, format="v2s2"), timeout_seconds=90)
    assert argv == [
        *("/usr/bin/skopeo", "--command-timeout", "90s"),
        *("--policy", "/p/policy.json", "--registries.d", "/p/registries.d"),
        *("--tmpdir", "/p/tmp"),
        *("copy", "--all", "--preserve-digests", "--format", "v2s2"),
        *("--src-authfile", "/p/source/auth.json"),
        *("--dest-authfile", "/p/destination/auth.json", "--dest-cert-dir", "/p/destination/certs"),
        f"docker://docker.io/library/alpine@{DIGEST}",
        f"docker://acr.example:5000/mirror/alpine@{DIGEST}",
    ]


def test_a_policy_is_enforced_and_removes_signatures() -> None:
    """``--remove-signatures``: a destination has no place for signatures except tags, which are copied separately."""
    policy_files = PolicyFiles(policy=Path("/etc/team.json"), registries_d=Path("/etc/registries.d"))
    files = replace(FILES, policy_files=policy_files)
    image = a_copy(is_index=True)
    argv = copy_argv(BINARY, files, image, timeout_seconds=90)
    assert argv[3:7] == ["--policy", "/etc/team.json", "--registries.d", "/etc/registries.d"]
    assert argv[9:15] == ["copy", "--all", "--preserve-digests", "--format", "oci", "--remove-signatures"]
    files = replace(FILES, policy_files=PolicyFiles(policy=Path("/etc/team.json")))
    assert copy_argv(BINARY, files, image, timeout_seconds=90)[5:7] == ["--registries.d", "/p/registries.d"]


def test_a_signature_is_copied_without_the_policy() -> None:
    files = replace(
        FILES, policy_files=PolicyFiles(policy=Path("/etc/team.json"), registries_d=Path("/etc/registries.d"))
    )
    argv = copy_argv(BINARY, files, a_copy(enforces_policy=False), timeout_seconds=90)
    assert argv == copy_argv(BINARY, FILES, a_copy(), timeout_seconds=90)


def test_one_image_is_copied_over_plain_http() -> None:
    plain = SideFiles(host="registry:80", tls=False, auth_file=Path("/p/source/auth.json"), cert_dir=None)
    files = SkopeoFiles(
        source=plain,
        destination=FILES.destination,
        default_policy=FILES.default_policy,
        empty_registries_d=FILES.empty_registries_d,
        temporary=FILES.temporary,
        workspace=FILES.workspace,
    )
    source = Reference(Repository("registry", "team/app"), "v1")
    binary = SkopeoBinary(path=Path("skopeo"), version=SkopeoVersion(1, 22, 0))
    argv = copy_argv(binary, files, a_copy(source=source), timeout_seconds=1.5)
    assert argv == [
        *("skopeo", "--command-timeout", "1.5s", "--policy", "/p/policy.json", "--registries.d", "/p/registries.d"),
        *("--tmpdir", "/p/tmp"),
        *("copy", "--preserve-digests"),
        *("--src-authfile", "/p/source/auth.json", "--src-tls-verify=false"),
        *("--dest-authfile", "/p/destination/auth.json", "--dest-cert-dir", "/p/destination/certs"),
        "docker://registry:80/team/app:v1",
        f"docker://acr.example:5000/mirror/alpine@{DIGEST}",
    ]


def test_a_copy_may_be_quiet() -> None:
    argv = copy_argv(BINARY, FILES, a_copy(), timeout_seconds=90, is_quiet=True)
    assert argv[9:12] == ["copy", "--quiet", "--preserve-digests"]
    assert argv.count("--quiet") == 1


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("skopeo version 1.9.3", "1.9.3"),
        ("skopeo version 1.22.0 commit: 0123abc", "1.22.0"),
        ("skopeo version 1.18.0-dev", "1.18.0"),
        ("skopeo version 2.0.0", "2.0.0"),
    ],
)
def test_finds_skopeo(binaries: Path, output: str, version: str) -> None:
    write_program(binaries / "skopeo", f"echo '{output}'")
    found = find_skopeo()
    assert found.path == binaries / "skopeo"
    assert str(found.version) == version


@pytest.mark.usefixtures("binaries")
def test_a_missing_skopeo_is_reported() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_skopeo()
    assert str(caught.value) == (
        "skopeo not found on this worker's PATH; install it, on Debian and Ubuntu with apt-get install skopeo"
    )


@pytest.mark.parametrize("version", ["1.8.9", "0.1.41", "1.2.3"])
def test_an_old_skopeo_is_refused(binaries: Path, version: str) -> None:
    write_program(binaries / "skopeo", f"echo skopeo version {version}")
    with pytest.raises(ConfigurationError) as caught:
        find_skopeo()
    assert str(caught.value) == (f"{binaries}/skopeo is skopeo {version}, but at least 1.9.0 is needed; update it")


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("echo hello", "'hello\\n'"),
        ("true", "''"),
        ("echo no such thing >&2; exit 1", "'no such thing\\n'"),
        ("echo skopeo version new", "'skopeo version new\\n'"),
        ("printf '\\377'", "'\ufffd'"),
    ],
)
def test_another_program_is_refused(binaries: Path, script: str, answer: str) -> None:
    write_program(binaries / "skopeo", script)
    with pytest.raises(ConfigurationError) as caught:
        find_skopeo()
    assert str(caught.value) == (f"{binaries}/skopeo --version printed {answer}, not 'skopeo version …'; is it skopeo?")


def test_a_skopeo_that_cannot_be_executed_is_reported(binaries: Path) -> None:
    (binaries / "skopeo").write_bytes(b"\x7fELF")
    (binaries / "skopeo").chmod(0o755)
    with pytest.raises(ConfigurationError) as caught:
        find_skopeo()
    assert str(caught.value) == (
        f"{binaries}/skopeo --version does not work on this worker: [Errno 8] Exec format error: '{binaries}/skopeo'"
    )


def test_a_worker_that_is_too_busy_for_skopeo_is_a_temporary_error(
    binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many tasks that start at once on a slow disk, or a machine that was suspended meanwhile."""
    monkeypatch.setattr(skopeo_program, "VERSION_SECONDS", 0.2)
    write_program(binaries / "skopeo", "exec /bin/sleep 30")
    with pytest.raises(TemporaryError) as caught:
        find_skopeo()
    assert str(caught.value) == f"{binaries}/skopeo --version did not end in 0.2 s on this worker"


def test_a_skopeo_that_the_kernel_kills_is_a_temporary_error(binaries: Path) -> None:
    """As for want of memory. It prints no version, which is not that of another program."""
    write_program(binaries / "skopeo", "kill -KILL $$")
    with pytest.raises(TemporaryError) as caught:
        find_skopeo()
    assert str(caught.value) == f"{binaries}/skopeo --version was ended by signal 9 on this worker"


def test_a_worker_without_processes_for_skopeo_is_a_temporary_error(
    binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(binaries / "skopeo", "echo skopeo version 1.9.3")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(TemporaryError) as caught:
        find_skopeo()
    assert str(caught.value) == (
        f"{binaries}/skopeo --version does not work on this worker: [Errno 11] Resource temporarily unavailable"
    )


def test_the_version_is_read_without_our_environment(binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "1.9.4")
    write_program(binaries / "skopeo", 'echo "skopeo version ${AIRFLOW__CORE__FERNET_KEY:-1.9.3}"')
    assert str(find_skopeo().version) == "1.9.3"


def test_a_known_skopeo_is_not_run_until_it_changes(binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(binaries))
    monkeypatch.setattr(skopeo_program, "VERSION_SECONDS", 60)
    path, shared = binaries / "skopeo", shared_directory()
    assert shared
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    with pytest.raises(ConfigurationError, match="does not work on this worker"):
        find_known_skopeo()
    shutil.copy(INSTALLED, path)
    real = find_skopeo().version
    assert find_known_skopeo().version == real
    kept = shared / "skopeo-version"
    kept.write_text(kept.read_text().replace(str(real), "1.99.1"))
    assert str(find_known_skopeo().version) == "1.99.1", "the kept version is used"
    assert find_skopeo().version == real, "a check runs it"
    os.utime(path, ns=(1, 1))
    assert find_known_skopeo().version == real
    kept.write_text(kept.read_text().replace(str(real), "1.8.0"))
    with pytest.raises(ConfigurationError, match=r"is skopeo 1\.8\.0, but at least 1\.9\.0 is needed"):
        find_known_skopeo()


def test_a_script_is_always_run(binaries: Path) -> None:
    write_program(binaries / "skopeo", f"echo run >> {binaries}/runs; echo skopeo version 1.9.3")
    for _ in range(2):
        assert str(find_known_skopeo().version) == "1.9.3"
    assert (binaries / "runs").read_text() == "run\nrun\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_credentials_are_written_to_a_private_file_per_registry(tmp_path: Path) -> None:
    robot = Credentials(username="robot", secret="hünter2")
    umask = os.umask(0)
    try:
        files = write_skopeo_files(
            tmp_path, source=Endpoint(host="docker.io", credentials=robot), destination=Endpoint(host="acr.example")
        )
    finally:
        os.umask(umask)
    assert json.loads(files.source.auth_file.read_text()) == {"auths": {"docker.io": {"auth": robot.basic()}}}
    assert json.loads(files.destination.auth_file.read_text()) == {"auths": {}}
    assert mode(files.source.auth_file) == mode(files.destination.auth_file) == 0o600
    assert json.loads(files.default_policy.read_text()) == {"default": [{"type": "insecureAcceptAnything"}]}


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        (Endpoint(host="quay.io"), "quay.io"),
        (Endpoint(host="localhost"), "localhost"),
        (Endpoint(host="registry:5000", tls=False), "registry:5000"),
        (Endpoint(host="registry"), "registry:443"),
        (Endpoint(host="registry", tls=False), "registry:80"),
        (Endpoint(host="[::1]:5000"), "[::1]:5000"),
    ],
)
def test_a_host_without_dot_and_port_gets_a_port(tmp_path: Path, endpoint: Endpoint, host: str) -> None:
    files = write_skopeo_files(tmp_path, source=endpoint, destination=endpoint)
    assert files.source.host == host
    assert files.source.tls == endpoint.tls


def test_only_the_ca_file_of_a_directory_is_copied(tmp_path: Path) -> None:
    ours, private = tmp_path / "ours", tmp_path / "private"
    for each in (ours, private):
        each.mkdir()
    (ours / "root.pem").write_text("the authority")
    (ours / "client.key").write_text("a secret")
    endpoint = Endpoint(host="acr.example", ca_file=ours / "root.pem")
    files = write_skopeo_files(private, source=Endpoint(host="quay.io"), destination=endpoint)
    assert files.source.cert_dir is None
    assert files.destination.cert_dir is not None
    assert {path.name: path.read_text() for path in files.destination.cert_dir.iterdir()} == {"ca.crt": "the authority"}


def test_a_missing_ca_file_is_reported(tmp_path: Path) -> None:
    endpoint = Endpoint(host="acr.example", ca_file=tmp_path / "ca.crt")
    with pytest.raises(ConfigurationError) as caught:
        write_skopeo_files(tmp_path, source=endpoint, destination=endpoint)
    assert str(caught.value) == f"acr.example: no CA file '{tmp_path}/ca.crt' on this worker"


def test_the_environment_has_listed_variables_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shared_directories, "MEMORY", tmp_path / "none")
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/home/user/auth.json")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    private = tmp_path / "private"
    private.mkdir()
    files = write_skopeo_files(private, source=Endpoint(host="quay.io"), destination=Endpoint(host="acr.example"))
    assert files.workspace.environment == {
        "PATH": "/usr/bin",
        "GOMAXPROCS": "1",
        "HOME": f"{private}/home",
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": f"{private}/home/.config",
        "XDG_DATA_HOME": f"{tmp_path}/registry_sync-{os.getuid()}",
        "XDG_RUNTIME_DIR": f"{private}/home",
    }
    assert mode(tmp_path / f"registry_sync-{os.getuid()}") == 0o700


@pytest.mark.parametrize("kind", ["open to others", "link", "file"])
def test_the_cache_of_layers_is_not_shared_where_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shared_directories, "MEMORY", tmp_path)
    taken, elsewhere, private = (tmp_path / name for name in (f"registry_sync-{os.getuid()}", "elsewhere", "private"))
    for each in (elsewhere, private):
        each.mkdir(mode=0o700)
    match kind:
        case "open to others":
            taken.mkdir()
            taken.chmod(0o777)
        case "link":
            taken.symlink_to(elsewhere)
        case _:
            taken.touch()
    files = write_skopeo_files(private, source=Endpoint(host="quay.io"), destination=Endpoint(host="acr.example"))
    assert files.workspace.environment["XDG_DATA_HOME"] == f"{private}/home/.local/share"


def test_a_policy_is_listed_with_its_keys(tmp_path: Path) -> None:
    """Values that are not paths are skipped; skopeo reports them."""
    policy, key, private = tmp_path / "policy.json", tmp_path / "team.gpg", tmp_path / "private"
    key.touch()
    private.mkdir()
    rules = [{"keyPath": str(key)}, {"keyPaths": [str(key), 7]}, {"keyPath": None}, {"keyPath": "/nowhere"}]
    policy.write_text(json.dumps({"default": rules}))
    endpoint = Endpoint(host="quay.io")
    files = write_skopeo_files(private, source=endpoint, destination=endpoint, policy_files=PolicyFiles(policy=policy))
    assert files.workspace.outside == (policy, key)
