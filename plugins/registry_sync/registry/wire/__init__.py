"""HTTP to one registry: exchanges, authentication, redirects, retries, paging, rate limits, errors.

``transport.py`` is the session that clients use. Below it: ``sender.py`` (log-in, redirects), ``exchange.py`` (one
exchange), ``connections.py`` and ``pools.py`` (kept connections). Within ``registry`` only.
"""
