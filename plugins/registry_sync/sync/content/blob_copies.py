"""Copies of the blobs of one route by our own client: each digest once, several at a time.

Nothing here applies a policy.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import dataclass

from registry_sync.errors import (
    DamagedContent,
    DeniedError,
    LoginRejected,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import is_foreign
from registry_sync.registry.content.blob_copy import LARGE_BYTES, BlobCopy
from registry_sync.registry.content.damaged_blobs import removal_advice
from registry_sync.registry.content.uploads import Upload
from registry_sync.routes.route import Route
from registry_sync.sync.content.pauses import send_between_pauses
from registry_sync.sync.session import Session
from registry_sync.sync.threads import PROGRESS_SECONDS, wait_for_all
from registry_sync.text_table import human_bytes

log = logging.getLogger(__name__)

SMALLEST_PLACE_BYTES = 16 * 1024
"""Smaller blobs are not worth a login at another repository."""

SLOW_SECONDS = 0.1
"""Longest time of a small blob between near registries. After a slower one, they count as far, too."""


def blobs_at_once(route: Route) -> int:
    """The number of blobs that are copied at the same time: small ones use one registry after the other."""
    return _connections(route) * 3 // 2


def _connections(route: Route) -> int:
    return min(route.source.max_connections, route.destination.max_connections)


class BlobCopies:
    """Copies blobs of one session. Safe to use from several threads.

    :param pool: copies blobs beside the thread that asks for them, :func:`blobs_at_once` at the most.
    """

    def __init__(self, session: Session, pool: Executor) -> None:
        settings, route = session.route.settings, session.route
        self._session, self._pool = session, pool
        self._timeout_seconds = settings.copy_timeout_minutes * 60
        stall_seconds = float(settings.stall_timeout_seconds)
        self._stall_seconds = stall_seconds
        self._uploads = session.destination.uploads(route.destination_repository, read_seconds=stall_seconds)
        self._lock = threading.Lock()
        self._copied: dict[Digest, Future[int]] = {}
        self._running: dict[int, BlobCopy] = {}
        self._finished_bytes = 0
        self._mounts = _Mounts()
        self._images = threading.BoundedSemaphore(settings.parallel_copies)
        self._turns = threading.BoundedSemaphore(blobs_at_once(route))
        self._large_turns = threading.BoundedSemaphore(_connections(route))
        self._has_slow_blob = False

    @property
    def are_far(self) -> bool:
        """Requests take long, so that work at the same time pays."""
        return self._has_slow_blob or self._session.are_far

    @property
    def sent_bytes(self) -> int:
        """Bytes sent so far."""
        with self._lock:
            return self._finished_bytes + sum(copy.sent_bytes for copy in self._running.values())

    def copy(self, blobs: Iterable[Descriptor]) -> int:
        """Copy the blobs of an image that the destination lacks. Returns the bytes sent by this call.

        Waits for its turn among the route's ``parallel_copies``.

        A blob that another thread is copying is waited for, and fails here as well when it fails there. Foreign layers
        are left out, and other layers with ``urls`` where the source lacks them: machines download them from there.

        :raises NotFound: when the source lacks one without ``urls``.
        :raises DamagedContent: when the destination has one with another size.
        :raises TemporaryError: also when the task is being ended, or after the route's ``copy_timeout_minutes``.
        """
        unique = {blob.digest: blob for blob in blobs if not is_foreign(blob)}
        with self._images:
            return self._copy_image(unique)

    def _copy_image(self, unique: Mapping[Digest, Descriptor]) -> int:
        ends = time.monotonic() + self._timeout_seconds
        ours, others = list[Future[int]](), list[Future[int]]()
        for blob in sorted(unique.values(), key=lambda blob: blob.size_bytes, reverse=True):
            future, is_ours = self._start(blob, ends, is_only=len(unique) == 1)
            (ours if is_ours else others).append(future)
        wait_for_all([*ours, *others])
        self._session.check_stopping()
        for future in others:
            future.result()
        return sum(future.result() for future in ours)

    def _start(self, blob: Descriptor, ends: float, *, is_only: bool) -> tuple[Future[int], bool]:
        """The copy of a blob, and whether this call has begun it: in the pool, or here and to its end.

        Who begins a copy never waits for another one before it, which rules out deadlock.
        """
        with self._lock:
            if blob.digest in self._copied:
                return self._copied[blob.digest], False
            if not is_only and (blob.size_bytes >= LARGE_BYTES or self.are_far):
                future = self._copied[blob.digest] = self._pool.submit(self._run, blob, ends)
                return future, True
            future = self._copied[blob.digest] = Future()
        try:
            future.set_result(self._run(blob, ends))
        except BaseException as error:
            future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        return future, True

    def _run(self, blob: Descriptor, ends: float) -> int:
        """Copy a blob. Its failure is forgotten, so that another image tries again."""
        try:
            return send_between_pauses(self._session, lambda: self._copy_in_turn(blob, ends))
        except BaseException:
            with self._lock:
                del self._copied[blob.digest]
            raise

    def _copy_in_turn(self, blob: Descriptor, ends: float) -> int:
        """Copy a blob when others leave room for it: an upload that was begun should not wait long for a connection.

        A small blob uses one registry at a time, so that more of them keep both at work.
        """
        with self._turns, nullcontext() if blob.size_bytes < LARGE_BYTES else self._large_turns:
            started = time.monotonic()
            sent_bytes = self._copy(blob, ends)
        if blob.size_bytes < LARGE_BYTES and time.monotonic() - started > SLOW_SECONDS:
            self._has_slow_blob = True
        return sent_bytes

    def _copy(self, blob: Descriptor, ends: float) -> int:
        self._session.check_stopping()
        upload = self._begin(blob)
        if upload is None:
            return 0
        watch = _Watch(self._session, blob, ends, self._timeout_seconds)
        reader = self._session.source.blob_reader(
            self._session.route.source_repository, blob, read_seconds=self._stall_seconds, seconds=self._timeout_seconds
        )
        copy = watch.copy = BlobCopy(
            reader=reader, uploads=self._uploads, check=watch.check, is_present=lambda: self._is_present(blob)
        )
        with self._lock:
            self._running[id(copy)] = copy
        try:
            sent_bytes = copy.run(upload)
        except NotFound as error:
            if not blob.urls:
                raise
            log.info("%s is left out; machines download it from the URLs in its manifest", error)
            return 0
        finally:
            with self._lock:
                self._finished_bytes += self._running.pop(id(copy)).sent_bytes
        self._note_place(blob)
        return sent_bytes

    def _begin(self, blob: Descriptor) -> Upload | None:
        """Begin an upload, or find that none is needed. A mount asks whether the blob is there, in the same request.

        A registry may confirm a mount and not have the blob afterwards, so it is asked once more. Others answer every
        mount as if they had nothing: before a large blob is sent to these, a HEAD asks again.
        """
        if self._mounts.are_refused:
            return None if self._is_present(blob) else self._uploads.begin(blob)
        own = self._session.route.destination_repository.name
        place = self._place(blob) or own
        try:
            upload = self._uploads.mount(blob, place)
        except RateLimited:
            raise
        except RegistrySyncError as error:
            is_token_refused = isinstance(error, DeniedError) and place != own  # no token for the other repository
            if error.status is None and not is_token_refused:
                raise
            log.debug("%s is not mounted from %s: %s", blob.digest.short, place, error)
            self._mounts.refuse(is_own=place == own)
            return self._begin(blob)
        if upload is None and self._is_present(blob):
            self._mounts.confirm()
            self._note_place(blob)
            return None
        if upload is None:
            return self._uploads.begin(blob)
        is_doubtful = blob.size_bytes >= LARGE_BYTES and not (self._mounts.are_confirmed and place == own)
        if is_doubtful and self._is_present(blob):
            self._uploads.cancel(upload)
            return None
        return upload

    def _place(self, blob: Descriptor) -> str | None:
        if self._mounts.are_own_only or blob.size_bytes < SMALLEST_PLACE_BYTES:
            return None
        return self._session.blob_places.find(str(blob.digest))

    def _note_place(self, blob: Descriptor) -> None:
        if blob.size_bytes >= SMALLEST_PLACE_BYTES:
            self._session.blob_places.note(str(blob.digest), self._session.route.destination_repository.name)

    def _is_present(self, blob: Descriptor) -> bool:
        """Return whether the destination has a blob. If it refuses to tell, the blob is sent."""
        destination, repository = self._session.route.destination, self._session.route.destination_repository
        try:
            size_bytes = self._session.destination.head_blob(repository, blob.digest)
        except LoginRejected:
            raise
        except (NotFound, DeniedError, RefusedError):
            return False
        if size_bytes and size_bytes != blob.size_bytes:  # some registries answer HEAD with the length 0
            raise DamagedContent(
                f"{blob.digest} is damaged in {repository}: it has {size_bytes} instead of {blob.size_bytes} bytes; "
                f"{removal_advice(destination.api_kind, blob.digest)}"
            )
        return True


@dataclass(kw_only=True)
class _Mounts:
    """Answers of a registry to mounts so far.

    :ivar are_confirmed: it has told by a mount that a repository has a blob, and it was right.
    :ivar are_own_only: it refuses mounts from other repositories.
    :ivar are_refused: it refuses every mount.
    """

    are_confirmed: bool = False
    are_own_only: bool = False
    are_refused: bool = False

    def confirm(self) -> None:
        self.are_confirmed = True

    def refuse(self, *, is_own: bool) -> None:
        """Note an error: the same mount is not tried again."""
        self.are_own_only = True
        self.are_refused = self.are_refused or is_own


class _Watch:
    """Watches one copy: the end of its task, its time limit, and log lines about its progress."""

    def __init__(self, session: Session, blob: Descriptor, ends: float, timeout_seconds: float) -> None:
        self._session, self._blob = session, blob
        self._ends, self._timeout_seconds = ends, timeout_seconds
        self._next_progress = time.monotonic() + PROGRESS_SECONDS
        self.copy: BlobCopy | None = None

    def check(self) -> None:
        """:raises TemporaryError: when the task is being ended, or the image's time is over."""
        self._session.check_stopping()
        now = time.monotonic()
        if now > self._ends:
            raise TemporaryError(
                f"the copy of {self._blob.digest} was ended: with the image's other blobs it took "
                f"{self._timeout_seconds} s"
            )
        if now >= self._next_progress and self.copy:
            sent, whole = human_bytes(self.copy.sent_bytes), human_bytes(self._blob.size_bytes)
            log.info("%s: %s of %s", self._blob.digest.short, sent, whole)
            self._next_progress = now + PROGRESS_SECONDS
