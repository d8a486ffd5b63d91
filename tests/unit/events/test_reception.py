"""Requests of senders: which are genuine, and what their bodies name."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from registry_sync.events.reception import Refused, Request, not_genuine, read_request
from registry_sync.events.reported import Ignored, Reported
from registry_sync.events.senders.table import SENDERS
from testkit.webhooks import SECRET, Sent, load_requests, signed

HOSTS = {
    "aliyun": "example-registry.cn-shanghai.cr.aliyuncs.com",
    "ecr": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
}
REQUESTS = load_requests()
FORGED = "0123456789abcdef-secret-of-an-attacker"


def request(headers: Mapping[str, str], body: bytes) -> Request:
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request(headers=lines, body=body)


def receive(headers: Mapping[str, str], body: bytes, kind: str = "quay") -> Reported | Refused:
    return read_request(request(headers, body), kind=kind, host=HOSTS.get(kind, "registry.example"), secret=SECRET)


def named(found: Reported | Refused) -> list[tuple[str, tuple[str, ...] | None]]:
    assert isinstance(found, tuple), found
    return [(push.candidates[0].repository, push.candidates[0].tags) for push in found]


@pytest.mark.parametrize("sent", REQUESTS, ids=str)
def test_a_genuine_request_is_read(sent: Sent) -> None:
    found = receive(sent.headers, sent.body, sent.kind)
    if sent.pushes is None:
        assert found == Ignored(reason=sent.ignored)
    else:
        assert named(found) == sent.pushes


@pytest.mark.parametrize("sent", load_requests(FORGED), ids=str)
def test_a_request_with_another_secret_is_refused(sent: Sent) -> None:
    proofs = {"Authorization", "X-Hub-Signature-256", "X-JFrog-Event-Auth", "X-Nexus-Webhook-Signature"}
    has_proof = bool(proofs & sent.headers.keys()) or "X-Registry-Sync-Secret" in sent.headers or b"token" in sent.body
    if has_proof:
        assert receive(sent.headers, sent.body, sent.kind) == not_genuine(sent.kind)


@pytest.mark.parametrize("sent", REQUESTS, ids=str)
def test_a_sender_that_can_prove_itself_must(sent: Sent) -> None:
    if sent.kind not in SENDERS or SENDERS[sent.kind].proves:
        assert receive({}, sent.body, sent.kind) == not_genuine(sent.kind)


@pytest.mark.parametrize("sent", [sent for sent in REQUESTS if "Signature" in str(sent.headers)], ids=str)
def test_a_signature_is_of_this_body_alone(sent: Sent) -> None:
    assert receive(sent.headers, sent.body + b" ", sent.kind) == not_genuine(sent.kind)


def test_two_names_of_a_repository_are_kept() -> None:
    sent = next(sent for sent in REQUESTS if sent.kind == "artifactory")
    found = receive(sent.headers, sent.body, sent.kind)
    assert isinstance(found, tuple)
    assert [push.repository for push in found[0].candidates] == ["docker-local/team/app", "team/app"]


PUSH = b'{"repository": "team/app", "tags": ["v1"]}'


@pytest.mark.parametrize(
    ("name", "value", "is_genuine"),
    [
        ("Authorization", SECRET, True),
        ("Authorization", f"Bearer {SECRET}", True),
        ("authorization", f"bearer  {SECRET} ", True),
        ("Authorization", "Basic " + base64.b64encode(f"events:{SECRET}".encode()).decode(), True),
        ("Authorization", "Basic " + base64.b64encode(f"{SECRET}:".encode()).decode(), False),
        ("Authorization", "Basic !", False),
        ("Authorization", "", False),
        ("Authorization", f"Bearer {SECRET[:-1]}", False),
        ("Authorization", f"Token {SECRET}", False),
        ("Authorization", "Bearer \xe9", False),
        ("X-Registry-Sync-Secret", SECRET, True),
        ("X-Registry-Sync-Secret", SECRET.upper(), False),
        ("X-Hub-Signature-256", signed({"h": "sha256=SHA256"}, PUSH)["h"], True),
        ("X-Hub-Signature-256", signed({"h": "SHA256"}, PUSH)["h"], False),
        ("X-Hub-Signature", signed({"h": "sha1=SHA1"}, PUSH)["h"], False),
        ("X-JFrog-Event-Auth", signed({"h": "SHA256"}, PUSH)["h"], True),
        ("X-Nexus-Webhook-Signature", signed({"h": "SHA1"}, PUSH)["h"], True),
        ("X-Nexus-Webhook-Signature", SECRET, False),
    ],
)
def test_the_generic_form_needs_a_proof_at_every_address(name: str, value: str, is_genuine: bool) -> None:
    for kind in ("quay", "docker_hub", "harbor", "google"):
        found = receive({name: value}, PUSH, kind)
        if is_genuine:
            assert named(found) == [("team/app", ("v1",))]
        else:
            assert found == not_genuine(kind)


@pytest.mark.parametrize(
    ("kind", "service"), [("google", "Google Pub/Sub"), ("acr", "Azure Event Grid"), ("ecr", "Amazon SNS")]
)
def test_a_service_that_cannot_prove_itself_is_told_of_the_queue(kind: str, service: str) -> None:
    """Pub/Sub sends a token that Google signed, SNS and Event Grid a handshake without any proof."""
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"RS256"}', b"{}", b"s"))
    body = json.dumps({"message": {"data": "e30="}, "subscription": "projects/p/subscriptions/s"}).encode()
    expected = f"the request does not prove that it is genuine; if {service} sent it, read its messages by events: "
    for headers in ({"Authorization": f"Bearer {token}"}, {}):
        assert receive(headers, body, kind) == Refused(status=401, message=expected + "{queue: …}")
    assert receive({}, body, "harbor") == Refused(status=401, message="the request does not prove that it is genuine")


def test_one_valid_proof_suffices_beside_that_of_a_proxy() -> None:
    proxy = "Basic " + base64.b64encode(b"proxy:password").decode()
    quay = json.dumps({"repository": "team/app", "updated_tags": ["v1"]}).encode()
    assert named(receive({"Authorization": proxy}, quay)) == [("team/app", ("v1",))]
    assert named(receive({"Authorization": proxy, "X-Registry-Sync-Secret": SECRET}, PUSH)) == [("team/app", ("v1",))]


@pytest.mark.parametrize("token", ["wrong", "", None, 7, [SECRET], "\ud800"])
def test_a_token_in_a_body_must_be_right(token: Any) -> None:
    body = json.dumps({"repository": "team/app", "updated_tags": ["v1"], "token": token}).encode()
    assert receive({}, body) == not_genuine("quay")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not valid JSON"),
        (b"null", "the body is not a JSON object"),
        (b"[]", "the body is not a JSON object"),
        (b'{"repository": "team/app", "updated_tags": ["v1"]} {}', "the body is not valid JSON"),
        (b'{"a": 1, "a": 2}', "the body has a key twice in one object"),
        (b'{"b": {"a": 1, "a": 2}}', "the body has a key twice in one object"),
        (b'{"a": NaN}', "the body has a number that JSON does not have, such as NaN"),
        (b'{"a": -Infinity}', "the body has a number that JSON does not have, such as NaN"),
        (b'{"a": 1e999}', "the body has a number that is too large"),
        (b'{"a": ' + 5000 * b"9" + b"}", "the body is not valid JSON"),
        (b'{"a": "\xff"}', "the body is not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "the body is not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "the body is not UTF-8"),
        (b'{"a": ' + 32 * b"[" + 32 * b"]" + b"}", "the body is nested more than 32 deep"),
        (100_000 * b'{"a":', "the body is nested more than 32 deep"),
        (500_000 * b"[", "the body is nested more than 32 deep"),
    ],
)
def test_odd_json_is_refused(body: bytes, message: str) -> None:
    assert receive({}, body) == Refused(status=400, message=message)


def test_json_may_be_as_deep_as_the_limit() -> None:
    body = b'{"repository": "team/app", "updated_tags": ["v1"], "a": ' + 30 * b"[" + 30 * b"]" + b"}"
    assert named(receive({}, body)) == [("team/app", ("v1",))]


def test_github_may_send_a_form() -> None:
    sent = next(sent for sent in REQUESTS if sent.kind == "ghcr")
    form = b"payload=" + "".join(f"%{byte:02x}" for byte in sent.body).encode()
    headers = signed({"X-Hub-Signature-256": "sha256=SHA256"}, form)
    assert named(receive(headers, form, "ghcr")) == [("team/app", ("v1.2.3",))]
    assert receive({}, b"payload=%zz\xff", "quay") == Refused(status=400, message="the body is not a form")
    assert receive({}, b"payload=&other=1", "quay") == Refused(status=400, message="the body is not valid JSON")


@pytest.mark.parametrize("kind", SENDERS)
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "ping", "id": "1", "timestamp": "2026-11-29T10:00:00Z"},
        {"repository": "team/app", "docker_url": "quay.io/team/app", "build_id": "1", "homepage": ""},
        {"repository": {"repo_name": 7}, "push_data": []},
        {"repository": "../../etc", "updated_tags": ["v1"]},
        {"type": "PUSH_ARTIFACT", "event_data": {"resources": [7, None], "repository": "x"}},
        {"action": "push", "target": "team/app:v1"},
        {"action": "published", "package": {"package_type": "container", "package_version": []}},
        {"events": [None, 7, {"action": "push", "target": {"tag": "v1"}}]},
        {"domain": "docker", "event_type": "pushed", "data": None},
        {"action": "CREATED", "repositoryName": ["x"], "component": {"format": "docker", "name": None}},
    ],
    ids=str,
)
def test_bodies_of_another_form_are_ignored(kind: str, body: dict[str, Any]) -> None:
    headers = {"X-Registry-Sync-Secret": SECRET}
    assert isinstance(receive(headers, json.dumps(body).encode(), kind), Ignored)


EXAMPLE = 'write {"repository": "team/app", "tags": ["v1"]}'
NO_NAME = "is not the name of a repository, without the registry, tag and digest"


@pytest.mark.parametrize("kind", [*SENDERS, "google"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"repo": "team/app", "tags": ["v1"]}, f"the key 'repo' is not known; {EXAMPLE}"),
        ({"repository": "team/app", "Tags": ["v1"]}, f"the key 'Tags' is not known; {EXAMPLE}"),
        ({"tags": ["v1"]}, f"repository is not a text; {EXAMPLE}"),
        ({"repository": ["team/app"]}, f"repository is not a text; {EXAMPLE}"),
        ({"repository": "team/app", "tags": "v1"}, f"tags is not a list; {EXAMPLE}"),
        ({"repository": "team/app", "tags": {"v1": 1}}, f"tags is not a list; {EXAMPLE}"),
        (
            {"repository": "team/app", "tags": []},
            "tags is empty; name the tags, or leave the key out to have all tags looked at",
        ),
        ({"repository": "team/app", "tags": ["v1", ""]}, f"'' is not a tag; {EXAMPLE}"),
        ({"repository": "team/app", "tags": [["v1"]]}, f"one that is not a text is not a tag; {EXAMPLE}"),
        ({"repository": "team/app", "tag": ["v1"]}, f"one that is not a text is not a tag; {EXAMPLE}"),
        ({"repository": "team/app", "tag": "v1", "tags": ["v2"]}, f"it has both tag and tags; {EXAMPLE}"),
        ({"repository": "HOST/team/app"}, f"'HOST/team/app' {NO_NAME}; write 'team/app'"),
        ({"repository": "HOST/team/app:v1"}, f"'HOST/team/app:v1' {NO_NAME}; write 'team/app', and the tag in tags"),
        ({"repository": "https://HOST/team/app"}, f"'https://HOST/team/app' {NO_NAME}; write 'team/app'"),
        ({"repository": "team/app:v1"}, f"'team/app:v1' {NO_NAME}; write 'team/app', and the tag in tags"),
        ({"repository": "Team/App"}, f"'Team/App' {NO_NAME}; {EXAMPLE}"),
        ({"repository": ""}, f"'' {NO_NAME}; {EXAMPLE}"),
    ],
    ids=str,
)
def test_a_slip_of_ones_own_ci_is_refused(kind: str, body: dict[str, Any], message: str) -> None:
    """``curl --fail`` then fails the job. A stranger learns nothing of it."""
    host = HOSTS.get(kind, "registry.example")
    sent, expected = json.dumps(body).replace("HOST", host).encode(), message.replace("HOST", host)
    for headers in ({"Authorization": f"Bearer {SECRET}"}, signed({"X-Hub-Signature-256": "sha256=SHA256"}, sent)):
        assert receive(headers, sent, kind) == Refused(status=422, message=expected)
    assert receive({"X-Registry-Sync-Secret": FORGED}, sent, kind) == not_genuine(kind)
    assert not isinstance(receive({}, sent, kind), tuple)


def test_a_tag_alone_is_looked_at_alone() -> None:
    body = {"repository": "team/app", "tag": "v1", "token": SECRET}
    for kind in ("quay", "google"):
        found = receive({"Authorization": SECRET}, json.dumps(body).encode(), kind)
        assert named(found) == [("team/app", ("v1",))]


@pytest.mark.parametrize("name", ["another region", "other region of AWS", "other account"])
def test_a_host_of_ones_own_has_no_region(name: str) -> None:
    sent = next(sent for sent in REQUESTS if sent.name == name)
    found = read_request(request(sent.headers, sent.body), kind=sent.kind, host="images.example.com", secret=SECRET)
    assert named(found) == [("team/app", ("v1.2.3",))]


def test_every_sender_has_a_request() -> None:
    assert SENDERS.keys() <= {sent.kind for sent in REQUESTS}
