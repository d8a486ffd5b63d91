"""The demo as a user runs it: ``python -m demo run`` twice, and its leftovers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from demo.run import Progress
from testkit.project import PROJECT
from testkit.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.timeout(600)

DEMO_SECONDS = 2 * PATIENCE_SECONDS
DAG_TEST = "[DAG TEST] {} task_id={} map_index={}"


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let demos react to SIGINT. A shell that runs tests in the background ignores it, and children inherit that."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def environment(folder: Path) -> dict[str, str]:
    """Environment of a user with an empty home and temporary folder, to find the demo's leftovers."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "PYTHONPATH": f"plugins{os.pathsep}."}
    return {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **own}


def demo(command: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo", command, "--folder", str(folder / "demo")],
        cwd=PROJECT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_demo(folder: Path) -> tuple[int, str]:
    with demo("run", folder) as process:
        output, _ = process.communicate(timeout=DEMO_SECONDS)
    return process.returncode, output


def processes_of(folder: Path) -> list[str]:
    """Processes that have the folder in their environment or arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue  # it has ended
        if str(folder).encode() in command + variables:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def skipped_artifacts_note(folder: Path) -> list[str]:
    return [*processes_of(folder), *map(str, (folder / "home").iterdir()), *map(str, (folder / "tmp").iterdir())]


def totals(output: str) -> Mapping[str, int]:
    """Last line of the report's first table, by heading."""
    headings = re.search(r"^repository +destination +(.+)$", output, re.MULTILINE)
    numbers = re.search(r"^10 routes +(.+)$", output, re.MULTILINE)
    assert headings, output
    assert numbers, output
    return {name: int(text) for name, text in zip(headings[1].split()[:5], numbers[1].split(), strict=False)}


def test_the_first_run_copies_and_the_second_finds_everything_in_sync(tmp_path: Path) -> None:
    code, output = run_demo(tmp_path)
    assert code == 0, output
    assert totals(output) == {"copied": 20, "unchanged": 0, "skipped": 2, "failed": 0, "digests": 9}
    assert "\nnode_images: 20 tags copied, 0 unchanged\n" in output
    assert (
        "\n  to_acr  giantswarm/node-exporter → acr/mirrored/node-exporter\n    [1/2] v1.7.0 copied sha256:" in output
    )
    assert "make ui " in output
    assert skipped_artifacts_note(tmp_path) == []

    code, output = run_demo(tmp_path)
    assert code == 0, output
    assert totals(output) == {"copied": 0, "unchanged": 20, "skipped": 2, "failed": 0, "digests": 0}
    assert re.search(
        r"^node_images: (everything is in sync, )?nothing was .*copied \(20 tags unchanged", output, re.MULTILINE
    )
    assert output.count("    nothing to copy\n") == 10
    assert skipped_artifacts_note(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "Airflow "), (signal.SIGTERM, "Airflow "), (signal.SIGKILL, "  to_")]
)
def test_nothing_stays_when_the_demo_is_ended(number: signal.Signals, moment: str, tmp_path: Path) -> None:
    with demo("run", tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(moment):
                break
        assert any("docker-registry" in each for each in processes_of(tmp_path))
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == (-number if number == signal.SIGKILL else 130)
    wait_until(lambda: skipped_artifacts_note(tmp_path) == [], "the demo has left nothing behind")


def test_two_demos_in_one_folder_are_refused(tmp_path: Path) -> None:
    with demo("run", tmp_path) as first:
        assert first.stdout is not None
        first.stdout.readline()
        code, output = run_demo(tmp_path)
        first.terminate()
        first.communicate(timeout=PATIENCE_SECONDS)
    assert code == 1
    where = f"another demo runs in {tmp_path}/demo; end it first (make ui: with Ctrl-C)"
    assert output.strip() == where


def test_a_failure_is_shown_with_its_log_and_the_report() -> None:
    progress = Progress()
    error = [
        {"exc_type": "RefusedError", "exc_value": "quay/a → acr/a: 1 tags failed"},
        {"exc_type": "X", "exc_value": "y"},
    ]
    shown = list(
        progress.follow(
            [
                {"event": DAG_TEST.format("starting", "routes_to_acr", -1)},
                {"event": "2 routes:\na → acr\nb → acr", "logger": "operators.ListRoutesOperator"},
                {"event": DAG_TEST.format("end task", "routes_to_acr", -1)},
                {"event": DAG_TEST.format("starting", "to_acr", 1)},
                {"event": "Plan: 1 Unchanged", "logger": "registry_sync.sync.route"},
                {"event": DAG_TEST.format("end task", "to_acr", 1)},
                {"event": DAG_TEST.format("starting", "to_acr", 0)},
                {"event": "Plan: 1 CopyTag", "logger": "registry_sync.sync.route"},
                {"event": "Task failed with exception", "logger": "task", "level": "error", "exception": error},
                {"event": DAG_TEST.format("end task", "to_acr", 0)},
                {"event": "Traceback of a library"},
                {"event": DAG_TEST.format("starting", "report", -1)},
                {"event": "\nthe table", "logger": "operators.ReportOperator"},
                {
                    "event": "Task failed with exception",
                    "logger": "task",
                    "level": "error",
                    "exception": [{"exc_type": "E", "exc_value": "1 failed"}],
                },
            ]
        )
    )
    assert shown == [
        "  routes_to_acr",
        "  to_acr  b → acr",
        "    nothing to copy",
        "  to_acr  a → acr",
        "    FAILED: quay/a → acr/a: 1 tags failed",
        "  report",
        "    FAILED: 1 failed",
    ]
    assert progress.ending(succeeded=False) == (
        "the table\n\nThe log of the first failure ends with:\n\n"
        "Plan: 1 CopyTag\nTask failed with exception\n"
        "RefusedError: quay/a → acr/a: 1 tags failed\nX: y"
    )
