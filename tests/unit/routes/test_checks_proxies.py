"""Written proxies of a source and a destination that one skopeo cannot use both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_mirrors

P, Q = {"proxy": "http://p.example:3128"}, {"proxy": "http://q.example:3128"}
DIRECT = {"proxy": "none"}


def write(folder: Path, source: Any, destination: Any, **options: Any) -> Path:
    document = {
        "registries": {"a": {"host": "a.example", **source}, "b": {"host": "b.example", **destination}},
        "mirrors": {"m": {"source": "a", "destinations": ["b"], "repositories": ["team/app"], **options}},
    }
    path = folder / "mirrors.yaml"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("source", "destination"), [(P, Q), (DIRECT, P), ({**P, "proxy_connection": "one"}, P)], ids=str
)
def test_two_are_refused_for_skopeo_alone(tmp_path: Path, source: Any, destination: Any) -> None:
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(write(tmp_path, source, destination))
    (problem,) = caught.value.problems
    assert problem.endswith(
        f"source 'a' has proxy: {source['proxy']} and destination 'b' proxy: {destination['proxy']}, but one skopeo "
        "cannot use both; write transfer: direct, or the same proxy"
    )
    assert load_mirrors(write(tmp_path, source, destination, transfer="direct")).mirrors


@pytest.mark.parametrize(("source", "destination"), [(P, P), (P, DIRECT), (P, {}), ({}, P), (DIRECT, {})], ids=str)
def test_what_the_file_alone_does_not_rule_out_is_accepted(tmp_path: Path, source: Any, destination: Any) -> None:
    assert load_mirrors(write(tmp_path, source, destination)).mirrors
