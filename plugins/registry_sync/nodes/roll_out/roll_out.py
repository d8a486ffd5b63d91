"""The value from which every form of a roll-out is made."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool, Runtime
from registry_sync.config.registry import Registry
from registry_sync.config.runtime_versions import Versions
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.render import RenderedFile, render_pool
from registry_sync.nodes.roll_out.install_script import PlacedFile, install_script, place_files


@dataclass(frozen=True, slots=True, kw_only=True)
class RollOut:
    """A pool whose configuration is brought onto its machines. ``chosen_runtime``: if it is known."""

    file: MirrorsFile
    pool: NodePool
    chosen_runtime: Runtime | None
    versions: Versions

    @property
    def registry(self) -> Registry:
        """The registry of image names."""
        return self.file.registries[self.pool.registry]

    @property
    def name(self) -> str:
        """The pool's name as Kubernetes accepts it, with room for what stands around it."""
        return self.pool.name.lower().replace("_", "-").strip("-")[:40].strip("-") or "pool"

    @property
    def mirrors(self) -> list[Registry]:
        """The registries that machines try first."""
        return [self.file.registries[mirror.registry] for mirror in self.pool.pool_mirrors]

    @property
    def resolving_mirrors(self) -> list[Registry]:
        """Those of them that are trusted with tags."""
        mirrors = self.pool.pool_mirrors
        return [self.file.registries[mirror.registry] for mirror in mirrors if mirror.trust == "pull+resolve"]

    @property
    def runtime(self) -> Runtime:
        """The runtime. :raises ConfigurationError: when it is not known."""
        if self.chosen_runtime is None:
            raise ConfigurationError(
                f"the runtime of pool {self.pool.name!r} is unknown; give --runtime, or set runtime: of the pool"
            )
        return self.chosen_runtime

    def files(self) -> list[RenderedFile]:
        """The runtime's files."""
        return render_pool(self.file, self.pool, self.runtime, self.versions)

    def placed_files(self) -> list[PlacedFile]:
        """The files that are put onto a machine whole."""
        return place_files(self.files(), self.runtime)

    def script(self) -> str:
        """The script that installs the files."""
        return install_script(self.files(), self.runtime, self.versions, [mirror.host for mirror in self.mirrors])

    def refuse_plain_http(self, product: str) -> None:
        """:raises ConfigurationError: when a mirror has no TLS, and the product cannot be configured for plain HTTP."""
        for mirror in (mirror for mirror in self.mirrors if not mirror.tls):
            raise ConfigurationError(
                f"pool {self.pool.name!r}: {product} has no setting for plain HTTP, which mirror {mirror.name!r} needs "
                "(tls: false)"
            )
