"""The documented metrics are those that are sent, and rules and dashboard use them."""

from __future__ import annotations

import re

from registry_sync.state.metrics import METRICS
from testkit.project import PROJECT

DOCUMENT = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_table_names_every_metric_with_its_kind() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (gauge|counter) \|", DOCUMENT, re.MULTILINE)
    assert rows == [(name, metric.kind) for name, metric in METRICS.items()]
