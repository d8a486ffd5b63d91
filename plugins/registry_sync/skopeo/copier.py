"""Copies of images by skopeo, with a timeout, a watchdog and a stop.

https://github.com/containers/skopeo/blob/main/docs/skopeo-copy.1.md
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from registry_sync.errors import DeniedError, TemporaryError
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.proxies import shown_proxy
from registry_sync.registry.sent_secrets import SentSecrets
from registry_sync.skopeo.command import copy_argv
from registry_sync.skopeo.config_files import PolicyFiles, SkopeoFiles, renew_auth_file, write_skopeo_files
from registry_sync.skopeo.errors import decode_failure
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.output import redact
from registry_sync.skopeo.proxies import proxy_variables
from registry_sync.skopeo.runner import RunningSkopeo, SkopeoProgram
from registry_sync.text import one_line
from registry_sync.worker.private_directory import private_directory, writing

log = logging.getLogger(__name__)

ORPHAN_SECONDS = 60
"""Added to skopeo's own timeout. Our timeout fires first and reports the error; skopeo's ends an orphan."""

_MAX_KEPT_LINES = 50

_PROGRESS_PREFIXES = ("Copying ", "Getting ", "Storing ", "Writing manifest")
"""Lines of a copy that goes well. They are logged at level debug, and all others at info."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyResult:
    """A finished copy. ``sent_bytes`` counts the traffic of skopeo with HTTP and TLS overhead."""

    sent_bytes: int


