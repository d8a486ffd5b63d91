#!/bin/bash
# Brings the database, log-ins, Connections and pools to what files and environment say. It may run again at any time.
set -euo pipefail

python3 /opt/registry_sync/passwords.py
airflow db migrate

secrets=/opt/airflow/secrets
if ! ls "$secrets" >/dev/null; then
    echo "secrets/ cannot be read by the user of the containers: chown -R 50000 secrets" >&2
    exit 1
fi
for file in "$secrets"/connections.{yaml,json,env}; do
    [ ! -s "$file" ] || airflow connections import --overwrite "$file"
done
if [ -n "${CONNECTIONS:-}" ]; then
    file=$(mktemp --suffix=.json)
    trap 'rm -f "$file"' EXIT
    printf '%s' "$CONNECTIONS" >"$file"
    airflow connections import --overwrite "$file"
fi
[ ! -s "$secrets/pools.json" ] || airflow pools import "$secrets/pools.json"
