"""Digests that readiness checks read at sources, in the store of states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.nodes.readiness.known_digests import KnownDigests
from registry_sync.oci.reference import Digest
from registry_sync.state.document import size_of
from registry_sync.state.known_digests import recall_digests, store_digests
from registry_sync.state.names import MAX_VALUE_BYTES

NOW = datetime(2026, 11, 29, 9, 45, tzinfo=UTC)
ONE, TWO = (Digest.parse(f"sha256:{digit * 64}") for digit in "12")


class Store(dict[str, Any]):
    """A store in memory, with the methods of Airflow's."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        del self[key]


def known(digests: dict[str, Digest], *repositories: str, at: datetime = NOW) -> KnownDigests:
    return KnownDigests(digests=digests, read_at=dict.fromkeys(repositories, at))


@pytest.mark.parametrize(("repositories", "tags"), [(1, 1), (1, 2000), (700, 2)])
def test_what_is_stored_is_recalled(repositories: int, tags: int) -> None:
    names = [f"local.example:5000/team/app-{number}" for number in range(repositories)]
    digests = {f"{name}:v{number}": ONE for name in names for number in range(tags)}
    store = Store()
    store_digests(store, known(digests, *names))
    assert recall_digests(store) == known(digests, *names)
    assert all(size_of(value) < MAX_VALUE_BYTES * 1.05 for value in store.values())
    store_digests(store, known({f"{names[0]}:v0": TWO}, names[0]))
    assert list(store) == ["digests 0"]


def test_newer_knowledge_replaces_that_of_its_repositories() -> None:
    old = known({"a.example/x:v1": ONE, "a.example/x:gone": ONE, "b.example/y:v1": ONE}, "a.example/x", "b.example/y")
    later = NOW + timedelta(hours=1)
    both = old.updated(known({"a.example/x:v1": TWO}, "a.example/x", at=later))
    assert both.digests == {"a.example/x:v1": TWO, "b.example/y:v1": ONE}
    assert both.read_at == {"a.example/x": later, "b.example/y": NOW}


@pytest.mark.parametrize(
    "value",
    [
        {"tags": {"a.example/x": {"v1": "sha256:no"}}},
        {"tags": ["v1"]},
        "text",
        {"tags": {}, "read_at": {"a.example/x": "2026-11-29T09:45:00"}},
    ],
)
def test_a_value_of_somebody_else_is_no_knowledge(value: Any) -> None:
    store = Store()
    store_digests(store, known({"a.example/x:v1": ONE}, "a.example/x"))
    store["digests 1"] = value
    assert recall_digests(store) == known({"a.example/x:v1": ONE}, "a.example/x")


def test_a_digest_without_a_time_is_not_stored() -> None:
    """It came from a run of a mirror, which is found again."""
    store = Store()
    store_digests(store, known({"a.example/x:v1": ONE}))
    assert store == {}
