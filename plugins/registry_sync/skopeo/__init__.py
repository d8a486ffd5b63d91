"""The only subprocess: copies by digest, on this worker (``local.py``) or in containers (``container.py``).

``copier.py`` runs the copies of one route, ``errors.py`` translates the messages of those that fail, by the table in
``error_texts.py``. ``policy.py`` checks that policies can be enforced. For ``sync``, ``checks``, ``airflow`` and
``cli``.
"""
