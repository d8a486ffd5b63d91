from registry_sync.airflow import mirror_dags

mirror_dags(globals())
