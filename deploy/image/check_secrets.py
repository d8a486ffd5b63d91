"""Ends with an error, and says what to do, when the stack's secrets are missing, weak, or known to everybody."""

from __future__ import annotations

import base64
import binascii
import os
import re
import sys
from collections.abc import Iterator, Mapping

SECRETS = ("ADMIN_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "API_SECRET_KEY", "JWT_SECRET", "FERNET_KEY")
LEAST_CHARACTERS = 16
DEMO = "demo-only-"
"""Start of the secrets in deploy/demo.env."""
LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|localhost|::1|\[::1\]")

REMEDY = """\
Nothing was started. `make env` writes a .env with secrets of your own; .env.example says what each is for.
For a look around on this machine: docker compose --env-file deploy/demo.env up -d"""


def faults(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the faults of the secrets, one line for each. No line quotes a secret."""
    is_demo = "demo" in settings.get("COMPOSE_PROFILES", "").split(",")
    for name in SECRETS:
        value = settings.get(name, "")
        if not value:
            yield f"{name} is missing"
        elif any(each.startswith(DEMO) for each in value.split(",")):
            if not is_demo:
                yield f"{name} is the demo's, which everybody knows; only the profile demo may have it"
            elif not LOOPBACK.fullmatch(settings.get("BIND_ADDRESS", "127.0.0.1")):
                yield f"{name} is the demo's, which everybody knows; with it BIND_ADDRESS must be 127.0.0.1"
        elif len(value) < LEAST_CHARACTERS:
            yield f"{name} has {len(value)} characters; it needs {LEAST_CHARACTERS} or more"
        elif name != "FERNET_KEY" and not re.fullmatch(r"[A-Za-z0-9._~=-]+", value):
            yield f"{name} has other characters than letters, digits and -._~= and would not survive in an address"
        elif name == "FERNET_KEY" and not all(map(is_fernet_key, value.split(","))):
            yield f"{name} is not 32 bytes in urlsafe base64; make one: head -c 32 /dev/urandom | base64 | tr '+/' '-_'"


def is_fernet_key(text: str) -> bool:
    """Return whether the text is a Fernet key: https://github.com/fernet/spec/blob/master/Spec.md."""
    try:
        return len(base64.urlsafe_b64decode(text)) == 32
    except (binascii.Error, ValueError):
        return False


if __name__ == "__main__":
    if found := list(faults(os.environ)):
        sys.exit("\n".join(("The stack does not start with these secrets:", *(f"  {each}" for each in found), REMEDY)))
    print("The secrets are fit for use.")
