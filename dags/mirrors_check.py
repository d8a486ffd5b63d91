from registry_sync.airflow import check_mirror_dags

check_mirror_dags(globals())
