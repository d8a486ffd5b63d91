# Airflow with skopeo and registry_sync. Build: docker build -t registry-sync .
# Any base with Python 3.11 to 3.13 and apt will do: docker build --build-arg AIRFLOW_IMAGE=...
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
FROM ${AIRFLOW_IMAGE}

USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends skopeo ca-certificates \
    && rm -rf /var/lib/apt/lists/*
USER airflow

COPY --chown=airflow:0 requirements.txt constraints.txt /opt/registry_sync/
RUN pip install --no-cache-dir -r /opt/registry_sync/requirements.txt \
    "apache-airflow[celery,postgres,redis]==3.3.2" -c /opt/registry_sync/constraints.txt

COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 include /opt/airflow/include
