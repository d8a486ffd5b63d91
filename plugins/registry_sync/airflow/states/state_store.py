"""Airflow's asset state store as the place of states. A failure there never fails a task or changes its work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from airflow.sdk.execution_time.context import AssetStateStoreAccessor

from registry_sync.state.document import StateError, read_document
from registry_sync.state.names import asset_name, tags_key
from registry_sync.state.recording.look import NO_TAGS, RouteRecord
from registry_sync.state.route import RouteState, TagTable
from registry_sync.state.store import StateStore

log = logging.getLogger(__name__)

Value = TypeVar("Value")


def open_store(mirror: str, destination: str) -> StateStore:
    """The states of a mirror and destination, for a running task."""
    return open_named_store(asset_name(mirror, destination))


def open_named_store(asset: str) -> StateStore:
    """The store of an asset by its name, for a running task.

    ``context["asset_state_store"]`` needs the asset, or its name, among the inlets of the task. Airflow then fails the
    task before it starts while the asset is not active: in the minute after its registry got another host, or when
    another DAG gives its name another URI. A sync must not depend on that.
    """
    store: StateStore = AssetStateStoreAccessor(name=asset)
    return store


@contextmanager
def losing(lost: str) -> Iterator[None]:
    """Log any error as a warning that names the loss.

    The store is a server, whose errors have no common class: the API may be down, or refuse a value.
    """
    try:
        yield
    except Exception as error:
        log.warning("%s, because Airflow's asset state store failed: %s", lost, error)


def read_state(store: StateStore, key: str, kind: type[Value]) -> Value | None:
    """The state under a key; ``None`` when there is none, or when it cannot be read."""
    document = store.get(key)
    return None if document is None else parse_state(key, document, kind)


def parse_state(key: str, document: Any, kind: type[Value]) -> Value | None:
    """The state in a document; ``None``, with a warning, when it cannot be read."""
    try:
        return read_document(kind, document)
    except StateError as error:
        log.warning("The state %r is lost and begins again: %s", key, error)
        return None


def read_record(store: StateStore, route: str) -> RouteRecord | None:
    """Read the record that earlier runs left of a route; ``None`` without one."""
    state = read_state(store, route, RouteState)
    return with_tags(store, state) if state else None


def with_tags(store: StateStore, state: RouteState) -> RouteRecord:
    """Read the tags that belong to a state."""
    return RouteRecord(state=state, tags=read_state(store, tags_key(state.route), TagTable) or NO_TAGS)
