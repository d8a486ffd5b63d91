"""Commands of crsync."""

from __future__ import annotations

import pytest

from tests.unit.importing.conftest import Run

SCRIPT = """\
#!/bin/sh
exec crsync sync --src-name=quay.io --src-user "robot" \\
  --src-password hunter2 --dst-name=copies.azurecr.io \\
  --dst-user=pusher --dst-password='hunter3' \\
  --last-modified=2h --loop --sync-interval=300 --include-private-repositories
"""

DEPLOYMENT = """\
spec:
  containers:
  - args:
    - sync
    - --dst-name=copies.azurecr.io
    - --dst-user=pusher
    - --dst-password=hunter3
    - --src-name=quay.io
    - --src-user=robot
    - --include-private-repositories=true
    - --last-modified=2h
    - --loop
    - --sync-interval=300
"""


@pytest.mark.parametrize("text", [SCRIPT, DEPLOYMENT])
def test_a_script_and_the_arguments_of_a_deployment(text: str, run: Run) -> None:
    done = run(text)
    assert done.lost == []
    assert done.document == {
        "registries": {
            "quay_io": {"host": "quay.io", "connection": "registry_quay_io"},
            "copies_azurecr_io": {"host": "copies.azurecr.io", "connection": "registry_copies_azurecr_io"},
        },
        "mirrors": {
            "quay_io_to_copies_azurecr_io": {
                "source": "quay_io",
                "destinations": ["copies_azurecr_io"],
                "schedule": "*/5 * * * *",
                "repositories": [{"namespace": "giantswarm", "include_private": True, "on_moved_tag": "keep"}],
            }
        },
    }
    assert '--conn-login robot --conn-password "$SRC_REGISTRY_PASSWORD"' in done.errors
    assert "hunter" not in done.text + done.errors


def test_one_run_has_no_schedule(run: Run) -> None:
    done = run("crsync sync --src-name quay.io --dst-name docker.io --include-private-repositories=false\n")
    (mirror,) = done.document["mirrors"].values()
    assert "schedule" not in mirror
    assert mirror["repositories"] == [{"namespace": "giantswarm", "on_moved_tag": "keep"}]


@pytest.mark.parametrize(
    ("flag", "remark"),
    [
        ("--quay-api-token=hunter2", "--quay-api-token: the source's Connection can hold it: docs/registry-quay.md"),
        ("--loop --sync-interval=soon", "--sync-interval is 'soon', not a number of seconds"),
        ("--other-secret hunter2", "--other-secret is unknown to the import; look up its meaning"),
    ],
)
def test_flags_that_cannot_be_said(flag: str, remark: str, run: Run) -> None:
    done = run(f"crsync sync --src-name quay.io --dst-name docker.io {flag}\n")
    assert done.lost == [f"1: {remark}"]
    assert "hunter2" not in done.text + done.errors
