"""The documented metrics are those that are sent, and rules and dashboard use them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from registry_sync.state.metrics import METRICS
from testkit.project import PROJECT

MONITORING = PROJECT / "deploy" / "monitoring"
DOCUMENT = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
RULES = yaml.safe_load((MONITORING / "prometheus-rules.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
MAPPINGS = yaml.safe_load((MONITORING / "statsd-mapping.yaml").read_text(encoding="utf-8"))["mappings"]

PROMETHEUS_NAMES = {
    f"airflow_registry_sync_{name}{'_total' if metric.kind == 'counter' else ''}": metric
    for name, metric in METRICS.items()
}


PANEL_QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
VARIABLE_QUERIES = [each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each]
RULE_QUERIES = [rule["expr"] for rule in RULES]
ALL_QUERIES = [*RULE_QUERIES, *PANEL_QUERIES, *VARIABLE_QUERIES]


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bairflow_registry_sync_\w+", text))


def test_the_table_names_every_metric_with_its_kind() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (gauge|counter) \|", DOCUMENT, re.MULTILINE)
    assert rows == [(name, metric.kind) for name, metric in METRICS.items()]


@pytest.mark.parametrize("query", ALL_QUERIES)
def test_a_query_uses_metrics_that_exist(query: str) -> None:
    assert names_in(query) - PROMETHEUS_NAMES.keys() == set()


def test_every_metric_is_used() -> None:
    used = names_in("\n".join(ALL_QUERIES))
    assert PROMETHEUS_NAMES.keys() - used == set()


def test_texts_name_metrics_that_exist() -> None:
    texts = [text for rule in RULES for text in rule["annotations"].values()]
    assert names_in("\n".join([*texts, DOCUMENT])) - PROMETHEUS_NAMES.keys() == set()


def test_labels_in_queries_and_texts_exist() -> None:
    """A label that a metric does not have selects nothing, or shows an empty text."""
    for rule in RULES:
        metrics = [PROMETHEUS_NAMES[name] for name in names_in(rule["expr"])]
        shown = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert all(shown <= set(metric.labels) for metric in metrics), rule["alert"]
    for query in PANEL_QUERIES:
        for name, selected in re.findall(r"(airflow_registry_sync_\w+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)=", selected)) <= set(PROMETHEUS_NAMES[name].labels), query


def test_every_alert_is_documented() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (critical|warning|info) \|", DOCUMENT, re.MULTILINE)
    assert documented == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]


def mapped(name: str, labels: tuple[str, ...], kind: str) -> tuple[str, dict[str, str]]:
    """Name and labels that the mapping gives a StatsD name, as statsd_exporter does: the first match counts."""
    written = ".".join(("airflow.registry_sync", name, *labels))
    for mapping in MAPPINGS:
        found = re.search(mapping["match"], written)
        if found and mapping["match_metric_type"] == kind:
            own = {label: _fill(value, found) for label, value in mapping.get("labels", {}).items()}
            return _fill(mapping["name"], found), own
    raise AssertionError(f"{written} is not mapped")


def _fill(template: str, found: re.Match[str]) -> str:
    return re.sub(r"\$\{?(\d+)\}?", lambda group: found[int(group[1])], template)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("has_tags", [False, True])
def test_statsd_names_become_names_of_prometheus(name: str, has_tags: bool) -> None:
    """With tags, statsd_exporter reads the labels from them."""
    metric = METRICS[name]
    labels = () if has_tags else tuple(f"a-{label}" for label in metric.labels)
    found, own = mapped(name, labels, metric.kind)
    assert PROMETHEUS_NAMES[found] == metric
    assert own == ({} if has_tags else {label: f"a-{label}" for label in metric.labels})


def test_the_dashboard_has_one_place_for_each_panel() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


def _cells(place: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y
