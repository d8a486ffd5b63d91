"""State after a kill, and its recovery by the next try: of the worker, the registries, a full disk. Without Airflow.

Real registries and the real skopeo; the worker is a process of its own that can be killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from registry_sync.config.settings import MoverName
from registry_sync.errors import TemporaryError
from registry_sync.registry.endpoint import Credentials
from registry_sync.sync.session import Session
from registry_sync.worker.private_directory import PREFIX
from testkit import images
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.processes import skopeos
from testkit.registry import Htpasswd, RegistryProcess
from testkit.routes import make_route, run_route
from testkit.waiting import PATIENCE_SECONDS, wait_until

ROBOT = Credentials(username="robot", secret="the-robots-password")
NAME = "team/app"
SMALL = images.layer({"small": b"arrives before the kill"})
BIG = images.big_layer(2_000_000, seed=17)
IMAGE = images.image([SMALL, BIG])
CONFIG = IMAGE.blobs[0]
pytestmark = pytest.mark.usefixtures("own_temporary_directory")


@pytest.fixture(params=["skopeo", "direct"])
def mover(request: pytest.FixtureRequest) -> MoverName:
    """The mover of the content."""
    name: MoverName = request.param
    return name


@pytest.fixture
def source() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture
def destination() -> Iterator[RegistryProcess]:
    with RegistryProcess(auth=Htpasswd(users={ROBOT.username: ROBOT.secret})) as registry:
        yield registry


@pytest.fixture
def here(source: RegistryProcess) -> Iterator[Interceptor]:
    """The big layer takes long, so the small content arrives first."""
    with Interceptor(source.url) as wire:
        wire.slow("GET", f"/blobs/{BIG.digest}$", 100_000)
        yield wire


@pytest.fixture
def there(destination: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(destination.url) as wire:
        yield wire


def session() -> requests.Session:
    opened = requests.Session()
    opened.trust_env = False
    opened.auth = (ROBOT.username, ROBOT.secret)
    return opened


def resolve(destination: RegistryProcess) -> object:
    with session() as reader:
        return images.resolve(destination.url, NAME, "v1", session=reader)


def committed(destination: RegistryProcess) -> Counter[str]:
    """Number of completed uploads per blob, over all tries."""
    return Counter(
        request.query.partition("digest=")[2].replace("%3A", ":").partition("&")[0]
        for request in destination.requests()
        if request.method == "PUT" and "/blobs/uploads/" in request.path and request.status == 201
    )


def everything_arrives(
    here: Interceptor, there: Interceptor, destination: RegistryProcess, mover: MoverName = "skopeo"
) -> None:
    """The next try copies only missing content: no committed blob is sent again."""
    here.clear_rules()
    there.clear_rules()
    report = run_route(make_route(here, there, NAME, transfer=mover), destination_credentials=ROBOT)
    assert report.counts["copied"] == 1, report
    assert committed(destination) == {str(blob.digest): 1 for blob in IMAGE.blobs}
    with session() as reader:
        assert images.pull_whole(destination.url, NAME, "v1", session=reader) == {"linux/amd64"}


def private_directories() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


_WORKER = """
import sys, tempfile
from pathlib import Path
from registry_sync.errors import RegistrySyncError
from registry_sync.registry.endpoint import Credentials
from testkit.routes import make_route, run_route
class At:
    def __init__(self, host): self.host = host
here, there, user, secret, mover = sys.argv[1:]
try:
    robot = Credentials(username=user, secret=secret)
    report = run_route(make_route(At(here), At(there), "team/app", transfer=mover), destination_credentials=robot)
    print(dict(report.counts), [each.reason for each in report.failed_tags])
except RegistrySyncError as error:
    print(type(error).__name__, error)
print("left:", *(each.name for each in Path(tempfile.gettempdir()).rglob("auth.json")))
"""


@contextmanager
def worker(
    here: Interceptor,
    there: Interceptor,
    mover: MoverName = "skopeo",
    *,
    below: Sequence[str] = (),
    temporary: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that syncs the route; ``below`` is a command to run it with."""
    directory = str(temporary or tempfile.gettempdir())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": directory}
    command = [*below, sys.executable, "-c", _WORKER, here.host, there.host, ROBOT.username, ROBOT.secret, mover]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_worker_is_continued_by_the_next_try(
    here: Interceptor, there: Interceptor, destination: RegistryProcess, mover: MoverName
) -> None:
    with worker(here, there, mover) as process:
        wait_until(lambda: set(committed(destination)) >= {str(SMALL.digest)}, "the small layer is there")
        directories = private_directories()
        if mover == "skopeo":
            assert ROBOT.basic() in (directories[0] / "destination" / "auth.json").read_text()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_until(lambda: not skopeos(there.host), "its skopeo is gone")
    assert resolve(destination) is None
    assert private_directories() == directories
    assert len(directories) == (1 if mover == "skopeo" else 0)
    everything_arrives(here, there, destination, mover)
    assert private_directories() == []


def test_a_worker_killed_before_the_tag_is_continued(
    here: Interceptor, there: Interceptor, destination: RegistryProcess, mover: MoverName
) -> None:
    here.clear_rules()
    there.hang("PUT", "/manifests/v1$")
    with worker(here, there, mover) as process:
        wait_until(
            lambda: any(request.path.endswith("/v1") and request.method == "PUT" for request in there.requests()),
            "the PUT is seen",
        )
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert resolve(destination) is None
    there.clear_requests()
    everything_arrives(here, there, destination, mover)
    asked = {request.method for request in there.requests() if "/blobs/" in request.path}
    assert asked == ({"HEAD"} if mover == "skopeo" else {"POST", "HEAD"}), "a mount, and the check of it"


