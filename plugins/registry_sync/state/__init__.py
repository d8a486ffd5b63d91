"""State of each route and destination between runs. Pure values: ``airflow/states/`` stores them.

``recording/`` merges a run into the state, ``judging/`` compares it with promises, ``lookup/`` answers queries of pages
and commands, ``messages/`` decides what notifiers send. For ``airflow`` and ``cli``.
"""
