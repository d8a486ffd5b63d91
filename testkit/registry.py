"""A real CNCF distribution registry, Debian's ``docker-registry`` or another, as a process of the test that uses it."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from registry_sync.oci.reference import Digest
from testkit.loopback import LOOPBACK, HeldPort, Request
from testkit.tls import Certificate
from testkit.waiting import PATIENCE_SECONDS

DEBIAN = "docker-registry"
STOP_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.01

_NO_TRACES = {"OTEL_TRACES_EXPORTER": "none"}
"""Version 3 would send its traces to a collector: https://distribution.github.io/distribution/about/configuration/"""
_PROBE_AGENT = "registry-process-probe"
_ACCESS_LINE = re.compile(r'^\S+ - .*? \[[^\]]*\] "(?P<method>[A-Z]+) (?P<target>\S+) [^"]*" (?P<status>\d{3}) ')


@dataclass(frozen=True, slots=True, kw_only=True)
class Htpasswd:
    """Basic authentication with ``users`` (name to password). Every user may do everything."""

    users: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAuth:
    """Bearer tokens from ``realm``, trusted when signed below ``root_cert_bundle``; see ``TokenServer.token_auth``."""

    realm: str
    service: str
    issuer: str
    root_cert_bundle: Path


Auth = Htpasswd | TokenAuth


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """Receiver of a registry's notifications: its address, and the headers of each request."""

    url: str
    headers: Mapping[str, str]

    def config(self) -> dict[str, Any]:
        """The endpoint as in https://distribution.github.io/distribution/about/notifications/ ."""
        headers = {name: [value] for name, value in self.headers.items()}
        return {"name": "events", "url": self.url, "headers": headers, "timeout": "5s", "threshold": 5, "backoff": "1s"}


class RegistryStartError(Exception):
    """The registry did not start. The message ends with the tail of its log."""


