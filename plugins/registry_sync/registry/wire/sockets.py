"""The sockets under connections: broken off, and asked whether a server has sent anything."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any


def break_off(connected: Any) -> None:
    """Break off a connection, so that whoever waits for it goes on at once. Takes no lock.

    :param connected: its socket; through a proxy by https, urllib3's wrapper around it.
    """
    with suppress(OSError):
        socket.socket.shutdown(getattr(connected, "socket", connected), socket.SHUT_RDWR)  # not TLS's own, which waits


def make_poll(connected: Any) -> Callable[[int], Sequence[Any]]:
    """A function that waits some milliseconds for bytes, and returns an empty list without any."""
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return poll.poll


def is_idle(connected: Any, poll: Callable[[int], Sequence[Any]]) -> bool:
    """Return whether a server has sent nothing more, and may do so. Session tickets of TLS 1.3 are read.

    urllib3's wrapper for TLS within the TLS of a proxy holds bytes that ``poll`` does not see. It is always read.

    :param connected: the socket of a connection that is not in use, or that wrapper.
    :param poll: made of it by :func:`make_poll`.
    """
    if isinstance(connected, socket.socket):
        has_arrived = bool(poll(0)) or (isinstance(connected, ssl.SSLSocket) and connected.pending() > 0)
        if not (has_arrived and isinstance(connected, ssl.SSLSocket)):
            return not has_arrived
    timeout = connected.gettimeout()
    connected.settimeout(0.0)
    try:
        connected.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False
    finally:
        connected.settimeout(timeout)
    return False