class Skopeo:
    """Copies between two registries within a ``with`` block. Safe to use from several threads.

    Secrets are written to private files that are deleted at the end. They never appear in arguments, environment or
    logs, also where a registry quotes them. No copy outlives its call. Each copy starts with logins that are valid, and
    starts once more with new ones if a registry has rejected those.

    Skopeo is looked for, and its files are written, by :meth:`prepare`, else by the first copy.

    :param find: returns the skopeo to run.
    :param destination_hosts: returns the hosts to which the destination has redirected our own client.
    :param policy_files: the policy that images must pass before they are copied; ``None`` accepts any image.
    :param copy_timeout_seconds: timeout of one copy.
    :param stall_timeout_seconds: a copy fails when it moves no bytes for this long. Only Linux has the counters for
        this; elsewhere it has no effect.
    """

    def __init__(
        self,
        find: Callable[[], SkopeoProgram],
        *,
        source: Endpoint,
        destination: Endpoint,
        copy_timeout_seconds: float,
        stall_timeout_seconds: float,
        destination_hosts: Callable[[], Collection[str]] = tuple,
        policy_files: PolicyFiles | None = None,
    ) -> None:
        self._find = find
        self.policy_files = policy_files
        self._source = source
        self._destination = destination
        self._destination_hosts = destination_hosts
        self._copy_timeout_seconds = copy_timeout_seconds
        self._stall_timeout_seconds = stall_timeout_seconds
        self._secrets = SentSecrets(source), SentSecrets(destination)
        self._ready: tuple[SkopeoProgram, SkopeoFiles] | None = None
        self._cleanup = ExitStack()
        self._running: dict[RunningSkopeo, None] = {}
        self._is_stopping = False
        self._finished_bytes = 0
        self._counting = threading.Lock()
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
            with self._starting:  # a thread that holds the lock may still start a copy
                running = list(self._running)
            for child in running:
                child.end()
        finally:
            self._cleanup.close()

    def prepare(self) -> None:
        """Look for skopeo, and write its files.

        :raises ConfigurationError: when there is none, it is too old, or the registries need two proxies.
        """
        with self._starting:
            self._prepare()

    def stop(self) -> None:
        """End every copy and refuse new ones. Returns at once; the thread of a copy kills it when it does not end.

        Safe in a signal handler: it takes no lock, which the interrupted thread may hold.
        """
        self._is_stopping = True
        for child in list(self._running):
            child.terminate()

    def check_stopping(self) -> None:
        """:raises TemporaryError: after :meth:`stop`."""
        if self._is_stopping:
            raise TemporaryError("the task is being ended, so nothing more is sent")

    @property
    def sent_bytes(self) -> int:
        """Bytes sent so far by finished and running copies."""
        with self._counting:
            return self._finished_bytes + sum(child.sent_bytes for child in list(self._running))

    def copy(self, image: ImageCopy) -> CopyResult:
        """Copy an image or an index by digest.

        :raises NotTrusted: when the policy rejects an image.
        :raises NotFound: when the source does not have all of the content.
        :raises NotCopyableWhole: when this skopeo cannot copy the index in one piece.
        :raises TemporaryError: also after a timeout, a stall, or :meth:`stop`.
        :raises RegistrySyncError: other classes, by skopeo's error message.
        """
        used = self._current_logins()
        try:
            return self._copy(image)
        except DeniedError as error:
            if not self._renew_logins(used):
                raise
            log.info("%s; the copy is started again with a new login", error)
            return self._copy(image)

    def _current_logins(self) -> Mapping[int, Credentials]:
        """The credentials of both sides, by the side's number. They are renewed here if they end soon."""
        sources = (self._source.credentials, self._destination.credentials)
        current = {number: source.current() for number, source in enumerate(sources) if source}
        self._note(current)
        return current

    def _renew_logins(self, rejected: Mapping[int, Credentials]) -> bool:
        """Renew credentials that either registry may have rejected. Return whether there are new ones."""
        sources = (self._source.credentials, self._destination.credentials)
        renewed = {number: source.renew(rejected[number]) for number, source in enumerate(sources) if source}
        self._note(renewed)
        return renewed != rejected

    def _note(self, logins: Mapping[int, Credentials]) -> None:
        for number, credentials in logins.items():
            self._secrets[number].note(f"Basic {credentials.basic()}", {}, None)

    def _redact(self, line: str) -> str:
        """A line of skopeo's output without secrets. It may quote what registries answer."""
        for secrets in self._secrets:
            line = secrets.redact(line)
        return redact(line)

    def _copy(self, image: ImageCopy) -> CopyResult:
        self.check_stopping()
        child = self._start(image)
        try:
            lines = self._follow(child, image)
        finally:
            child.close()
            self._count(child)
        if child.code:
            self.check_stopping()
            policy = self.policy_files.policy if self.policy_files else None
            proxy = shown_proxy(self._proxies().get("HTTPS_PROXY", ""))
            raise decode_failure(child.code, lines, image, policy, proxy)
        return CopyResult(sent_bytes=child.sent_bytes)

    def _start(self, image: ImageCopy) -> RunningSkopeo:
        """Start skopeo and register it in one step, so that ``__exit__`` ends it."""
        with self._starting:
            self.check_stopping()
            program, files = self._prepare()
            limit = self._copy_timeout_seconds + ORPHAN_SECONDS
            workspace = replace(files.workspace, environment={**files.workspace.environment, **self._proxies()})
            is_quiet = not program.needs_output and not log.isEnabledFor(logging.DEBUG)
            argv = copy_argv(program, files, image, timeout_seconds=limit, is_quiet=is_quiet)
            child = program.start(argv, workspace)
            self._running[child] = None
        return child

    def _prepare(self) -> tuple[SkopeoProgram, SkopeoFiles]:
        if self._ready is None:
            self._proxies()
            program = self._find()
            directory = self._cleanup.enter_context(private_directory())
            sides = {"source": self._source, "destination": self._destination}
            with writing():
                files = write_skopeo_files(directory, **sides, policy_files=self.policy_files)
            self._ready = program, files
        else:
            self._renew_files(self._ready[1])
        return self._ready

    def _renew_files(self, files: SkopeoFiles) -> None:
        with writing():
            renew_auth_file(files.source, self._source)
            renew_auth_file(files.destination, self._destination)

    def _proxies(self) -> Mapping[str, str]:
        """:raises ConfigurationError: when one skopeo cannot use the proxies of both registries."""
        return proxy_variables(self._source, self._destination, self._destination_hosts())

    def _follow(self, child: RunningSkopeo, image: ImageCopy) -> Sequence[str]:
        """Log the output and check the timeouts until skopeo ends. Returns the last lines."""
        name = getattr(image.source.target, "short", str(image.source.target))
        kept: deque[str] = deque(maxlen=_MAX_KEPT_LINES)
        while (lines := child.read_lines()) is not None:
            for line in (one_line(self._redact(raw_line)) for raw_line in lines):
                kept.append(line)
                if line:
                    log.log(_level(line), "%s: %s", name, line)
            self.check_stopping()
            self._check_time(child, image)
        return kept

    def _check_time(self, child: RunningSkopeo, image: ImageCopy) -> None:
        if child.age_seconds > self._copy_timeout_seconds:
            raise TemporaryError(f"the copy of {image} was ended: it took more than {self._copy_timeout_seconds} s")
        if child.idle_seconds > self._stall_timeout_seconds:
            raise TemporaryError(f"the copy of {image} was ended: no bytes moved for {self._stall_timeout_seconds} s")

    def _count(self, child: RunningSkopeo) -> None:
        with self._counting:
            self._running.pop(child, None)
            self._finished_bytes += child.sent_bytes


def _level(line: str) -> int:
    """The level at which a line of skopeo is logged."""
    return logging.DEBUG if line.startswith(_PROGRESS_PREFIXES) else logging.INFO
