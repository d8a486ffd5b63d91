"""Receivers of metrics on loopback: a StatsD server, and an OpenTelemetry collector that accepts OTLP over HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from testkit.loopback import LOOPBACK
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer

OUR_PREFIX = "airflow.registry_sync."


class StatsdListener:
    """Receives UDP datagrams from ``with`` to the block's end."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._receive, daemon=True)

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables that make Airflow send here, without tags."""
        port = str(self._socket.getsockname()[1])
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": LOOPBACK,
            "AIRFLOW__METRICS__STATSD_PORT": port,
        }

    def stop(self) -> list[str]:
        """Stop receiving, and return our own lines in the order of arrival, such as ``airflow.registry_sync.a:1|g``."""
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.sendto(b"", self._socket.getsockname())
        self._thread.join()
        return [line for line in self._lines if line.startswith(OUR_PREFIX)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()
        self._socket.close()

    def _receive(self) -> None:
        while datagram := self._socket.recv(65_535):
            self._lines += datagram.decode().splitlines()


class OtelReceiver(ScriptedServer):
    """Accepts metrics in OTLP, as protobuf over HTTP."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(lambda _: Reply(status=status))

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables that make Airflow send here."""
        return {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "60000",
        }

    def points(self) -> dict[tuple[str, frozenset[tuple[str, str]]], tuple[str, float]]:
        """Our own metrics: kind and last value by name and labels."""
        return {
            (name, labels): value
            for request in self.shown
            for name, labels, value in _points(request)
            if name.startswith(OUR_PREFIX)
        }


def _points(request: ScriptedRequest) -> Iterator[tuple[str, frozenset[tuple[str, str]], tuple[str, float]]]:
    message = ExportMetricsServiceRequest.FromString(request.body)
    for metric in (m for r in message.resource_metrics for s in r.scope_metrics for m in s.metrics):
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points if kind in ("gauge", "sum") else ():
            labels = frozenset((label.key, label.value.string_value) for label in point.attributes)
            yield metric.name, labels, (kind, _number(point))


def _number(point: Any) -> float:
    return float(getattr(point, point.WhichOneof("value")))
