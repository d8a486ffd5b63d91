"""Concurrent runs with one destination: scheduled, manual, backfill, on one machine and on several.

Real registries and the real skopeo. ``HYPOTHESIS_PROFILE=long`` tries more interleavings.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry_sync.oci.reference import Digest
from registry_sync.sync import publish
from registry_sync.sync.report import RouteReport
from registry_sync.sync.session import Session
from testkit import images
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.registry import RegistryProcess
from testkit.routes import make_route, run_route
from testkit.waiting import PATIENCE_SECONDS, wait_until
from tests.conftest import IS_LONG
from tests.integration.conftest import SkopeoLog

MOST_TRIES = 5
FASTER = "the tag changed at source and destination since planning (another run?): the destination's tag "
pytestmark = pytest.mark.usefixtures("own_temporary_directory")


def pushed_meanwhile(content: images.Image) -> str:
    return f"the destination's tag was pushed since planning and has {content.digest.short}; the retry plans again"


@pytest.fixture
def here(source: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(source.url) as wire:
        yield wire


@pytest.fixture
def there(destination: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(destination.url) as wire:
        yield wire


def an_image(text: str) -> images.Image:
    """An image for two platforms that shares no layer with any other."""
    return images.multi_arch(text, base=images.layer({"base": text.encode()}))


def uploads(destination: RegistryProcess, name: str) -> Counter[str]:
    """Number of completed uploads per blob."""
    return Counter(
        request.query.partition("digest=")[2].replace("%3A", ":").partition("&")[0]
        for request in destination.requests()
        if request.method == "PUT" and request.path.startswith(f"/v2/{name}/blobs/uploads/") and request.status == 201
    )


class Watch:
    """Records a destination's tags after each publication."""

    def __init__(self, destination: RegistryProcess, there: Interceptor, name: str) -> None:
        self._destination, self._name = destination, name
        self.pushed: dict[str, list[Digest]] = defaultdict(list)
        self.wrong: list[str] = []
        there.after("PUT", f"/v2/{name}/manifests/[^:]+$", self._look)

    def _look(self, request: Request) -> None:
        tag = request.path.rpartition("/")[2]
        digest = self._resolve(tag)
        if digest not in self.pushed[tag]:
            self.wrong.append(f"{tag} names {digest}, which the source never did")
        if digest:
            images.pull_whole(self._destination.url, self._name, digest)

    def _resolve(self, tag: str) -> Digest | None:
        """docker-registry overwrites the file of a tag in place: a second writer empties it for a moment."""
        digest = None
        for _ in range(50):
            if digest := images.resolve(self._destination.url, self._name, tag):
                break
            time.sleep(0.1)
        return digest


class World:
    """A source whose tags change while runs read it, and all digests that each tag has named."""

    def __init__(self, source: RegistryProcess, name: str, watch: Watch, chance: random.Random) -> None:
        self._source, self._name, self._watch, self._chance = source, name, watch, chance
        self._number = 0

    def push(self, tag: str) -> None:
        self._number += 1
        content = an_image(f"{self._name} {self._number}")
        self._watch.pushed[tag].append(content.digest)
        images.push(self._source.url, self._name, tag, content)

    def move_some(self) -> None:
        for tag in self._chance.sample(sorted(self._watch.pushed), 2):
            self.push(tag)


