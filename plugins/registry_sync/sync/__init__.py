"""One route: observe, plan, transfer, publish, prune, report.

``route.py`` has the whole flow, ``session.py`` what it works with. ``reading/`` observes, ``content/`` and
``artifacts/`` copy, ``pruning/`` deletes, ``verification/`` checks and repairs what is there. For ``checks``,
``state``, ``airflow`` and ``cli``.
"""
