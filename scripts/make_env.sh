#!/bin/sh
# Write .env with secrets of its own from .env.example; one that is there stays as it is.
set -eu
umask 077
if [ -e .env ]; then
    echo ".env is there already and stays as it is; for new secrets edit it: .env.example says how"
    exit 0
fi
new=$(mktemp .env.XXXXXX)
trap 'rm -f "$new"' EXIT
while IFS= read -r line; do
    case "$line" in
        [A-Z]*=) echo "$line$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')" ;;
        *) printf '%s\n' "$line" ;;
    esac
done <.env.example >"$new"
ln "$new" .env # fails where another has been faster
echo ".env has new secrets. Keep a copy where secrets are kept: without FERNET_KEY, a backup's Connections cannot be read."