class RegistryProcess:
    """A registry on a loopback port, from ``with`` (or ``start()``) to the block's end (or ``close()``).

    ``program`` is a command on PATH or a path. A given ``storage`` is kept; otherwise it is removed at the end.
    ``port`` is a free one unless given, and stays the same over ``restart()``.

    On Linux the kernel kills the registry when the *thread* that started it ends (PR_SET_PDEATHSIG), so it does not
    outlive a killed test run. Start registries from the main thread, never from a pool of threads.
    """

    def __init__(
        self,
        *,
        program: str = DEBIAN,
        storage: Path | None = None,
        auth: Auth | None = None,
        tls: Certificate | None = None,
        client_ca: Path | None = None,
        client: Certificate | None = None,
        read_only: bool = False,
        delete_enabled: bool = True,
        notifies: Notified | None = None,
        port: int | None = None,
    ) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="registry-"))
        self.storage = storage or self._directory / "storage"
        self._program = program
        self._auth = auth
        self._tls = tls
        self._client_ca, self._client = client_ca, client
        self._read_only = read_only
        self._delete_enabled = delete_enabled
        self._notifies = notifies
        self._port = port
        self._held: HeldPort | None = None
        self._secret = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._cleared_bytes = 0

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``, as in an image reference."""
        if self._port is None:
            raise RuntimeError("the registry has no port before it is started")
        return f"{LOOPBACK}:{self._port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def pid(self) -> int | None:
        """The running process, ``None`` when it is stopped."""
        return self._process.pid if self._is_running() and self._process else None

    def start(self) -> None:
        """Start and wait until it answers.

        :raises RegistryStartError: when it does not start in time.
        """
        if self._is_running():
            return
        self.storage.mkdir(parents=True, exist_ok=True)
        if self._port is None:
            self._held = HeldPort()
            self._port = self._held.number
        self._launch(self._port)

    def stop(self) -> None:
        """End the process as an operator does, and wait for it. Storage, port and requests stay."""
        self._end(kill=False)

    def kill(self) -> None:
        """End the process as a crash does, and wait for it."""
        self._end(kill=True)

    def restart(self) -> None:
        """Stop, then start on the same port with the same storage."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, release the port, and remove all files except a given storage."""
        self.stop()
        if self._held:
            self._held.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def requests(self) -> list[Request]:
        """Answered requests since the start or ``clear_requests()``, oldest first."""
        self._settle()
        with self._access_log.open("rb") as log:
            log.seek(self._cleared_bytes)
            return list(parse_access_log(log.read().decode(errors="replace")))

    def clear_requests(self) -> None:
        self._settle()
        self._cleared_bytes = self._access_log.stat().st_size

    def forget_tag(self, repository: str, tag: str) -> None:
        """Remove a tag from the storage, as if someone had deleted it; its manifest stays.

        :raises FileNotFoundError: when there is no such tag.
        """
        shutil.rmtree(self._registry_root / "repositories" / repository / "_manifests" / "tags" / tag)

    def forget_repository(self, repository: str) -> None:
        """Remove a repository from the storage, as if someone had deleted it.

        :raises FileNotFoundError: when there is no such repository.
        """
        shutil.rmtree(self._registry_root / "repositories" / repository)

    def forget_blob(self, digest: Digest) -> None:
        """Remove the bytes of a blob or manifest from the storage, as a damaged disk does; links to it stay.

        :raises FileNotFoundError: when there is no such blob.
        """
        shutil.rmtree(self._blob_folder(digest))

    def damage_blob(self, digest: Digest) -> None:
        """Change the bytes of a blob in the storage and not their number, as a damaged disk does.

        :raises FileNotFoundError: when there is no such blob.
        """
        data = self._blob_folder(digest) / "data"
        data.write_bytes(bytes(byte ^ 0xFF for byte in data.read_bytes()))

    def _blob_folder(self, digest: Digest) -> Path:
        return self._registry_root / "blobs" / digest.algorithm / digest.encoded[:2] / digest.encoded

    @property
    def _registry_root(self) -> Path:
        return self.storage / "docker" / "registry" / "v2"

    @property
    def _access_log(self) -> Path:
        return self._directory / "access.log"

    @property
    def _error_log(self) -> Path:
        return self._directory / "registry.log"

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _launch(self, port: int) -> None:
        config_file = self._directory / "config.yml"
        config_file.write_text(json.dumps(self._config(port)))
        self._error_log.write_bytes(b"")
        with self._access_log.open("ab") as access_log, self._error_log.open("ab") as error_log:
            self._process = subprocess.Popen(
                tied_to_parent([_path(self._program), "serve", str(config_file)]),
                stdin=subprocess.DEVNULL,
                stdout=access_log,
                stderr=error_log,
                env=os.environ | _NO_TRACES,
            )
        try:
            self._wait_until_ready(port)
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self, port: int) -> None:
        """Poll until a request of ours is in *our* access log, because another server may own the port."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if not self._is_running():
                raise RegistryStartError(
                    f"{self._program} ended before it answered on port {port}:\n{self._log_tail()}"
                )
            if self._probe(port):
                return
            time.sleep(POLL_SECONDS)
        raise RegistryStartError(f"no answer on port {port} in {PATIENCE_SECONDS} seconds:\n{self._log_tail()}")

    def _settle(self) -> None:
        """Send a request and wait for it in the log, which then has all earlier ones too."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._port is not None and self._is_running() and time.monotonic() < deadline:
            if self._probe(self._port):
                return

    def _probe(self, port: int) -> bool:
        """Return whether the registry answers and has logged the request."""
        agent = f"{_PROBE_AGENT}/{secrets.token_hex(8)}"
        if not _answers(port, agent, is_tls=self._tls is not None, client=self._client):
            return False
        deadline = time.monotonic() + 1
        while self._is_running() and time.monotonic() < deadline:
            if agent in _tail(self._access_log):
                return True
            time.sleep(POLL_SECONDS / 10)
        return False

    def _log_tail(self) -> str:
        return _tail(self._error_log).strip() or "(its log is empty)"

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _config(self, port: int) -> dict[str, Any]:
        """https://distribution.github.io/distribution/about/configuration/ ; JSON is YAML."""
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn", "formatter": "text"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "delete": {"enabled": self._delete_enabled},
                "maintenance": {"readonly": {"enabled": self._read_only}, "uploadpurging": {"enabled": False}},
            },
            "http": {"addr": f"{LOOPBACK}:{port}", "secret": self._secret},
        }
        if self._tls:
            config["http"]["tls"] = {"certificate": str(self._tls.cert_file), "key": str(self._tls.key_file)}
        if self._client_ca:
            config["http"]["tls"]["clientcas"] = [str(self._client_ca)]
        if self._notifies:
            config["notifications"] = {"endpoints": [self._notifies.config()]}
        if self._auth:
            config["auth"] = self._auth_config(self._auth)
        return config

    def _auth_config(self, auth: Auth) -> dict[str, Any]:
        match auth:
            case Htpasswd():
                path = self._directory / "htpasswd"
                path.write_text("".join(_htpasswd_line(*user) for user in auth.users.items()))
                return {"htpasswd": {"realm": "tests", "path": str(path)}}
            case TokenAuth():
                bundle = str(auth.root_cert_bundle)
                token = {"realm": auth.realm, "service": auth.service, "issuer": auth.issuer, "rootcertbundle": bundle}
                return {"token": token}


def _path(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise RegistryStartError(f"{program} is not installed; on Debian and Ubuntu: apt-get install {DEBIAN}")
    return path


def tied_to_parent(argv: Sequence[str]) -> list[str]:
    """A command that the kernel kills when the thread that started it ends, where ``setpriv`` can ask for it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *argv] if setpriv else list(argv)


def _answers(port: int, agent: str, *, is_tls: bool, client: Certificate | None) -> bool:
    """Return whether GET /v2/ has an HTTP answer. The certificate may be expired on purpose."""
    if is_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if client:
            context.load_cert_chain(client.cert_file, client.key_file)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(LOOPBACK, port, timeout=2, context=context)
    else:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/v2/", headers={"User-Agent": agent})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def parse_access_log(text: str) -> Iterator[Request]:
    """Parse Apache combined log lines, except those of our own probes."""
    for line in text.splitlines():
        match = _ACCESS_LINE.match(line)
        if match is None or _PROBE_AGENT in line:
            continue
        path, _, query = match["target"].partition("?")
        yield Request(method=match["method"], path=path, query=query, status=int(match["status"]))


def _tail(path: Path, size_bytes: int = 16_384) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size_bytes))
        return file.read().decode(errors="replace")


def _htpasswd_line(user: str, password: str) -> str:
    """Hash with bcrypt's lowest cost, because a registry hashes the password for each request."""
    import bcrypt  # noqa: PLC0415 - only tests have it; the demo starts registries without it

    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()}\n"
