"""The checks of queues that events come from: the Connections of their triggers."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.airflow.checks.event_queues import check_event_queues
from registry_sync.checks.finding import Finding
from registry_sync.routes.load import load_mirrors

SUBJECT = "events of mirror team"
OK = Finding(subject=SUBJECT, check="queue", text="redis+pubsub; no message was read")


def check(tmp_path: Path, arguments: str) -> list[Finding]:
    path = tmp_path / "mirrors.yaml"
    path.write_text(f"""\
registries:
  goal: {{host: goal.example}}
  source: {{host: source.example, events: {{queue: {{scheme: redis+pubsub, with: {arguments}}}}}}}
mirrors:
  team: {{source: source, destinations: [goal], repositories: [team/app]}}
""")
    return list(check_event_queues(load_mirrors(path)))


def missing(connection: str) -> Finding:
    return Finding(
        subject=SUBJECT,
        check=f"Connection {connection}",
        verdict="missing",
        text="does not exist; the queue's trigger needs it as redis_conn_id",
        remedy=f"airflow connections add {connection} --conn-type redis --conn-host HOST",
    )


@pytest.mark.parametrize(
    ("arguments", "connection"),
    [("{channels: [pushes]}", "redis_default"), ("{channels: [pushes], redis_conn_id: of_events}", "of_events")],
)
def test_a_connection_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, connection: str
) -> None:
    """Also that of the trigger's default, which the file does not name."""
    variable = f"AIRFLOW_CONN_{connection.upper()}"
    monkeypatch.delenv(variable, raising=False)
    assert check(tmp_path, arguments) == [missing(connection)]
    monkeypatch.setenv(variable, '{"conn_type": "redis", "host": "redis.example"}')
    assert check(tmp_path, arguments) == [OK]
