"""The formats of other mirroring tools: a reader for each, which returns the values of ``importing/model.py``."""
