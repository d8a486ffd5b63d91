"""The only HTTP to registries: one client per kind of registry behind the protocol of ``client.py``.

``open.py`` opens the client of a kind. ``distribution.py`` is the base of all clients, ``vendors/`` has the others,
``content/`` the blobs, ``identity/`` the identities at clouds, and ``wire/`` the exchange with one host. For ``sync``,
``nodes`` and the packages above them; others may import the pure values that ``docs/design.md`` lists.
"""