def test_a_killed_destination_is_continued_by_the_next_try(
    here: Interceptor, there: Interceptor, destination: RegistryProcess, mover: MoverName
) -> None:
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(run_route, make_route(here, there, NAME, transfer=mover), destination_credentials=ROBOT)
        wait_until(lambda: set(committed(destination)) >= {str(SMALL.digest)}, "the small layer is there")
        destination.kill()
        report = pending.result(timeout=PATIENCE_SECONDS)
    (failed,) = report.failed_tags
    assert failed.error_class == "temporary", failed
    destination.start()
    assert resolve(destination) is None
    everything_arrives(here, there, destination, mover)


def test_a_killed_source_is_continued_by_the_next_try(
    source: RegistryProcess, here: Interceptor, there: Interceptor, destination: RegistryProcess, mover: MoverName
) -> None:
    """The interceptor stands for the network: it also drops the data in flight."""
    here.clear_rules()
    here.truncate("GET", f"/blobs/{BIG.digest}$", 500_000)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(run_route, make_route(here, there, NAME, transfer=mover), destination_credentials=ROBOT)
        wait_until(lambda: set(committed(destination)) >= {str(SMALL.digest)}, "the small layer is there")
        source.kill()
        report = pending.result(timeout=PATIENCE_SECONDS)
    (failed,) = report.failed_tags
    assert failed.error_class == "temporary", failed
    source.start()
    assert resolve(destination) is None
    everything_arrives(here, there, destination, mover)


def test_a_destination_killed_while_publishing_is_continued(
    here: Interceptor, there: Interceptor, destination: RegistryProcess, mover: MoverName
) -> None:
    """The tag was stored, but the response was lost: the next try finds it in sync, or publishes it again."""
    here.clear_rules()
    there.after("PUT", "/manifests/v1$", lambda _: destination.kill(), times=1)
    (failed,) = run_route(make_route(here, there, NAME, transfer=mover), destination_credentials=ROBOT).failed_tags
    assert failed.error_class == "temporary", failed
    destination.start()
    assert resolve(destination) in (None, IMAGE.digest)
    report = run_route(make_route(here, there, NAME, transfer=mover), destination_credentials=ROBOT)
    assert report.counts["unchanged"] + report.counts["copied"] == 1
    assert committed(destination) == {str(blob.digest): 1 for blob in IMAGE.blobs}


@pytest.mark.parametrize("stage", ["PATCH", "PUT"])
def test_a_task_ended_by_sigterm_is_continued(
    here: Interceptor, there: Interceptor, destination: RegistryProcess, mover: MoverName, stage: str
) -> None:
    """By SIGTERM, through ``on_kill``: in the middle of a layer, and at the end of the last one."""
    started: list[Session] = []

    def has_small() -> bool:
        return set(committed(destination)) >= {str(SMALL.digest)}

    def stop(_: Request) -> None:
        if has_small():
            started[0].stop()

    if stage == "PUT":
        here.clear_rules()
        there.after("PUT", "/blobs/uploads/", stop)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(
            run_route,
            make_route(here, there, NAME, transfer=mover),
            destination_credentials=ROBOT,
            on_start=started.append,
        )
        wait_until(has_small, "the small layer is there")
        started[0].stop()
        (failed,) = pending.result(timeout=PATIENCE_SECONDS).failed_tags
    assert (failed.error_class, failed.reason) == (
        "temporary",
        "the task is being ended, so nothing more is sent",
    )
    assert private_directories() == []
    assert skopeos(there.host) == []
    assert resolve(destination) is None
    everything_arrives(here, there, destination, mover)


def _on_a_small_disk(directory: Path, size: str) -> list[str]:
    """A command prefix that gives ``directory`` little space; without the right to mount, it limits the size of files.

    The file system is seen by that command alone, and goes with it.
    """
    unshare, mount = shutil.which("unshare"), shutil.which("mount")
    script = 'mount -t tmpfs -o "size=$1,mode=1777" tmpfs "$2" && shift 2 && exec "$@"'
    command = [str(unshare), "-m", "sh", "-c", script, "sh", size, str(directory)]
    if unshare and mount and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
        return command
    return ["prlimit", f"--fsize={ {'4k': 20, '8k': 60}.get(size, 1_000_000) }", "--"]


@pytest.mark.parametrize(("size", "is_enough"), [("4k", False), ("8k", False), ("32k", True)])
def test_a_full_disk_is_a_temporary_error_and_a_small_one_suffices(
    here: Interceptor,
    there: Interceptor,
    destination: RegistryProcess,
    tmp_path: Path,
    size: str,
    is_enough: bool,
) -> None:
    """On the worker. Copies work with space for our own few files only, because content does not pass the disk."""
    here.clear_rules()
    (tmp_path / "disk").mkdir()
    disk = tmp_path / "disk"
    with worker(here, there, below=_on_a_small_disk(disk, size), temporary=disk) as process:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    said, left = out.decode().splitlines()
    assert left == "left:"
    if is_enough:
        assert said.startswith("{'copied': 1, "), said
    else:
        assert said.startswith("TemporaryError this worker's temporary directory cannot be written to: [Errno "), said
        assert resolve(destination) is None
        everything_arrives(here, there, destination)


def test_a_missing_temporary_directory_is_a_temporary_error(
    here: Interceptor, there: Interceptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(TemporaryError, match=r"cannot be written to: .*No such file or directory"):
        run_route(make_route(here, there, NAME), destination_credentials=ROBOT)
