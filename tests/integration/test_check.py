"""``python -m registry_sync check`` against real registries."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.cli.arguments import FAILED, OK, UNANSWERED
from registry_sync.cli.connections import CommandConnections
from registry_sync.cli.main import main
from registry_sync.config.registry import Registry
from registry_sync.errors import TemporaryError
from registry_sync.skopeo.local import find_skopeo
from registry_sync.skopeo.runner import speed_limit
from testkit import images
from testkit.harbor_api import HarborApi
from testkit.interceptor import Interceptor
from testkit.quay_api import QuayApi
from testkit.registry import Htpasswd, RegistryProcess
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.waiting import PATIENCE_SECONDS, wait_until

PASSWORD = "of-the-robot"


@pytest.fixture(scope="module")
def source() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, "team/app", "v1", images.multi_arch("app"))
        yield registry


@pytest.fixture(scope="module")
def locked() -> Iterator[RegistryProcess]:
    with RegistryProcess(auth=Htpasswd(users={"robot": PASSWORD})) as registry:
        yield registry


def write(
    folder: Path,
    source: str,
    locked: str,
    *repositories: Any,
    connection: str | None = "registry_backup",
    kind: str | None = None,
) -> str:
    backup = {"host": locked, "tls": False, "connection": connection, "kind": kind}
    registries = {
        "origin": {"host": source, "tls": False},
        "backup": {key: value for key, value in backup.items() if value is not None},
    }
    mirror = {"source": "origin", "destinations": ["backup"], "repositories": repositories}
    file = folder / "mirrors.yaml"
    file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
    return str(file)


def connect(monkeypatch: pytest.MonkeyPatch, host: str, password: str) -> None:
    fields = {"conn_type": "docker", "host": host, "login": "robot", "password": password}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY_BACKUP", json.dumps(fields))


def rows(text: str, subject: str = "registry ") -> list[str]:
    """The rows of the table about registries, or about another subject."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line.removeprefix("registry ") for line in lines if line.startswith(subject)]


def test_an_interrupt_ends_the_requests_of_other_threads(source: RegistryProcess) -> None:
    """Without that, a silent server holds back Ctrl-C through all timeouts and attempts."""
    with Interceptor(source.url) as wire, ThreadPoolExecutor(1) as pool:
        wire.hang("GET", "/v2/$")
        with pytest.raises(KeyboardInterrupt), CommandConnections() as connections:
            client = connections.client(Registry(name="origin", host=wire.host, tls=False)).__enter__()
            ping = pool.submit(client.ping)
            wait_until(lambda: bool(wire.requests()), "the request was sent")
            raise KeyboardInterrupt
        assert isinstance(ping.exception(PATIENCE_SECONDS), TemporaryError)
        assert len(wire.requests()) == 1


