"""The DAGs that a DAG file gets, their schedules, forms and documentation."""
