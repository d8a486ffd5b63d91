"""Prometheus's own tool reads the rules and the dashboard's queries, and fires the alerts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from testkit.project import PROJECT
from testkit.skipping import skip_or_fail

MONITORING = PROJECT / "deploy" / "monitoring"


@pytest.fixture(autouse=True)
def _promtool() -> None:
    missing = "" if shutil.which("promtool") else "promtool is missing; apt-get install prometheus"
    skip_or_fail(missing, "the alerts cannot be checked")


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", str(MONITORING / "prometheus-rules.yaml"))


def test_alerts_fire_for_what_they_name() -> None:
    promtool("test", "rules", str(Path(__file__).with_name("prometheus-rules-test.yaml")))


def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))
