# Airflow with skopeo and registry_sync. Build: docker build -t registry-sync .
#
# Works with any Debian or Ubuntu base image that has Python 3.11 to 3.13 and pip; Airflow is installed if missing:
#   docker build --build-arg AIRFLOW_IMAGE=python:3.11-slim-bookworm -t registry-sync .
ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.11
# An image with a skopeo to use in place of Debian's. It must run in the base image: linked statically, or built for it.
ARG SKOPEO_IMAGE=${AIRFLOW_IMAGE}

FROM ${SKOPEO_IMAGE} AS skopeo
USER root
RUN mkdir /skopeo && if command -v skopeo >/dev/null; then cp "$(command -v skopeo)" /skopeo/; fi

FROM ${AIRFLOW_IMAGE}

# Skip the installation if the base image already has skopeo and the user: then this step needs no network.
USER root
COPY --from=skopeo /skopeo/ /usr/local/bin/
RUN if command -v skopeo >/dev/null; then skopeo --version; else \
        apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends skopeo ca-certificates \
        && rm -rf /var/lib/apt/lists/*; \
    fi \
    && { id airflow >/dev/null 2>&1 || useradd --uid 50000 --gid 0 --create-home airflow; } \
    && install -d -o airflow -g 0 -m 0775 /opt/airflow /opt/airflow/logs /opt/airflow/state
USER 50000

# PATH and PIP_BREAK_SYSTEM_PACKAGES are for base images other than Airflow's: pip installs to the user's home there.
ENV AIRFLOW_HOME=/opt/airflow \
    PATH=/home/airflow/.local/bin:${PATH} \
    PIP_BREAK_SYSTEM_PACKAGES=1 \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1
WORKDIR /opt/airflow

COPY --chown=50000:0 requirements.txt requirements-stack.txt constraints.txt /opt/registry_sync/
# Additional packages, such as apache-airflow-providers-cncf-kubernetes for the KubernetesExecutor.
ARG EXTRA_REQUIREMENTS=""
# Versions tested with registry_sync. For a full Airflow image, use its own: /home/airflow/constraints.txt.
ARG CONSTRAINTS=/opt/registry_sync/constraints.txt
RUN pip install --no-cache-dir --disable-pip-version-check \
    -r /opt/registry_sync/requirements-stack.txt ${EXTRA_REQUIREMENTS} -c "${CONSTRAINTS}"

COPY --chown=50000:0 deploy/image/ /opt/registry_sync/
COPY --chown=50000:0 dags/ /opt/airflow/dags/
COPY --chown=50000:0 plugins/ /opt/airflow/plugins/
COPY --chown=50000:0 include/ /opt/airflow/include/
# Bytecode, so that no container and no pod of a task compiles the modules again.
RUN python3 -m compileall -q /opt/airflow/plugins /opt/airflow/dags

# Last, because they change with every build: --build-arg VERSION=... --build-arg REVISION="$(git rev-parse HEAD)"
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="registry_sync" \
    org.opencontainers.image.description="Airflow that mirrors container images between registries" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
