"""The only subprocess: copies by digest, on this worker (``local.py``) or in containers (``container.py``).

``copier.py`` runs the copies of one route, ``errors.py`` reads skopeo's messages, ``policy.py`` checks that policies
can be enforced. For ``sync``, ``checks``, ``airflow`` and ``cli``.
"""
