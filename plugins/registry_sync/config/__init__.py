"""The content of a mirrors file as frozen values, and reading it with line numbers.

``entries/`` has a model for each key, which pydantic validates and which parses to the value. A route needs the values
only, and imports no pydantic. ``reading/`` reads YAML and explains mistakes by line; ``images/`` finds images in lists
and manifests. For ``routes`` and the packages above it.
"""
