"""Pushes that registries report: proof of the sender, names in the body, and the mirrors that they concern.

Pure. ``senders/`` has a module for each form of body. For ``airflow`` and ``cli``.
"""
