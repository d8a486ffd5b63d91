#!/bin/sh
# Write .env from .env.example, with new secrets. An existing .env is kept.
set -eu
umask 077
if [ -e .env ]; then
    echo ".env already exists and was not changed; to rotate its secrets: docs/operate.md, Rotate secrets"
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
ln "$new" .env # fails if another process created .env meanwhile
echo "wrote .env with new secrets; keep a copy in your secret store: without FERNET_KEY, Connections in a backup cannot be decrypted"
