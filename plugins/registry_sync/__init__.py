"""Keep container images in step between registries, as Apache Airflow DAGs written from one mirrors file."""
