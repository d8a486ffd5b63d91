"""The machines that pull: render their files, audit them, rewrite image names, and check that nodes would start.

``readiness/`` has the checks, ``roll_out/`` the forms of ``nodes render --as``. For ``state``, ``airflow`` and ``cli``.
"""
