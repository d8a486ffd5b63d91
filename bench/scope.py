"""Sizes of the work, and the tools that do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.tools import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes that take about a quarter of an hour with all peers on two cores."""

    heads: int = 600
    few_tags: int = 100
    many_tags: int = 1000
    routes: int = 400
    tags_of_route: int = 10
    cold: tuple[int, int] = (40, 5)
    cold_tls: tuple[int, int] = (6, 5)
    big_images: int = 4
    big_megabytes: int = 400
    listed_tags: int = 300
    window_repositories: int = 1000
    tags_curve: Sequence[int] = (100, 500, 1000, 2000)
    routes_curve: Sequence[int] = (10, 50, 100, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of the benchmarks that a run measures.

    :ivar ours: this package by each mover, and with each skopeo.
    :ivar idle: this package where nothing is to be copied, so that no mover matters.
    :ivar peers: other tools.
    :ivar raws: GET and PUT without a check, the fastest first.
    """

    ours: Sequence[Tool]
    idle: Tool
    peers: Sequence[Tool]
    raws: Sequence[Tool]
    sizes: Sizes = Sizes()

    @property
    def comparing(self) -> list[Tool]:
        """Ours, and the peers that copy nothing that is in sync."""
        return [self.idle, *(peer for peer in self.peers if peer.compares_first)]
