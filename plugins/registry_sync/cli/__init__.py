"""The command line, ``python -m registry_sync``: a module for each command, which ``main.py`` puts together.

``nodes/`` has the commands below ``nodes``. Airflow is imported by commands that need its Connections or database.
"""
