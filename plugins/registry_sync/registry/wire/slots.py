"""Slots for the requests that are in flight to one registry at once."""

from __future__ import annotations

import threading
from queue import SimpleQueue


class RequestSlots:
    """As many slots as the registry's ``max_connections``. Safe to use from several threads.

    A block that uses it takes a slot, and waits for one where none is free. Blocks inside it, of the same thread, share
    that slot: a request can fetch the token that it needs, and a whole copy can keep its slot.

    Whoever needs slots of two registries takes that of the source first. Everyone else waits for no other registry
    while holding a slot, so there is no deadlock.
    """

    def __init__(self, count: int) -> None:
        self._free = SimpleQueue[None]()  # quicker than a semaphore
        for _ in range(count):
            self._free.put(None)
        self._of_thread = threading.local()

    def __enter__(self) -> None:
        depth = getattr(self._of_thread, "depth", 0)
        if not depth:
            self._free.get()
        self._of_thread.depth = depth + 1

    def __exit__(self, *_: object) -> None:
        self._of_thread.depth -= 1
        if not self._of_thread.depth:
            self._free.put(None)