def test_every_check_passes(
    source: RegistryProcess,
    locked: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(monkeypatch, locked.host, PASSWORD)
    file = write(tmp_path, source.host, locked.host, "team/app", {"namespace": "team"})
    source.clear_requests()
    locked.clear_requests()
    assert main(["check", file]) == OK
    printed = capsys.readouterr()
    assert rows(printed.out) == [
        f"origin anonymous access ok, {source.host}",
        "origin list repositories of team (mirror team) ok",
        "origin list tags of team/app (mirror team) ok",
        f"backup log in ok, {locked.host} as 'robot'",
        "backup read team/app (mirror team) ok",
        "backup push to team/app (mirror team) not checked: only the first push shows it",
    ]
    assert rows(printed.out, "mirror team") == [
        "mirror team max_map_length ok, 1 repositories and those of its namespaces of at most 1024"
    ]
    warning = "; 1 warning" if speed_limit(find_skopeo().version) else ""
    assert printed.out.endswith(f"\nnothing is missing{warning}\n")
    assert {each.method for each in (*source.requests(), *locked.requests())} <= {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("tag", "problem"),
    [("v1", ""), ("v2", "{} does not have 'v2', which names lists; correct one of them")],
)
def test_a_repository_of_names_only_is_not_listed(
    source: RegistryProcess,
    locked: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tag: str,
    problem: str,
) -> None:
    connect(monkeypatch, locked.host, PASSWORD)
    file = write(tmp_path, source.host, locked.host, {"repository": "team/app", "tags": {"names": [tag]}})
    source.clear_requests()
    assert main(["check", file]) == (FAILED if problem else OK)
    printed = capsys.readouterr()
    assert f"read team/app:{tag} (mirror team)" in printed.out
    assert problem.format(f"{source.host}/team/app") in printed.out
    assert [request.path for request in source.requests() if "tags/list" in request.path] == []


def test_each_failed_check_is_explained(
    source: RegistryProcess,
    locked: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(monkeypatch, locked.host, "wrong")
    file = write(tmp_path, source.host, locked.host, {"namespace": "taem"}, "team/none")
    assert main(["check", file]) == FAILED
    printed = capsys.readouterr()
    assert [line.split()[-1] for line in rows(printed.out)[1:]] == ["MISSING", "MISSING", "MISSING"]
    problems = [part for part in printed.out.strip().split("\n\n") if part.startswith("MISSING")]
    assert "no repository found in namespace 'taem'; check its name, and that this user may list it" in problems[0]
    assert "answered 404 NAME_UNKNOWN" in problems[1]
    assert problems[1].endswith(
        f"\n  → check its name at mirrors.team.repositories[1] in {file}, and that it has at least one tag"
    )
    assert (
        f"registry backup: log in: {locked.host} rejects the login of 'robot': GET {locked.url}/v2/ answered 401"
        in problems[2]
    )
    assert problems[2].endswith(
        "\n  → correct user and password of the Connection registry_backup (docs/registries.md has both for each kind)"
    )
    assert "wrong" not in printed.out + printed.err


def source_answering(status: int) -> ScriptedServer:
    return ScriptedServer(lambda request: Reply(status=200 if request.target == "/v2/" else status))


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (
            401,
            "check its name at mirrors.team.repositories[0] in {}, and whether registries.origin needs a connection:",
        ),
        (
            403,
            "check its name at mirrors.team.repositories[0] in {}, and whether registries.origin needs a connection:",
        ),
        (404, "check its name at mirrors.team.repositories[0] in {}, and that it has at least one tag"),
    ],
)
def test_a_repository_that_a_source_hides_has_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, remedy: str
) -> None:
    with RegistryProcess() as backup, source_answering(status) as registry:
        file = write(tmp_path, registry.host, backup.host, "team/none", connection=None)
        assert main(["check", file]) == FAILED
    assert f"\n  → {remedy.format(file)}\n" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1"])
def test_a_registry_that_does_not_respond_has_a_remedy(
    source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    file = write(tmp_path, source.host, host, {"repository": "team/app", "transfer": "direct"}, connection=None)
    assert main(["check", file]) == UNANSWERED
    assert (
        f"\n  → correct host: of registries.backup in {file}, or see that {host} runs and can be reached from this "
        "machine\n"
    ) in capsys.readouterr().out


@pytest.mark.parametrize("lacking", ["policy", "registries_d"])
def test_a_policy_that_is_not_here_has_a_remedy(
    source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], lacking: str
) -> None:
    (tmp_path / "there.json").write_text('{"default": [{"type": "reject"}]}')
    policy = {"policy": str(tmp_path / "there.json"), lacking: str(tmp_path / "absent")}
    with RegistryProcess() as backup:
        file = write(tmp_path, source.host, backup.host, {"repository": "team/app", **policy}, connection=None)
        assert main(["check", file]) == FAILED
    remedy = f"copy it to every worker, readable by Airflow's user, or correct {lacking}:"
    (problem,) = (part for part in capsys.readouterr().out.split("\n\n") if part.startswith("MISSING: skopeo: policy"))
    assert problem.endswith(f"\n  → {remedy}")


