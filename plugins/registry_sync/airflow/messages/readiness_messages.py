"""Send messages about pools whose nodes would not start, or that were not checked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from registry_sync.airflow.ids import READINESS_DAG
from registry_sync.airflow.messages.notifications import Messenger, run_links
from registry_sync.airflow.states.state_store import open_named_store
from registry_sync.config.node_pools import NodePool
from registry_sync.state.messages.pool_alerts import pool_alerts, unchecked_alerts, unchecked_since
from registry_sync.state.messages.subject import Subject
from registry_sync.state.names import MESSAGES_ASSET, UNCHECKED_KEY
from registry_sync.state.readiness import ReadinessState

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def tell_pools(messenger: Messenger, pools: Sequence[NodePool], state: ReadinessState) -> None:
    """Send the messages that are due about each pool."""
    links = run_links(READINESS_DAG, state.run_id)
    for pool in pools:
        if pool.notify:
            messenger.tell(Subject.of_pool(pool.name), pool.notify, pool_alerts(state, pool.name, messenger.now), links)


def tell_unchecked_pools(messenger: Messenger, pools: Sequence[NodePool]) -> None:
    """Send the message that is due about each pool while no check has stored a result, such as in a paused DAG."""
    since = unchecked_since(messenger.store.get(UNCHECKED_KEY), messenger.now)
    messenger.store.set(UNCHECKED_KEY, since.isoformat())
    alerts = unchecked_alerts(since, messenger.now)
    for pool in pools:
        if pool.notify and alerts:
            messenger.tell(Subject.of_pool(pool.name), pool.notify, alerts, run_links(READINESS_DAG, None))


def send_readiness_messages(context: Context, pools: Sequence[NodePool], state: ReadinessState) -> None:
    """Send them at the end of a check. Nothing that fails here changes its result."""
    if not any(pool.notify for pool in pools):
        return
    try:
        store = open_named_store(MESSAGES_ASSET)
        tell_pools(Messenger(context=context, store=store, now=state.read_at), pools, state)
    except Exception:
        log.exception("the messages of this run were not sent; the DAG mirror_watch sends them")
