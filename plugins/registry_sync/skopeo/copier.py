"""Skopeo, which moves the content of images: copies that can be limited, watched and stopped.

https://github.com/containers/skopeo/blob/main/docs/skopeo-copy.1.md
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from registry_sync.errors import TemporaryError
from registry_sync.oci.reference import Reference
from registry_sync.registry.endpoint import Endpoint
from registry_sync.skopeo.command import copy_argv
from registry_sync.skopeo.config_files import PolicyFiles, SkopeoFiles, write_files
from registry_sync.skopeo.errors import decode_failure, redact
from registry_sync.skopeo.runner import RunningSkopeo, SkopeoProgram
from registry_sync.text import one_line
from registry_sync.worker.private_directory import private_directory, writing

ORPHAN_SECONDS = 60
"""Skopeo's own limit on a copy is that much longer than ours, so that ours gives the message."""

_LINES_KEPT = 50

_NOT_TOLD = ("Getting ", "Storing ", "Writing manifest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A finished copy. ``sent_bytes`` went through skopeo, with requests and TLS, without content already there."""

    sent_bytes: int


class Skopeo:
    """Copies between two registries, in several threads at once, from ``with`` to the block's end.

    Secrets stand in files that only we can read and that are gone afterwards, never in arguments, environment or log.
    No copy outlives its call.

    :param find: returns the skopeo to run; called when the block is entered.
    :param trust: what an image has to pass before anything of it is copied; ``None`` accepts anything.
    :param copy_timeout_seconds: the longest that one copy may take.
    :param stall_timeout_seconds: the longest that one copy may move no byte. It is not watched where that cannot be
        told, as anywhere but on Linux.
    :param log: takes a format and its arguments, as ``Logger.info`` does; called for each line that skopeo prints.
    """

    def __init__(
        self,
        find: Callable[[], SkopeoProgram],
        *,
        source: Endpoint,
        destination: Endpoint,
        copy_timeout_seconds: float,
        stall_timeout_seconds: float,
        log: Callable[..., object],
        trust: PolicyFiles | None = None,
    ) -> None:
        self._find = find
        self.trust = trust
        self._source = source
        self._destination = destination
        self._copy_timeout_seconds = copy_timeout_seconds
        self._stall_timeout_seconds = stall_timeout_seconds
        self._log = log
        self._program: SkopeoProgram
        self._files: SkopeoFiles
        self._cleanup = ExitStack()
        self._running: dict[RunningSkopeo, None] = {}
        self._is_stopping = False
        self._finished_bytes = 0
        self._counting = threading.Lock()
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        self._program = self._find()
        with ExitStack() as stack:
            directory = stack.enter_context(private_directory())
            sides = {"source": self._source, "destination": self._destination}
            with writing():
                self._files = write_files(directory, **sides, trust=self.trust)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
            with self._starting:  # whoever has it knows of no stop, and starts a last one
                running = list(self._running)
            for each in running:
                each.end()
        finally:
            self._cleanup.close()

    def stop(self) -> None:
        """End every copy now, and start none any more. Returns at once; what does not obey is killed by its own thread.

        It may be called in a signal handler, so it takes no lock: the thread that it interrupts may hold that.
        """
        self._is_stopping = True
        for each in list(self._running):
            each.terminate()

    def check_stopping(self) -> None:
        """:raises TemporaryError: after :meth:`stop`."""
        if self._is_stopping:
            raise TemporaryError("the task is being ended, so that skopeo was stopped")

    @property
    def sent_bytes(self) -> int:
        """What finished and running copies have sent so far."""
        with self._counting:
            return self._finished_bytes + sum(each.sent_bytes for each in list(self._running))

    def copy(
        self, source: Reference, destination: Reference, *, is_index: bool, format: str, is_checked: bool = True
    ) -> Sent:
        """Have the destination hold what ``source`` names.

        :param is_index: copy all that the index names, and the index.
        :param format: the family of an index, ``oci`` or ``v2s2``.
        :param is_checked: by the trust policy; of an index, each image that it names.
        :raises NotTrusted: when that does not accept it.
        :raises NotFound: when the source does not have it, or not all of it.
        :raises NotCopyableWhole: when it is an index that this skopeo cannot copy in one piece.
        :raises TemporaryError: also when it took too long, stood still, or :meth:`stop` was called.
        :raises RegistrySyncError: other classes, by what skopeo said.
        """
        self.check_stopping()
        limit = self._copy_timeout_seconds + ORPHAN_SECONDS
        argv = copy_argv(
            self._program,
            self._files,
            source,
            destination,
            is_index=is_index,
            format=format,
            timeout_seconds=limit,
            is_checked=is_checked,
        )
        child = self._start(argv)
        try:
            what = f"{source} to {destination.repository}"
            lines = self._follow(child, what, getattr(source.target, "short", str(source.target)))
        finally:
            child.close()
            self._count(child)
        if child.code:
            self.check_stopping()
            policy = self.trust.policy if self.trust else None
            raise decode_failure(
                child.code, lines, source=source, destination=destination, is_index=is_index, policy=policy
            )
        return Sent(sent_bytes=child.sent_bytes)

    def _start(self, argv: Sequence[str]) -> RunningSkopeo:
        """Start a skopeo that leaving the block is sure to find."""
        with self._starting:
            self.check_stopping()
            child = self._program.start(argv, self._files.workspace)
            self._running[child] = None
        return child

    def _follow(self, child: RunningSkopeo, what: str, name: str) -> Sequence[str]:
        """Tell what it prints, and see that it moves, until its end. Returns its last lines."""
        kept: deque[str] = deque(maxlen=_LINES_KEPT)
        while (lines := child.read_lines()) is not None:
            for line in (one_line(redact(each)) for each in lines):
                kept.append(line)
                if line and not line.startswith(_NOT_TOLD):
                    self._log("%s: %s", name, line)
            self.check_stopping()
            self._check_time(child, what)
        return kept

    def _check_time(self, child: RunningSkopeo, what: str) -> None:
        if child.age_seconds > self._copy_timeout_seconds:
            raise TemporaryError(f"the copy of {what} was ended: it took longer than {self._copy_timeout_seconds} s")
        if child.idle_seconds > self._stall_timeout_seconds:
            raise TemporaryError(f"the copy of {what} was ended: it moved nothing for {self._stall_timeout_seconds} s")

    def _count(self, child: RunningSkopeo) -> None:
        with self._counting:
            self._running.pop(child, None)
            self._finished_bytes += child.sent_bytes
