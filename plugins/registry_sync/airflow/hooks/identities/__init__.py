"""Airflow Connections of clouds, as identities. The fields are those that the providers' hooks read."""
