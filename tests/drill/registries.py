"""The registries of the drill: real ones with TLS in the namespace, and an entrance outside of it for pushes."""

from __future__ import annotations

import json
from pathlib import Path

from registry_sync.oci.reference import Digest
from testkit import images
from testkit.loopback import Request
from testkit.namespace import Namespace, Spawned
from testkit.registry import RegistryProcess, parse_access_log
from testkit.tls import Certificate

PORT = 443


class DrillRegistry:
    """A registry at ``address`` in the namespace. It is up between ``start()`` and ``stop()``.

    Images are pushed from outside of the namespace, through a second process on the same storage. Without a certificate
    the registry uses plain HTTP.
    """

    def __init__(
        self, namespace: Namespace, name: str, address: str, certificate: Certificate | None, port: int = PORT
    ) -> None:
        self._namespace, self._address, self._certificate, self._port = namespace, address, certificate, port
        self._folder = namespace.folder / name
        self._folder.mkdir()
        self._push_process = RegistryProcess(storage=self._folder / "storage")
        self._process: Spawned | None = None

    def pushing(self) -> RegistryProcess:
        """The process for pushes. Enter it before images are pushed."""
        return self._push_process

    def push(self, repository: str, tag: str, image: images.Image) -> None:
        images.push(self._push_process.url, repository, tag, image)

    def forget_blob(self, digest: Digest) -> None:
        """Remove the bytes of a blob, as a damaged disk would."""
        self._push_process.forget_blob(digest)

    def damage_blob(self, digest: Digest) -> None:
        """Change the bytes of a blob, but not their number."""
        self._push_process.damage_blob(digest)

    def start(self, *, is_broken: bool = False) -> None:
        """Start the registry. With ``is_broken``, its storage fails, and it responds to every request with 500."""
        storage = Path("/dev/null") if is_broken else self._folder / "storage"
        config = self._folder / "config.yml"
        config.write_text(json.dumps(self._config(storage)))
        self._access_log.write_bytes(b"")
        self._process = self._namespace.spawn("docker-registry", "serve", str(config), log=self._access_log)
        self._process.wait_until(lambda: self._namespace.listens(self._address, self._port))

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None

    def requests(self) -> list[Request]:
        """The requests since the start. Stops the registry first, to complete the log; empty when it was down."""
        if self._process is None:
            return []
        self.stop()
        return list(parse_access_log(self._access_log.read_text()))

    @property
    def _access_log(self) -> Path:
        return self._folder / "access.log"

    def _config(self, storage: Path) -> dict[str, object]:
        """https://distribution.github.io/distribution/about/configuration/ ; JSON is YAML."""
        http: dict[str, object] = {"addr": f"{self._address}:{self._port}", "secret": "of the drill"}
        if self._certificate:
            http["tls"] = {"certificate": str(self._certificate.cert_file), "key": str(self._certificate.key_file)}
        return {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(storage)},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http,
        }
