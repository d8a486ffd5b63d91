"""Mirror container images between registries, driven by one file and run by Apache Airflow."""

__version__ = "0.1.0"
