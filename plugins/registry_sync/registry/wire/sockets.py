"""The sockets under connections: broken off, and asked whether a server has sent anything."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

from urllib3.util.wait import wait_for_read


def break_off(connected: Any) -> None:
    """Break off a connection, so that whoever waits for it goes on at once. Takes no lock.

    :param connected: its socket; through a proxy by https, urllib3's wrapper around it.
    """
    with suppress(OSError):
        socket.socket.shutdown(getattr(connected, "socket", connected), socket.SHUT_RDWR)  # not TLS's own, which waits


def is_idle(connected: Any) -> bool:
    """Return whether a server has sent nothing more, and may do so. Session tickets of TLS 1.3 are read.

    :param connected: the socket of a connection that is not in use.
    """
    if not isinstance(connected, ssl.SSLSocket):
        return not wait_for_read(connected, timeout=0.0)
    if not connected.pending() and not wait_for_read(connected, timeout=0.0):
        return True
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
