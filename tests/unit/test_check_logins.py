"""Checks of a login that need no registry: the end of a password, the granted actions of a token, verdicts."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.checks.finding import Finding, worst
from registry_sync.checks.logins import check_login, expires_at
from registry_sync.checks.report_text import advice, conclusion, findings_table
from registry_sync.errors import ConfigurationError, RateLimited, TemporaryError
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.wire.auth import granted_actions
from testkit.scripted import Reply, ScriptedServer

END = datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC)


def jwt(**claims: Any) -> str:
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2lnbmVk"


def ecr(**fields: Any) -> str:
    return b64encode(json.dumps({"version": "2", "type": "DATA_KEY", **fields}).encode()).decode()


@pytest.mark.parametrize(
    ("secret", "end"),
    [
        (jwt(exp=END.timestamp()), END),
        (ecr(expiration=int(END.timestamp())), END),
        ("hunter2", None),
        ("a.b.c", None),
        (jwt(exp="soon"), None),
        (jwt(exp=True), None),
        (jwt(exp=1e300), None),
        (ecr(), None),
        (b64encode(b"[1]").decode(), None),
        ("dckr_pat_abcdefghijklmnop", None),
    ],
)
def test_the_end_of_a_password_is_read_where_it_says_one(secret: str, end: datetime | None) -> None:
    assert expires_at(secret) == end


@pytest.mark.parametrize(
    ("claims", "granted"),
    [
        ({"access": [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}]}, {"pull", "push"}),
        ({"access": [{"Type": "repository", "Name": "team/app", "Actions": ["pull"]}]}, {"pull"}),
        ({"access": [{"type": "repository", "name": "team/other", "actions": ["*"]}]}, set()),
        ({"access": []}, set()),
        ({"access": None}, set()),
        ({"access": [{"type": "repository", "name": "team/app"}, "odd"]}, set()),
        ({"sub": "robot"}, None),
    ],
)
def test_granted_actions_are_those_of_the_repository(claims: dict[str, Any], granted: set[str] | None) -> None:
    assert granted_actions(jwt(**claims), "team/app") == (None if granted is None else frozenset(granted))


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "e30.e30"])
def test_a_token_that_is_no_jwt_says_nothing(token: str) -> None:
    assert granted_actions(token, "team/app") is None


def date(ahead: timedelta) -> str:
    return f"{datetime.now(UTC) + ahead:%a, %d %b %Y %H:%M:%S GMT}"


def findings(headers: dict[str, str], secret: str) -> list[Finding]:
    """The findings about a login at a server that answers with these headers."""
    with ScriptedServer(lambda _: Reply(status=200, body=b"{}", headers=headers)) as server:
        endpoint = Endpoint(host=server.host, tls=False, credentials=Credentials(username="robot", secret=secret))
        client = DistributionClient(endpoint)
        try:
            return list(check_login("registry acr", endpoint, client, connection="registry_acr"))
        finally:
            client.close()


@pytest.mark.parametrize(
    ("minutes", "way"), [(5, "behind"), (-5, "ahead of"), (0, ""), (0.5, ""), (60 * 24 * 400, "behind")]
)
def test_a_clock_that_differs_is_told(minutes: float, way: str) -> None:
    found = [
        finding for finding in findings({"Date": date(timedelta(minutes=minutes))}, "x") if finding.check == "clock"
    ]
    assert [(each.verdict, way in each.text) for each in found] == ([("warning", True)] if way else [])


@pytest.mark.parametrize(
    "header", ["yesterday", "", "Mon, 99 Foo 2026 00:00:00 GMT", "Sun, 29 Nov 2026 08:00:00 -0000"]
)
def test_a_date_that_is_not_valid_is_no_difference(header: str) -> None:
    assert [finding.check for finding in findings({"Date": header}, "x")] == ["log in"]


@pytest.mark.parametrize(
    ("left", "verdict"), [(timedelta(hours=-1), "missing"), (timedelta(hours=9), "warning"), (timedelta(days=90), "ok")]
)
def test_the_end_of_a_login_is_told(left: timedelta, verdict: str) -> None:
    secret = jwt(exp=(datetime.now(UTC) + left).timestamp())
    (found,) = [finding for finding in findings({}, secret) if finding.check == "end of the login"]
    assert found.verdict == verdict
    assert secret not in repr(found)


def test_the_proxy_of_a_registry_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda _: Reply(status=200, body=b"{}")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:of-the-proxy@{proxy.host}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        endpoint = Endpoint(host="registry.example", tls=False, credentials=Credentials(username="u", secret="x"))
        client = DistributionClient(endpoint)
        found = list(check_login("registry acr", endpoint, client, connection="registry_acr"))
        client.close()
    assert found[0].text == f"registry.example as 'u' through the proxy http://…@{proxy.host}"
    assert [(each.check, each.verdict, each.text) for each in found[1:]] == [
        ("TLS", "warning", "tls: false sends the password to registry.example in clear text")
    ]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ConfigurationError("x"), "missing"),
        (TemporaryError("x"), "unknown"),
        (RateLimited("x", retry_at=END), "unknown"),
    ],
)
def test_a_temporary_error_is_not_missing(error: Any, verdict: str) -> None:
    assert Finding.of_error("registry acr", "log in", error).verdict == verdict


def test_remarks_that_are_cut_are_whole_below_the_table() -> None:
    """The same one of several queues stands there once."""
    text = "this executor does not report which queues have workers; check --on-workers runs a task there"
    found = [
        *(Finding(subject=f"queue {name}", check="workers", verdict="skipped", text=text) for name in "ab"),
        Finding(subject="skopeo", check="version", text=f"1.18.0, {70 * 'x'}"),
    ]
    assert advice(found) == (
        f"not checked: queue a, queue b: workers: {text}\n\nok: skopeo: version: 1.18.0, {70 * 'x'}"
    )


def test_findings_are_a_table_and_what_to_do() -> None:
    found = [
        Finding(subject="skopeo", check="version", text="1.18.0"),
        Finding(
            subject="pool acr", check="exists", verdict="missing", text="does not exist", remedy="airflow pools set"
        ),
        Finding(subject="queue q", check="workers", verdict="skipped", text="not told"),
        Finding(subject="registry acr", check="log in", verdict="unknown", text="down"),
    ]
    assert [" ".join(line.split()) for line in findings_table(found).splitlines()[2:]] == [
        "skopeo version ok, 1.18.0",
        "pool acr exists MISSING",
        "queue q workers not checked: not told",
        "registry acr log in UNKNOWN",
    ]
    assert advice(found) == (
        "MISSING: pool acr: exists: does not exist\n  → airflow pools set\n\nUNKNOWN: registry acr: log in: down"
    )
    assert conclusion(found) == "1 missing, 1 could not be checked, of 4 checks"
    assert (worst(found), worst(found[2:]), worst(found[:1])) == ("missing", "unknown", "ok")
    assert conclusion(found[:1]) == "nothing is missing"
    assert [Finding.from_json(each.to_json()) for each in found] == found