@pytest.mark.parametrize("seed", range(60 if IS_LONG else 3))
def test_any_interleaving_ends_in_sync_and_copies_nothing_twice(
    source: RegistryProcess,
    destination: RegistryProcess,
    here: Interceptor,
    there: Interceptor,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """Runs start at any time while tags change, and requests take any time; a failed run is retried, as by Airflow."""
    monkeypatch.setattr(publish, "FRESH_SECONDS", 0.0)
    chance = random.Random(seed)
    watch = Watch(destination, there, name)
    world = World(source, name, watch, chance)
    for tag in ("v1", "v2", "latest"):
        world.push(tag)
    for wire in (here, there):
        for method in ("GET", "HEAD", "PUT"):
            for seconds in (0.02, 0.1, 0.3):
                wire.delay(method, f"/v2/{name}/.*[{''.join(chance.sample('0123456789abcdeflnstuv', 5))}]$", seconds)
    with ThreadPoolExecutor(4) as pool:
        runs = []
        for has_moves in (False, True, False, True):
            if has_moves:
                world.move_some()
            runs.append(pool.submit(sync_until_done, here, there, name))
            time.sleep(chance.uniform(0, 0.8))
        for run in runs:
            run.result(timeout=PATIENCE_SECONDS)
    assert watch.wrong == []
    for tag, digests in watch.pushed.items():
        assert images.resolve(destination.url, name, tag) == digests[-1], tag
    assert [blob for blob, count in uploads(destination, name).items() if count > 1] == []


def sync_until_done(here: Interceptor, there: Interceptor, name: str) -> RouteReport:
    for _ in range(MOST_TRIES):
        report = run_route(make_route(here, there, name, parallel_copies=2))
        if not report.is_failed:
            return report
        assert {failed_tag.error_class for failed_tag in report.failed_tags} == {"temporary"}, report.failed_tags
        assert all(failed_tag.reason.startswith(FASTER) for failed_tag in report.failed_tags), report.failed_tags
    raise AssertionError(f"not done after {MOST_TRIES} tries")


def copies(skopeo_log: SkopeoLog, name: str) -> Counter[str]:
    """Number of skopeo runs per digest."""
    digests = [copy.rpartition("@")[2] for copy in skopeo_log.copies if f"/{name}@" in copy]
    return Counter(digests)


_RUN = """
import sys
from testkit.routes import make_route, run_route
class At:
    def __init__(self, host): self.host = host
here, there, name = sys.argv[1:]
report = run_route(make_route(At(here), At(there), name))
sys.exit(1 if report.is_failed else 0)
"""


def processes(here: Interceptor, there: Interceptor, name: str, directories: list[Path]) -> list[int]:
    """Exit codes of concurrent runs, one per temporary directory."""
    started = []
    for directory in directories:
        directory.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(directory)}
        command = [sys.executable, "-c", _RUN, here.host, there.host, name]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        return [each.wait(timeout=PATIENCE_SECONDS) for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()


@pytest.mark.parametrize("machines", [1, 3])
def test_tasks_in_separate_processes_copy_nothing_twice(
    source: RegistryProcess,
    destination: RegistryProcess,
    here: Interceptor,
    there: Interceptor,
    name: str,
    skopeo_log: SkopeoLog,
    tmp_path: Path,
    machines: int,
) -> None:
    """On one machine nothing is copied twice. Other machines have separate write locks, and check the destination."""
    contents = {f"v{number}": an_image(f"{name} {number}") for number in range(4)}
    for tag, content in contents.items():
        images.push(source.url, name, tag, content)
    watch = Watch(destination, there, name)
    watch.pushed.update({tag: [content.digest] for tag, content in contents.items()})
    here.delay("GET", "/blobs/", 0.4)
    directories = [tmp_path / f"machine-{number % machines}" for number in range(3)]
    codes = processes(here, there, name, directories)
    started = copies(skopeo_log, name)
    if machines == 1:
        assert codes == [0, 0, 0]
        assert set(started) == {str(each.digest) for each in contents.values()}
        assert set(uploads(destination, name).values()) == {1}
    assert sum(started.values()) <= len(contents) * machines
    here.clear_rules()
    assert not run_route(make_route(here, there, name)).is_failed
    assert watch.wrong == []
    for tag, content in contents.items():
        assert images.resolve(destination.url, name, tag) == content.digest


class TestConcurrentRun:
    """Changes by another run, at the moment that matters, of a plan that is not new."""

    @pytest.fixture(autouse=True)
    def content(self, source: RegistryProcess, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(publish, "FRESH_SECONDS", 0.0)
        self.planned, self.newer = an_image(f"{name} planned"), an_image(f"{name} newer")
        images.push(source.url, name, "latest", self.planned)

    def test_content_that_it_copied_is_not_copied_again(
        self, destination: RegistryProcess, here: Interceptor, there: Interceptor, name: str
    ) -> None:
        """It happens between planning and the copy: skopeo finds every blob, and the tag is not pushed."""
        reports: list[RouteReport] = []
        here.after(
            "GET",
            f"/manifests/{self.planned.digest}$",
            lambda _: reports.append(run_route(make_route(here, there, name))),
            times=1,
        )
        report = run_route(make_route(here, there, name))
        assert [each.counts["copied"] for each in (report, *reports)] == [1, 1]
        assert set(uploads(destination, name).values()) == {1}
        pushes = [
            request for request in there.requests() if request.method == "PUT" and request.path.endswith("/latest")
        ]
        assert [push.status for push in pushes] == [201]

    def test_a_newer_tag_that_it_published_is_kept(
        self, source: RegistryProcess, destination: RegistryProcess, here: Interceptor, there: Interceptor, name: str
    ) -> None:
        """A run with an older plan does not set the tag back."""

        def move_and_sync(_: Request) -> None:
            images.push(source.url, name, "latest", self.newer)
            assert not run_route(make_route(here, there, name)).is_failed

        here.after("GET", f"/blobs/{self.planned.children[0].blobs[1].digest}$", move_and_sync, times=1)
        report = run_route(make_route(here, there, name))
        (failed,) = report.failed_tags
        assert failed.error_class == "temporary"
        assert failed.reason == (f"{FASTER}now has {self.newer.digest.short}; the retry compares them again")
        assert images.resolve(destination.url, name, "latest") == self.newer.digest
        assert run_route(make_route(here, there, name)).counts["unchanged"] == 1

    def test_a_push_to_the_destination_is_overwritten(
        self, destination: RegistryProcess, here: Interceptor, there: Interceptor, name: str
    ) -> None:
        """The plan is still the newest one, so it is executed."""
        stranger = an_image(f"{name} stranger")

        def push(_: Request) -> None:
            images.push(destination.url, name, "latest", stranger)

        here.after("GET", f"/blobs/{self.planned.children[0].blobs[1].digest}$", push, times=1)
        assert run_route(make_route(here, there, name)).counts["copied"] == 1
        assert images.resolve(destination.url, name, "latest") == self.planned.digest

    @pytest.mark.parametrize("policy", ["keep", "fail"])
    def test_a_push_that_must_not_be_overwritten_is_kept(
        self, destination: RegistryProcess, here: Interceptor, there: Interceptor, name: str, policy: str
    ) -> None:
        """The plan has no tag to keep. The next try finds one."""
        stranger = an_image(f"{name} stranger")
        route = make_route(here, there, name, on_moved_tag={"other": "follow", "*": policy})

        def push(_: Request) -> None:
            images.push(destination.url, name, "latest", stranger)

        here.after("GET", f"/blobs/{self.planned.children[0].blobs[1].digest}$", push, times=1)
        (failed,) = run_route(route).failed_tags
        assert (failed.error_class, failed.reason) == ("temporary", pushed_meanwhile(stranger))
        again = run_route(route)
        assert (again.counts["skipped"], again.counts["failed"]) == ((1, 0) if policy == "keep" else (0, 1))
        assert images.resolve(destination.url, name, "latest") == stranger.digest

    @pytest.mark.parametrize("is_new", [True, False])
    def test_a_push_without_a_backup_is_kept(
        self, destination: RegistryProcess, here: Interceptor, there: Interceptor, name: str, *, is_new: bool
    ) -> None:
        """Holds with and without an earlier tag that has a backup. The next try makes a backup of the new one."""
        stranger = an_image(f"{name} stranger")
        route = make_route(here, there, name, backup_tag="{{ tag }}-was-{{ digest_short }}")
        if not is_new:
            images.push(destination.url, name, "latest", an_image(f"{name} old"))

        def push(_: Request) -> None:
            images.push(destination.url, name, "latest", stranger)

        here.after("GET", f"/blobs/{self.planned.children[0].blobs[1].digest}$", push, times=1)
        (failed,) = run_route(route).failed_tags
        assert (failed.error_class, failed.reason) == ("temporary", pushed_meanwhile(stranger))
        assert images.resolve(destination.url, name, "latest") == stranger.digest
        assert run_route(route).counts["copied"] == 1
        assert images.resolve(destination.url, name, "latest") == self.planned.digest
        kept = f"latest-was-{stranger.digest.encoded[:12]}"
        assert images.resolve(destination.url, name, kept) == stranger.digest

    def test_a_tag_that_changes_during_its_copy_is_published_as_planned(
        self, source: RegistryProcess, destination: RegistryProcess, here: Interceptor, there: Interceptor, name: str
    ) -> None:
        """Without another run the planned digest is published, and the next run updates it."""
        images.push(destination.url, name, "latest", an_image(f"{name} old"))

        def move(_: Request) -> None:
            images.push(source.url, name, "latest", self.newer)

        here.after("GET", f"/blobs/{self.planned.children[0].blobs[1].digest}$", move, times=1)
        assert run_route(make_route(here, there, name)).counts["copied"] == 1
        assert images.resolve(destination.url, name, "latest") == self.planned.digest
        assert run_route(make_route(here, there, name)).counts["copied"] == 1
        assert images.resolve(destination.url, name, "latest") == self.newer.digest


def test_a_waiting_run_can_be_ended(source: RegistryProcess, here: Interceptor, there: Interceptor, name: str) -> None:
    images.push(source.url, name, "v1", an_image(name))
    here.hang("GET", "/blobs/")
    started: list[Session] = []
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_route, make_route(here, there, name), on_start=started.append) for _ in range(2)]
        wait_until(lambda: any("/blobs/" in request.path for request in here.requests()), "skopeo reads a blob")
        time.sleep(0.5)
        assert not any(run.done() for run in runs)
        for each in started:
            each.stop()
        reasons = [run.result(timeout=PATIENCE_SECONDS).failed_tags[0].reason for run in runs]
    assert reasons == 2 * ["the task is being ended, so nothing more is sent"]


def test_two_mirrors_of_one_registry_share_layers(
    source: RegistryProcess, destination: RegistryProcess, here: Interceptor, there: Interceptor, name: str
) -> None:
    """Concurrent runs with separate repositories that share layers."""
    base = images.layer({"base": name.encode()})
    names = [f"{name}/{letter}" for letter in "abc"]
    for each in names:
        for tag in ("v1", "v2"):
            images.push(source.url, each, tag, images.multi_arch(f"{each} {tag}", base=base))
    here.delay("GET", "/blobs/", 0.1)
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda each: run_route(make_route(here, there, each, mirror=each[-1])), names))
    assert [report.counts["copied"] for report in reports] == [2, 2, 2]
    for each in names:
        for tag in ("v1", "v2"):
            assert images.pull_whole(destination.url, each, tag) == {"linux/amd64", "linux/arm64"}