class TestDestinations:
    @pytest.mark.parametrize("status", [401, 403])
    def test_what_is_denied_may_be_missing(
        self, source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
    ) -> None:
        """Quay answers so to a robot account that may create the repository."""
        with RegistryProcess() as registry, Interceptor(registry.url) as wire:
            for method in ("HEAD", "GET"):
                wire.answer(method, "/manifests/", status, b'{"errors": [{"code": "UNAUTHORIZED"}]}')
            assert main(["check", write(tmp_path, source.host, wire.host, "team/app", connection=None)]) == OK
        assert "backup read team/app (mirror team) ok, missing, or hidden from this user" in rows(
            capsys.readouterr().out
        )

    @pytest.mark.parametrize("rule", [{"namespace": "team"}, {"namespace": "team", "exclude": ["any"]}])
    def test_a_namespace_is_checked_by_a_repository_that_exists(
        self, source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: dict[str, Any]
    ) -> None:
        with RegistryProcess() as registry:
            assert main(["check", write(tmp_path, source.host, registry.host, rule, connection=None)]) == OK
        assert "read team/app (mirror team)" in capsys.readouterr().out

    def test_without_a_repository_only_the_source_fails(
        self, source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rule = {"namespace": "taem"}
        with RegistryProcess() as registry:
            assert main(["check", write(tmp_path, source.host, registry.host, rule, connection=None)]) == FAILED
            assert {request.path for request in registry.requests()} == {"/v2/"}
        assert "no repository found in namespace 'taem'" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("kind", "privilege"),
        [("harbor", "Delete Tag of the robot account"), ("distribution", "deletion enabled at the registry")],
    )
    def test_the_privilege_to_prune_is_named_and_not_tried(
        self, source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, privilege: str
    ) -> None:
        rule = {"repository": "team/app", "prune": {"tags": "gone_at_source"}}
        with RegistryProcess() as registry, HarborApi(registry.url) as harbor:
            harbor.add_project("team")
            assert main(["check", write(tmp_path, source.host, harbor.host, rule, connection=None, kind=kind)]) == OK
            assert {request.method for request in harbor.requests()} <= {"GET", "HEAD"}
        shown = rows(capsys.readouterr().out)
        assert f"backup delete tags (mirror team) not checked: needs {privilege}" in shown

    def test_a_robot_of_quay_cannot_prune(
        self, source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rule = {"repository": "team/app", "prune": {"tags": "gone_at_source"}}
        with RegistryProcess() as registry, QuayApi(registry.url) as quay:
            quay.add("team/app")
            file = write(tmp_path, source.host, quay.host, rule, connection=None, kind="quay")
            assert main(["check", file]) == FAILED
        assert (
            f"MISSING: registry backup: delete tags (mirror team): deleting tags at {quay.host} needs '$oauthtoken' "
            "and an OAuth token with the scope repo:write"
        ) in capsys.readouterr().out

    def test_a_fixed_login_of_ecr_creates_nothing(
        self,
        locked: RegistryProcess,
        source: RegistryProcess,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_REGISTRY_BACKUP", f"docker://robot:{PASSWORD}@{locked.host}")
        file = Path(write(tmp_path, source.host, locked.host, "team/app", kind="ecr"))
        document = json.loads(file.read_text())
        document["registries"]["backup"]["create_repository"] = True
        file.write_text(json.dumps(document))
        assert main(["check", str(file)]) == FAILED
        assert (
            f"MISSING: registry backup: create repositories (mirror team): creating repositories at {locked.host} "
            "needs an identity of AWS: a connection of type aws, or identity: ambient"
        ) in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_login_that_the_registry_quotes_is_masked(
    source: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    def quote(request: ScriptedRequest) -> Reply:
        sent = request.authorization or ""
        body = f"not allowed: {sent}, password {PASSWORD}" if sent else ""
        return Reply(status=401, body=body.encode(), headers={"WWW-Authenticate": "Basic realm=x"})

    with ScriptedServer(quote) as registry:
        connect(monkeypatch, registry.host, PASSWORD)
        assert main(["check", write(tmp_path, source.host, registry.host, "team/app"), *options]) == FAILED
    printed = "".join(capsys.readouterr())
    assert "not allowed: Basic ***, password ***" in printed
    assert PASSWORD not in printed
    assert b64encode(f"robot:{PASSWORD}".encode()).decode() not in printed


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Harbor</title>", b"\n<html><h1>Harbor</h1></html>"])
def test_a_web_page_is_not_taken_for_a_registry(
    source: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    page: bytes,
) -> None:
    """Many user interfaces answer 200 to every address."""
    with ScriptedServer(lambda _: Reply(status=200, body=page)) as portal:
        connect(monkeypatch, portal.host, PASSWORD)
        assert main(["check", write(tmp_path, source.host, portal.host, "team/app")]) == UNANSWERED
    assert (
        f"UNKNOWN: registry backup: log in: http://{portal.host}/v2/ answered 200 with a web page ('Harbor'), not like "
        f"a registry; is {portal.host} the right host?"
    ) in capsys.readouterr().out


def test_a_registry_that_is_source_and_destination_is_checked_as_both(
    source: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repositories = [{"repository": "team/app", "rename": "copy/app"}]
    mirror = {"source": "own", "destinations": ["own"], "repositories": repositories}
    file = tmp_path / "mirrors.yaml"
    registries = {"own": {"host": source.host, "tls": False}}
    file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
    assert main(["check", str(file)]) == OK
    assert rows(capsys.readouterr().out)[1:] == [
        "own list tags of team/app (mirror team) ok",
        "own read copy/app (mirror team) ok",
        "own push to copy/app (mirror team) not checked: only the first push shows it",
    ]


class TestSkopeo:
    """``transfer: direct`` runs without skopeo."""

    @pytest.mark.parametrize("transfers", [("direct",), ("direct", "skopeo")])
    def test_it_is_missing_only_where_it_moves_content(
        self,
        source: RegistryProcess,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        transfers: tuple[str, ...],
    ) -> None:
        names = {"direct": "team/app", "skopeo": "team/app-2"}
        images.push(source.url, "team/app-2", "v1", images.multi_arch("app-2"))
        rules = [{"repository": names[transfer], "transfer": transfer} for transfer in transfers]
        with RegistryProcess() as registry:
            is_needed = "skopeo" in transfers
            file = write(tmp_path, source.host, registry.host, *rules, connection=None)
            monkeypatch.setenv("PATH", "/nonexistent")
            assert main(["check", file]) == (FAILED if is_needed else OK)
        assert rows(capsys.readouterr().out, "skopeo") == (["skopeo version MISSING"] if is_needed else [])


def test_a_missing_connection_is_reported(
    source: RegistryProcess, locked: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", write(tmp_path, source.host, locked.host, "team/app")]) == FAILED
    printed = capsys.readouterr().out
    assert (
        "MISSING: registry backup: Connection registry_backup: no Airflow Connection named 'registry_backup'; create it"
    ) in printed
    assert (
        "\n  → export AIRFLOW_CONN_REGISTRY_BACKUP='"
        '{"conn_type": "oci_registry", "login": "USER", "password": "PASSWORD"}'
        "'\n"
    ) in printed


PROXY = {"proxy": "http://proxy.example:3128", "proxy_connection": "corporate"}

PAIR = {"tls": True, "client_certificate": "/absent.crt", "client_key": "/absent.key"}


@pytest.mark.parametrize(
    ("options", "proxy", "line"),
    [
        (
            {"connection": "registry_backup", **PROXY},
            None,
            (
                "proxy Connection corporate: no Airflow Connection named 'corporate'; create it (type http, with login "
                "and password)\n  → export AIRFLOW_CONN_CORPORATE='"
                '{"conn_type": "http", "login": "USER", "password": "PASSWORD"}'
                "'\n"
            ),
        ),
        (PROXY, {"login": "a"}, "proxy Connection corporate: has no login and password; edit it\n"),
        (
            {"connection": "registry_backup", **PAIR},
            None,
            "client certificate: client_key: '/absent.key' cannot be read on this worker: No such file or directory\n",
        ),
        (
            {"connection": "registry_backup", "tls": True, "ca_file": "/absent.pem"},
            None,
            "CA file: backup.example:5000: no CA file '/absent.pem' on this worker\n",
        ),
        (
            {"connection": "corporate"},
            {"host": "backup.example:5000", "login": "a"},
            "Connection corporate: has the type 'http', which is not one of container registries, ",
        ),
    ],
    ids=["no proxy Connection", "proxy Connection", "client certificate", "CA file", "Connection"],
)
def test_the_part_that_is_wrong_is_named_once(
    source: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
    proxy: dict[str, str] | None,
    line: str,
) -> None:
    connect(monkeypatch, "backup.example:5000", PASSWORD)
    if proxy:
        monkeypatch.setenv("AIRFLOW_CONN_CORPORATE", json.dumps({"conn_type": "http", **proxy}))
    file = Path(write(tmp_path, source.host, "backup.example:5000", "team/app", connection=None))
    document = json.loads(file.read_text())
    document["registries"]["backup"].update(options)
    document["mirrors"]["team"]["transfer"] = "direct"
    file.write_text(json.dumps(document))
    assert main(["check", str(file)]) == FAILED
    assert f"MISSING: registry backup: {line}" in capsys.readouterr().out
