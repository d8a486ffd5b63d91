"""The stack's first service: which secrets it takes, and what it says of others."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from testkit.airflow import PROJECT

SCRIPT = PROJECT / "deploy" / "image" / "check_secrets.py"
FERNET_KEY = "pQ8sG3n1y5Jw0vX2cT7uZ4bK9eR6aD1fH3iL5mO8qSU="
GOOD = {
    "ADMIN_PASSWORD": "ah9Eetai4ieXoo5e",
    "POSTGRES_PASSWORD": "iey5Eeth~ai-Ph_ee.k0=",
    "REDIS_PASSWORD": "Ohfee9aeW3Ohdohp",
    "API_SECRET_KEY": "eiquoo2Ahghae8ei",
    "JWT_SECRET": "Ohzoo2neiT8ohbee",
    "FERNET_KEY": FERNET_KEY,
}
REMEDY = """\
Nothing was started. `make env` writes a .env with secrets of your own; .env.example says what each is for.
For a look around on this machine: docker compose --env-file deploy/demo.env up -d
"""


def check(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT], env=settings, capture_output=True, text=True, check=False)


def read_env(name: str) -> dict[str, str]:
    lines = (PROJECT / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match("[A-Z]", line))


def refusal(**settings: str) -> str:
    """What is said of the secrets, between the first line and the remedy."""
    done = check(**settings)
    assert done.returncode == 1
    first, *faults = done.stderr.removesuffix(REMEDY).splitlines()
    assert first == "The stack does not start with these secrets:"
    return "\n".join(faults)


def test_good_secrets_are_accepted() -> None:
    assert check(**GOOD).returncode == 0
    assert check(**GOOD | {"FERNET_KEY": f"{FERNET_KEY},{FERNET_KEY}"}).returncode == 0  # while they are rotated


def test_the_example_has_no_secrets() -> None:
    assert refusal(**read_env(".env.example")) == "\n".join(f"  {each} is missing" for each in GOOD)


def test_secrets_of_the_demo_are_refused_outside_of_it() -> None:
    demo = read_env("deploy/demo.env")
    assert check(**demo).returncode == 0
    assert check(**demo | {"COMPOSE_PROFILES": "other,demo"}).returncode == 0
    known = "is the demo's, which everybody knows"
    assert refusal(**demo | {"COMPOSE_PROFILES": ""}) == "\n".join(
        f"  {each} {known}; only the profile demo may have it" for each in GOOD
    )
    assert refusal(**demo | {"BIND_ADDRESS": "0.0.0.0"}) == "\n".join(
        f"  {each} {known}; with it BIND_ADDRESS must be 127.0.0.1" for each in GOOD
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("JWT_SECRET", "airflow", "JWT_SECRET has 7 characters; it needs 16 or more"),
        (
            "POSTGRES_PASSWORD",
            "abc@def/ghi:jkl%mno",
            "POSTGRES_PASSWORD has other characters than letters, digits and -._~= and would not survive in an address",
        ),
        (
            "FERNET_KEY",
            "ah9Eetai4ieXoo5e",
            "FERNET_KEY is not 32 bytes in urlsafe base64; make one: head -c 32 /dev/urandom | base64 | tr '+/' '-_'",
        ),
    ],
)
def test_weak_secrets_are_refused_and_not_printed(name: str, value: str, message: str) -> None:
    assert refusal(**GOOD | {name: value}) == f"  {message}"
