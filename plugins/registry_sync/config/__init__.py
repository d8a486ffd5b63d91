"""The mirrors file as it may be written, and reading it with line numbers.

A module for each key has the entry model that pydantic validates, and the frozen value that it is parsed to.
``reading/`` reads YAML and explains mistakes by line; ``images/`` finds images in lists and manifests. For ``routes``
and the packages above it.
"""
