"""Three real registries on this machine, and the images in the first of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.folder import DemoFolder
from testkit.airflow import LocalAirflow
from testkit.loopback import LOOPBACK
from testkit.registry import RegistryProcess

SOURCE, DESTINATIONS = "quay", ("acr", "aliyun")
MIRROR = "node_images"
DAG_ID = f"mirror_{MIRROR}"

_MIRRORS_FILE = """\
# The demo writes this file anew each time it starts, since the ports have to be free ones.
registries:                # three registries on this machine, which stand in for real ones
  quay:   {{host: "{quay}", tls: false}}
  acr:    {{host: "{acr}", tls: false}}
  aliyun: {{host: "{aliyun}", tls: false}}

mirrors:
  {mirror}:
    description: What a node needs to start, from Quay to Azure and Aliyun
    schedule: "@daily"
    source: quay
    destinations: [acr, aliyun]
    retries: 0             # what fails in the demo shall show at once
    repositories:
      - giantswarm/hyperkube                  # every tag
      - repository: giantswarm/node-exporter
        rename: mirrored/node-exporter        # another name at the destinations
      - repository: giantswarm/pause
        tags: {{exclude: ["*-dev"]}}
      - namespace: giantswarm                 # found through the registry's API
        include: ["*-operator"]
"""


@contextmanager
def running_registries(folder: DemoFolder) -> Iterator[Mapping[str, RegistryProcess]]:
    """Registries by name, with the content of earlier demos."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_registry(folder.storage(name))) for name in (SOURCE, *DESTINATIONS)}


@contextmanager
def _registry(storage: Path) -> Iterator[RegistryProcess]:
    """A registry at its earlier port if that is free, because Airflow counts a mirror's new host as a change."""
    memory = storage.with_suffix(".port")
    before = int(memory.read_text()) if memory.exists() else 0
    with RegistryProcess(storage=storage, port=before if before and is_free_port(before) else None) as registry:
        memory.write_text(registry.host.rpartition(":")[2])
        yield registry


def is_free_port(port: int) -> bool:
    """Return whether a server can listen on ``port``."""
    with socket.socket() as probe:
        # As servers do: a port with connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def write_mirrors_file(path: Path, registries: Mapping[str, RegistryProcess]) -> None:
    """Write the mirrors file with the current hosts of the registries."""
    path.write_text(
        _MIRRORS_FILE.format(mirror=MIRROR, **{name: registry.host for name, registry in registries.items()})
    )


def airflow_of(folder: DemoFolder, settings: Mapping[str, str] | None = None, port: int | None = None) -> LocalAirflow:
    """The demo's Airflow, with its database ready."""
    airflow = LocalAirflow(folder.airflow_home, mirrors_file=folder.mirrors_file, settings=settings, port=port)
    if not airflow.is_migrated:
        print("Airflow      creates its database, SQLite (some seconds)", flush=True)
        airflow.migrate()
    return airflow
