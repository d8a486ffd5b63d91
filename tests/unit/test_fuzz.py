"""Any output of a registry, of skopeo or in a file gives an answer or one of our own errors.

``HYPOTHESIS_PROFILE=long`` tries much more. Addresses lead nowhere but to this machine.
"""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_sync.errors import MirrorsFileError, RegistrySyncError
from registry_sync.oci.manifest import OCI_INDEX, OCI_MANIFEST, parse_manifest
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.kinds import OWN_API
from registry_sync.registry.open import CLIENTS, open_client
from registry_sync.registry.tag_pages import parse_time
from registry_sync.registry.wire.auth import parse_token, token_url
from registry_sync.registry.wire.challenges import Challenge, parse_challenges
from registry_sync.registry.wire.http_errors import decode_error
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.transport import Transport
from registry_sync.routes.load import load_mirrors
from registry_sync.skopeo.errors import decode_failure
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.output import last_words
from registry_sync.text import LONGEST_TEXT
from testkit import images
from testkit.aws import ENVIRONMENT, shared_keys
from testkit.interceptor import ANY, Interceptor
from testkit.sleeping_clock import SleepingClock
from tests.conftest import IS_LONG

FEW = settings(max_examples=1000 if IS_LONG else 40)
IMAGE = images.multi_arch("fuzz")
DIGEST = str(IMAGE.digest)
WHEN = "2026-01-01T00:00:00Z"
TEAM = "team/app"

HOSTILE_TEXTS = (
    "",
    "\x00",
    "\x1b[31mred",
    "a\nb",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "{{ 7*7 }}",
    "9" * 5000,
    "-1",
    "1e999",
    "sha256:" + "g" * 64,
    "sha512:" + "a" * 128,
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59+00:00",
    "2026-01-01T00:00:00+23:59",
    "\ud800",
    "v" * 100_000,
)
ADDRESSES = (
    "/",
    "?",
    "http://[",
    "http://[::1",
    "http://127.0.0.1:1/next",
    "https://127.0.0.1:1/next",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:x/",
    "http://user:password@127.0.0.1:1/",
    "//",
    "http://",
    "http:///path",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://127.0.0.1:1\\@127.0.0.1:2/",
    "\xff",
    "/v2/team/app/tags/list?n=100&last=" + "x" * 5000,
)
NUMBERS = (0, -1, 1, 2**63, 10**400, -(10**400), 1e308, float("inf"), float("-inf"), float("nan"), True)

