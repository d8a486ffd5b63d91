"""``transfer: direct`` applies no policy, wherever each of the two is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_mirrors
from registry_sync.routes.route import settings_at

DIRECT, POLICY = {"transfer": "direct"}, {"policy": "/etc/policy.json"}


def write(folder: Path, *, registry: Any = (), defaults: Any = (), mirror: Any = (), rule: Any = ()) -> Path:
    document = {
        "registries": {"a": {"host": "a.example"}, "b": {"host": "b.example", **dict(registry)}},
        "defaults": dict(defaults),
        "mirrors": {
            "m": {
                "source": "a",
                "destinations": ["b"],
                **dict(mirror),
                "repositories": [{"repository": "team/app", **dict(rule)}],
            }
        },
    }
    path = folder / "mirrors.yaml"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "levels",
    [
        {"registry": DIRECT, "rule": POLICY},
        {"registry": DIRECT, "defaults": POLICY},
        {"registry": DIRECT, "mirror": {**POLICY, "transfer": "skopeo"}},
        {"defaults": DIRECT, "mirror": POLICY},
        {"mirror": DIRECT, "rule": POLICY},
        {"rule": {**DIRECT, **POLICY}},
    ],
)
def test_both_are_refused(tmp_path: Path, levels: dict[str, Any]) -> None:
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(write(tmp_path, **levels))
    (problem,) = caught.value.problems
    assert problem.endswith(
        ": policy cannot be used with transfer: direct (to 'b'), because only skopeo checks policies; write transfer: "
        "skopeo for this rule, or set policy: null"
    )


@pytest.mark.parametrize(
    ("levels", "mover"),
    [
        ({}, "skopeo"),
        ({"registry": DIRECT}, "direct"),
        ({"registry": DIRECT, "mirror": {"transfer": "skopeo"}}, "direct"),
        ({"registry": DIRECT, "rule": {"transfer": "skopeo"}}, "skopeo"),
        ({"registry": DIRECT, "rule": {**POLICY, "transfer": "skopeo"}}, "skopeo"),
        ({"registry": DIRECT, "defaults": POLICY, "rule": {"policy": None}}, "direct"),
        ({"defaults": DIRECT}, "direct"),
        ({"defaults": DIRECT, "rule": {"transfer": None}}, "skopeo"),
    ],
)
def test_the_innermost_level_decides(tmp_path: Path, levels: dict[str, Any], mover: str) -> None:
    file = load_mirrors(write(tmp_path, **levels))
    assert settings_at(file.mirrors["m"].rules[0], file.registries["b"]).transfer == mover
