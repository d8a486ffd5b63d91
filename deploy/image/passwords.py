"""Gives the user admin of the web UI the password in ADMIN_PASSWORD, and a new one to each user that has none.

Airflow would make those, too, and print them to the log of the API server.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

FILE = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])


def read(file: Path) -> dict[str, str]:
    """The passwords by user; none when there is no file yet."""
    text = file.read_text() if file.exists() else ""
    return dict(json.loads(text)) if text.strip() else {}


def write(file: Path, passwords: dict[str, str]) -> None:
    """For this user's eyes only, and never half."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(new, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        json.dump(passwords, output)
    new.replace(file)


if __name__ == "__main__":
    users = os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"].split(",")
    new = {each.partition(":")[0].strip(): secrets.token_urlsafe(16) for each in users}
    write(FILE, new | read(FILE) | {"admin": os.environ["ADMIN_PASSWORD"]})
