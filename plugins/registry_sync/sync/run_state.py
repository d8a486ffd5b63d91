"""State that one scheduled run leaves for the next: watermarks, and deletions that are planned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """What scheduled runs have brought into step: ``routes`` (their keys), with all pushed before ``until``."""

    until: datetime
    routes: frozenset[str]

    def to_json(self) -> dict[str, Any]:
        """The state as JSON-simple values, for XCom."""
        return {"until": self.until.isoformat(), "routes": sorted(self.routes)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(until=datetime.fromisoformat(document["until"]), routes=frozenset(document["routes"]))


def advance_watermark(previous: Watermark | None, end: datetime, finished: Collection[str]) -> Watermark:
    """What is in step after a scheduled run.

    :param end: of the run's data interval.
    :param finished: keys of the routes that succeeded, or had nothing modified.
    """
    if previous is not None and previous.until > end:
        return previous
    return Watermark(until=end, routes=frozenset(finished))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDeletions:
    """What a run of a route planned to delete, for the next: a mark for each tag, and how many the source listed."""

    marks: tuple[str, ...]
    listed: int

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-simple values, for XCom."""
        return {"marks": list(self.marks), "listed": self.listed}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(marks=tuple(document["marks"]), listed=document["listed"])


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedDeletions:
    """What is planned for one route; ``at`` is the end of the data interval of the run that planned it."""

    planned: PlannedDeletions
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionPlans:
    """What scheduled runs planned to delete at one destination, by the routes' keys. It crosses XCom between runs."""

    routes: Mapping[str, DatedDeletions]

    def before(self, route: str, moment: datetime) -> PlannedDeletions | None:
        """What runs before the one whose data interval ends then planned for a route."""
        found = self.routes.get(route)
        return found.planned if found and found.at < moment else None

    def after(self, planned: Mapping[str, PlannedDeletions], routes: Iterable[str], moment: datetime) -> Self:
        """What is planned after a run: by this one for the routes that it looked at, as before for the others.

        :param routes: keys of all routes that there still are.
        :param moment: the end of the run's data interval.
        """
        kept = {key: each for key, each in self.routes.items() if key in set(routes)}
        late = {key for key, each in kept.items() if each.at > moment}
        new = {key: DatedDeletions(planned=each, at=moment) for key, each in planned.items() if key not in late}
        return type(self)(routes={**kept, **new})

    def to_json(self) -> dict[str, Any]:
        """The memory as JSON-simple values, for XCom."""
        return {key: {**each.planned.to_json(), "at": each.at.isoformat()} for key, each in self.routes.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        routes = {
            key: DatedDeletions(planned=PlannedDeletions.from_json(each), at=datetime.fromisoformat(each["at"]))
            for key, each in document.items()
        }
        return cls(routes=routes)
