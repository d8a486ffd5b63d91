"""The meaning of a mirrors file: routes, the graph they form, and everything wrong with it.

``load.py`` is the entrance: it reads a file, validates it and runs ``checks/``. For ``sync``, ``nodes`` and the
packages above them.
"""