LEAVES = st.none() | st.sampled_from(NUMBERS) | st.sampled_from(HOSTILE_TEXTS + ADDRESSES) | st.text(max_size=20)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutants(draw: st.DrawFn, documents: tuple[Any, ...]) -> Any:
    """One of ``documents`` with a value replaced or removed."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(0, 3))):
        document = _mutate(draw, document)
    return document


def _mutate(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict | list) and value and draw(st.integers(0, 3)):
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(keys))
        if draw(st.integers(0, 4)):
            value[key] = _mutate(draw, value[key])
        else:
            del value[key]
        return value
    return draw(JSON)


DOCUMENTS: Mapping[str, tuple[Any, ...]] = {
    "distribution": ({"name": TEAM, "tags": ["v1", "v2"]}, {"repositories": [TEAM]}),
    "quay": (
        {"repositories": [{"namespace": "team", "name": "app", "last_modified": 1, "is_public": True}]},
        {
            "tags": [{"name": "v1", "manifest_digest": DIGEST, "start_ts": 1700000000, "immutable": False}],
            "has_additional": False,
        },
    ),
    "docker_hub": (
        {"next": None, "results": [{"namespace": "team", "name": "app", "last_updated": WHEN, "is_private": False}]},
        {"next": None, "results": [{"name": "v1", "digest": DIGEST, "tag_last_pushed": WHEN}]},
        {"access_token": "a-token"},
    ),
    "acr": (
        {"repositories": [TEAM]},
        {
            "tags": [
                {
                    "name": "v1",
                    "digest": DIGEST,
                    "lastUpdateTime": WHEN,
                    "changeableAttributes": {"writeEnabled": True},
                }
            ]
        },
    ),
    "google": (
        {"child": [], "manifest": {DIGEST: {"tag": ["v1"], "timeUploadedMs": "1700000000000"}}, "tags": ["v1"]},
        {"child": ["app"], "manifest": {}, "tags": []},
    ),
    "harbor": (
        [{"name": TEAM, "update_time": WHEN, "metadata": {"public": "true"}}],
        [{"digest": DIGEST, "tags": [{"name": "v1", "push_time": WHEN, "immutable": False}]}],
        {"name": TEAM, "tags": ["v1"]},
    ),
    "ghcr": (
        [{"name": "app", "visibility": "public"}],
        [{"id": 1, "name": DIGEST, "created_at": WHEN, "metadata": {"container": {"tags": ["v1"]}}}],
    ),
    "ecr": (
        {"imageDetails": [{"imageDigest": DIGEST, "imageTags": ["v1"], "imagePushedAt": 1.7e9}], "nextToken": "a"},
        {"repositories": [{"repositoryName": TEAM, "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}]},
        {"imageIds": [{"imageDigest": DIGEST, "imageTag": "v1"}], "failures": []},
        {"__type": "ThrottlingException", "message": "Rate exceeded"},
        {"failures": [{"failureCode": "ImageNotFound", "failureReason": "gone"}]},
    ),
    "artifactory": (
        {"name": TEAM, "tags": ["v1"], "results": [{"repo": "team", "path": "app/v1", "name": "manifest.json"}]},
        [{"key": "team", "type": "LOCAL"}],
        {"repositories": ["app"]},
    ),
    "gitlab": (
        [{"name": "v1", "digest": DIGEST, "created_at": WHEN, "published_at": WHEN}],
        [{"path": TEAM, "project_id": 1}],
        [{"id": 1, "visibility": "public", "container_registry_access_level": "enabled"}],
    ),
}
DOCUMENTS = {**DOCUMENTS, "aliyun": DOCUMENTS["distribution"], "nexus": DOCUMENTS["distribution"]}

HEADER_TEXTS = st.sampled_from(
    [each for each in HOSTILE_TEXTS if each.isprintable() and len(each) < 10_000 and each.isascii()]
)
LINKS = st.sampled_from(ADDRESSES).map(lambda each: f'<{each}>; rel="next"')
CHALLENGES = st.sampled_from(ADDRESSES).map(lambda each: f'Bearer realm="{each}",service="s"') | st.sampled_from(
    ["", "Basic", 'Basic realm="r"', "Bearer", "Negotiate", 'Bearer realm="', "a" * 5000, '"' * 5000, "=,=,=", "\xff"]
)
DIGITS = st.sampled_from(["0", "1", "21", "99", "2026", "9999", "99999", "9" * 20, "9" * 400, "-1", "x"])
DATES = st.tuples(DIGITS, DIGITS, DIGITS, DIGITS).map(lambda each: "Wed, {} Oct {} {}:28:00 +{}".format(*each))
"""Dates of RFC 9110 and similar ones."""
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Link": LINKS | HEADER_TEXTS,
        "Location": st.sampled_from(ADDRESSES),
        "WWW-Authenticate": CHALLENGES,
        "Docker-Content-Digest": HEADER_TEXTS | st.just(DIGEST),
        "Content-Type": st.sampled_from([OCI_INDEX, OCI_MANIFEST, "text/html", "application/json", "\xff/;;"]),
        "Retry-After": HEADER_TEXTS | DATES | st.sampled_from(["5", "x" * 100]),
        "X-RateLimit-Reset": HEADER_TEXTS,
        "RateLimit-Limit": HEADER_TEXTS | st.sampled_from(["100;w=" + "9" * 400, ";w=0"]),
        "X-Total-Count": HEADER_TEXTS,
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "br", "nonsense"]),
    },
)
STATUSES = st.sampled_from(
    [200] * 12 + [201, 204, 301, 302, 307, 400, 401, 401, 403, 404, 405, 409, 412, 429, 500, 503]
)

CALLS: Mapping[str, Callable[[RegistryClient, Repository], Any]] = {
    "ping": lambda client, _: client.ping(),
    "list_repositories": lambda client, _: list(islice(client.list_repositories("team"), 50)),
    "list_tags": lambda client, repository: list(islice(client.list_tags(repository), 500)),
    "list_tags since": lambda client, repository: list(
        islice(client.list_tags(repository, since=datetime(2026, 1, 1, tzinfo=UTC)), 500)
    ),
    "head_manifest": lambda client, repository: client.head_manifest(repository, "v1"),
    "get_manifest": lambda client, repository: client.get_manifest(repository, IMAGE.digest),
    "put_manifest": lambda client, repository: client.put_manifest(
        repository, "v1", parse_manifest(IMAGE.content, IMAGE.media_type)
    ),
    "locked_tags": lambda client, repository: client.locked_tags(repository, ["v1"]),
    "delete_tag": lambda client, repository: client.delete_tag(repository, "v1"),
}


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A server that answers every request as the test says."""

    server: Interceptor

    def says(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.server.clear_rules()
        self.server.answer(ANY, "", status, body, headers)

    def client(self, kind: str, *, is_anonymous: bool) -> RegistryClient:
        credentials = None if is_anonymous else Credentials(username="$oauthtoken", secret="the-secret")
        identity = None if is_anonymous else shared_keys()
        endpoint = Endpoint(host=self.server.host, tls=False, credentials=credentials, identity=identity)
        api_url = self.server.url if kind in OWN_API else None
        return open_client(kind, endpoint, max_connections=1, api_url=api_url, requests_per_second=10**6)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Interceptor("http://127.0.0.1:1") as server:
        yield Wire(server=server)


@pytest.fixture(scope="module", autouse=True)
def no_pauses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The clock of the transport and of its rate limits is patched, because both wait before a retry.

    It runs ahead of the clock of other tests, which must not find its times in the shared files.
    """
    clock = SleepingClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("rates")))
        patch.setattr("registry_sync.registry.wire.transport.time", clock)
        patch.setattr("registry_sync.registry.wire.rate_limit.time", clock)
        patch.setattr("registry_sync.registry.wire.paging.MAX_PAGES", 20)
        patch.setattr("registry_sync.registry.vendors.google.MAX_PAGES", 20)
        patch.setattr("registry_sync.registry.vendors.quay.MAX_PAGES", 20)
        patch.setattr("registry_sync.registry.vendors.harbor.MAX_PAGES", 20)
        patch.setattr("registry_sync.registry.vendors.ecr.api.MAX_PAGES", 20)
        patch.setattr("registry_sync.registry.vendors.ecr.api.time", clock)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


def check_error(error: RegistrySyncError) -> None:
    """Messages are bounded, printable, and without secrets."""
    text = str(error)
    assert len(text) <= LONGEST_TEXT
    assert all(line.isprintable() for line in text.split("\n"))
    assert "the-secret" not in text


@pytest.mark.parametrize("kind", CLIENTS)
@given(
    data=st.data(), status=STATUSES, headers=HEADERS, call=st.sampled_from(sorted(CALLS)), is_anonymous=st.booleans()
)
@FEW
def test_any_answer_to_any_client_is_read_or_refused(
    wire: Wire, kind: str, data: st.DataObject, status: int, headers: dict[str, str], call: str, is_anonymous: bool
) -> None:
    document = data.draw(mutants(DOCUMENTS[kind]), label="document")
    body = json.dumps(document).encode() if data.draw(st.integers(0, 5)) else data.draw(st.binary(max_size=50))
    wire.says(status, headers, body)
    with closing(wire.client(kind, is_anonymous=is_anonymous)) as client:
        try:
            CALLS[call](client, Repository(wire.server.host, TEAM))
        except RegistrySyncError as error:
            check_error(error)


@given(answer=mutants(({"token": "abc", "expires_in": 300}, {"access_token": "a.eyJleHAiOjEsImlhdCI6MH0.c"})))
def test_any_answer_of_a_token_server_is_read_or_refused(answer: Any) -> None:
    token = parse_token(json.loads(json.dumps(answer)), now=1000.0)
    if token is not None:
        assert token.value.isascii()
        assert token.value.isprintable()
        assert " " not in token.value
        assert 1000.0 < token.good_until <= 1000.0 + 24 * 3600


@given(header=CHALLENGES | st.text() | st.text('abc="\\,; \t', max_size=200))
def test_any_challenge_is_parsed_or_refused(header: str) -> None:
    for challenge in parse_challenges([header]):
        try:
            url = token_url(Endpoint(host="registry.example"), challenge, "repository:team/app:pull")
        except RegistrySyncError as error:
            check_error(error)
        else:
            assert url.startswith("https://")


@given(realm=st.sampled_from(ADDRESSES) | st.text())
def test_a_realm_is_https_or_refused(realm: str) -> None:
    challenge = Challenge(scheme="bearer", parameters={"realm": realm})
    try:
        assert token_url(Endpoint(host="registry.example"), challenge, "").lower().startswith("https://")
    except RegistrySyncError as error:
        check_error(error)


@pytest.mark.parametrize("header", ["a" * 65_000, "Bearer " + "a" * 65_000, "Bearer " + 'a="' * 20_000, " " * 65_000])
def test_a_long_challenge_is_parsed_in_a_short_time(header: str) -> None:
    started = time.process_time()
    parse_challenges([header])
    assert time.process_time() - started < 1


@given(status=st.integers(400, 599), headers=HEADERS, body=mutants(({"errors": [{"code": "X", "message": "m"}]},)))
def test_any_error_response_is_decoded(status: int, headers: dict[str, str], body: Any) -> None:
    answer = Response(
        status=status, headers=headers, content=json.dumps(body).encode(), url="https://r.example/v2/?a=b"
    )
    for method in ("GET", "PUT", "POST"):
        check_error(decode_error(answer, method))


@given(headers=st.fixed_dictionaries({"Link": LINKS | st.text(st.characters(max_codepoint=255), max_size=200)}))
@FEW
def test_any_link_is_followed_or_refused(wire: Wire, headers: dict[str, str]) -> None:
    headers = {name: "".join(each for each in text if each.isprintable()) for name, text in headers.items()}
    wire.says(200, headers, b"{}")
    with closing(Transport(Endpoint(host=wire.server.host, tls=False))) as opened:
        try:
            for answer in opened.pages("/v2/team/app/tags/list"):
                assert answer.url.startswith(f"{wire.server.url}/")
        except RegistrySyncError as error:
            check_error(error)


@given(raw=JSON)
def test_any_time_is_read_or_unknown(raw: Any) -> None:
    moment = parse_time(raw)
    assert moment is None or moment.tzinfo is UTC


GO_LINES = st.text(max_size=80).map(lambda each: f'time="…" level=fatal msg="{each}"') | st.text(max_size=80)


@given(code=st.integers(-64, 255), lines=st.lists(GO_LINES, max_size=4), is_index=st.booleans())
def test_any_last_words_of_skopeo_are_decoded(code: int, lines: list[str], is_index: bool) -> None:
    source, destination = (Reference.parse(f"{each}.example/team/app@{DIGEST}") for each in ("quay", "acr"))
    image = ImageCopy(source=source, destination=destination, is_index=is_index, format="oci")
    check_error(decode_failure(code, lines, image))
    assert len(last_words(lines)) <= 600


@given(text=st.text() | st.sampled_from(HOSTILE_TEXTS + ADDRESSES))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    for parse in (Reference.parse, Repository.parse):
        try:
            parse(text)
        except RegistrySyncError as error:
            check_error(error)
    with suppress(ValueError):
        assert str(Digest.parse(text)) == text


MIRRORS = {
    "registries": {"quay": {"host": "quay.io", "connection": "c"}, "acr": {"host": "x.azurecr.io", "private": True}},
    "defaults": {"parallel_copies": 4},
    "mirrors": {
        "a": {
            "schedule": "@hourly",
            "source": "quay",
            "destinations": ["acr"],
            "start_date": "2026-01-01",
            "repositories": [
                "team/app",
                {"repository": "team/web", "rename": "x/web", "tags": {"include": ["v*"]}, "on_moved_tag": "keep"},
                {"namespace": "team", "exclude": ["*-test"]},
            ],
        }
    },
}


@given(document=mutants((MIRRORS,)))
def test_any_mirrors_file_is_read_or_refused(document: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = _FOLDER.setdefault("folder", tmp_path_factory.mktemp("mirrors")) / "mirrors.yaml"
    path.write_text(json.dumps(document))
    try:
        load_mirrors(path)
    except MirrorsFileError as error:
        check_error(error)
        problems = error.problems
    else:
        problems = ()
    assert all(problem.startswith("mirrors.yaml:") for problem in problems)


_FOLDER: dict[str, Path] = {}
