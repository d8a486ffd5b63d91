"""Specify the result of each fault at each stage. The table in ``docs/faults.md`` is rendered from it.

A result is *success*; *wait* (the task is deferred: it holds no worker and uses no retry); *retry* (uses one retry), or
*fail* (at once, with retries left); the last two with the class of the error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from registry_sync.config.settings import MoverName

PING = ("source: ping", "destination: ping")
LOG_IN = ("source: log in", "destination: log in", "source: token", "destination: token")
HEAD = ("source: HEAD", "destination: HEAD", "destination: verify")
MANIFEST = ("source: manifest", "destination: manifest")
PUT = ("destination: PUT by tag",)
PAGE_2, CATALOG = "source: page 2", "source: catalog"
LISTINGS = ("source: list", PAGE_2, CATALOG)
HELD = ("destination: held blob",)
READS = (*LISTINGS, *HEAD, *MANIFEST, *HELD)
OURS = (*READS, *PUT)
"""Requests of our own client, which sends each up to three times."""
SETTLED = (*HEAD, "destination: manifest")
"""Requests whose refusal is settled: of a HEAD by a GET, of a manifest at the destination by the source's."""
OURS_NOT_SETTLED = ("source: list", PAGE_2, "source: manifest", *PUT)
REFERRERS = ("source: referrers",)
"""Requests that no image waits for: what they do not tell is a note on the report."""
SKOPEO_PING = ("source: skopeo's ping", "destination: skopeo's ping")
PINGS = (*PING, *SKOPEO_PING)
"""With credentials, the first request of our own client is the same as skopeo's ping, and meets a single fault."""
UPLOAD = ("destination: blob POST", "destination: blob PATCH", "destination: blob PUT")
WRITES = (*UPLOAD, "destination: PUT by digest")
SKOPEO = ("source: blob", "destination: blob HEAD", *WRITES)
"""Requests of skopeo, which sends most of them once."""
WITH_BODY = ("destination: blob PATCH", "destination: PUT by digest")

DENIED, LOCKED, REFUSED = "fail: denied", "fail: locked", "fail: refused"
CONFIGURATION = "fail: configuration"
RETRY, WAIT, SUCCESS = "retry: temporary", "wait", "success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault at some stages, with the same result at each of them.

    :ivar lasting: result while the fault lasts.
    :ivar passing: result if the fault happens once. Empty: not run, because skopeo would sleep a minute.
    :ivar says: part of the message.
    """

    fault: str
    stages: tuple[str, ...]
    lasting: str
    passing: str
    says: str = ""
    mover: MoverName = "skopeo"


def _row(fault: str, stages: tuple[str, ...], lasting: str, passing: str, says: str = "") -> Row:
    return Row(fault=fault, stages=stages, lasting=lasting, passing=passing, says=says)


def _direct(fault: str, stages: tuple[str, ...], lasting: str, passing: str, says: str = "") -> Row:
    return Row(fault=fault, stages=stages, lasting=lasting, passing=passing, says=says, mover="direct")


def _without(stages: tuple[str, ...], *excluded: str) -> tuple[str, ...]:
    return tuple(stage for stage in stages if stage not in excluded)


_NOT_LISTED = "does not list its repositories, write the repositories of"
_OUTAGE = "has an outage"
_FEWER = "rate-limits us"
_STALLED = "no bytes moved for 3 s"
_BROKE_OFF = "cannot be reached, or broke off"
_NOT_PERMITTED = "does not permit it with our credentials, or does not have it; check its Connection"
_MID_COPY = "no longer accepted the log-in in the middle of the copy"
_MISSING = "is missing content of this image that it had reported as present"
_DAMAGED = "sent or got damaged content"
_UNREAD = "signatures and SBOMs attached to them may be missing at the destination"

SPECIFICATION = (
    _row("401", PING, DENIED, SUCCESS, "rejects the login of 'robot': GET"),
    _row("401", OURS_NOT_SETTLED, DENIED, DENIED, "answered 401"),
    _row("401", SETTLED, SUCCESS, SUCCESS),
    _row("401", _without(LOG_IN, "destination: token"), DENIED, DENIED, "rejects the login of 'robot' to"),
    _row("401", ("destination: token",), DENIED, SUCCESS, "rejects the login of 'robot' to"),
    _row("401", HELD, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("401", (CATALOG,), CONFIGURATION, CONFIGURATION, _NOT_LISTED),
    _row(
        "401",
        ("destination: blob HEAD", "destination: blob POST", "destination: PUT by digest"),
        *(DENIED, DENIED, _NOT_PERMITTED),
    ),
    _row("401", SKOPEO_PING, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("401", ("source: blob", "destination: blob PATCH", "destination: blob PUT"), RETRY, RETRY, _MID_COPY),
    _row("401, token expired", (*PING, *OURS_NOT_SETTLED), DENIED, SUCCESS, "answered 401"),
    _row("401, token expired", SETTLED, SUCCESS, SUCCESS),
    _row("401, token expired", HELD, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("401, token expired", (CATALOG,), CONFIGURATION, SUCCESS, _NOT_LISTED),
    _row(
        "401, token expired",
        ("destination: blob HEAD", "destination: blob POST", "destination: PUT by digest"),
        *(DENIED, DENIED, _NOT_PERMITTED),
    ),
    _row(
        "401, token expired",
        ("source: blob", "destination: blob PATCH", "destination: blob PUT"),
        *(RETRY, RETRY, _MID_COPY),
    ),
    _row("403", PING, DENIED, SUCCESS, "answered 403"),
    _row("403", OURS_NOT_SETTLED, DENIED, DENIED, "answered 403"),
    _row("403", SETTLED, SUCCESS, SUCCESS),
    _row("403", _without(LOG_IN, "destination: token"), DENIED, DENIED, "rejects the login of 'robot' to"),
    _row("403", ("destination: token",), DENIED, SUCCESS, "rejects the login of 'robot' to"),
    _row("403", HELD, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("403", (CATALOG,), CONFIGURATION, CONFIGURATION, _NOT_LISTED),
    _row("403", SKOPEO_PING, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("403", SKOPEO, DENIED, DENIED, _NOT_PERMITTED),
    _row("403, HTML", PING, DENIED, SUCCESS, "answered 403"),
    _row("403, HTML", OURS_NOT_SETTLED, DENIED, DENIED, "answered 403"),
    _row("403, HTML", SETTLED, SUCCESS, SUCCESS),
    _row("403, HTML", HELD, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("403, HTML", (CATALOG,), CONFIGURATION, CONFIGURATION, _NOT_LISTED),
    _row("403, HTML", SKOPEO_PING, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("403, HTML", SKOPEO, DENIED, DENIED, _NOT_PERMITTED),
    _row("404", PING, CONFIGURATION, SUCCESS, "does not answer like a registry: GET"),
    _row("404", _without(LOG_IN, "destination: token"), DENIED, DENIED, "rejects the login of 'robot' to"),
    _row("404", ("destination: token",), DENIED, SUCCESS, "rejects the login of 'robot' to"),
    _row("404", ("source: list",), CONFIGURATION, CONFIGURATION, "check its name in the mirrors file"),
    _row("404", HEAD, SUCCESS, SUCCESS),
    _row("404", (PAGE_2,), RETRY, RETRY, "page 2 of a listing cannot be read"),
    _row("404", (CATALOG,), CONFIGURATION, CONFIGURATION, _NOT_LISTED),
    _row("404", ("source: manifest", "source: blob"), REFUSED, REFUSED, "the image is incomplete at the source"),
    _row("404", ("destination: manifest", *HELD, "destination: blob HEAD"), SUCCESS, SUCCESS),
    _row("404", PUT, REFUSED, REFUSED, "cannot be pushed to; create it at the registry first"),
    _row("404", SKOPEO_PING, RETRY, SUCCESS, "does not answer like a registry"),
    _row("404", WRITES, REFUSED, REFUSED, "cannot be pushed to; create it at the registry first"),
    _row("404, HTML", _without(UPLOAD, "destination: blob POST"), RETRY, RETRY, "broke off the upload"),
    _row("429, Retry-After: 1", (*PINGS, *LOG_IN, *OURS), WAIT, SUCCESS, "answered 429"),
    _row("429, Retry-After: 1", SKOPEO, WAIT, SUCCESS, _FEWER),
    _row("429, Retry-After: 7200", (*PINGS, *LOG_IN, *OURS), WAIT, WAIT, "answered 429"),
    _row("429, Retry-After: 7200", _without(SKOPEO, *WITH_BODY), RETRY, "", _STALLED),
    _row("429, Retry-After: 7200", WITH_BODY, WAIT, SUCCESS, _FEWER),
    _row("429, Retry-After: a date", (*PING, *LOG_IN, *OURS), WAIT, WAIT, "answered 429"),
    _row("429", (*PINGS, *LOG_IN, *OURS), WAIT, SUCCESS, "answered 429"),
    _row("429", _without(SKOPEO, *WITH_BODY), RETRY, SUCCESS, _STALLED),
    _row("429", WITH_BODY, WAIT, SUCCESS, _FEWER),
    _row("429, HTML", (*PING, *LOG_IN, *OURS), WAIT, SUCCESS, "answered 429"),
    _row("429, HTML", WITH_BODY, WAIT, SUCCESS, _FEWER),
    _row("500", (*PINGS, *LOG_IN, *OURS), RETRY, SUCCESS, "answered 500"),
    _row("500", SKOPEO, RETRY, RETRY, _OUTAGE),
    _row("502", (*PINGS, *LOG_IN, *OURS), RETRY, SUCCESS, "answered 502"),
    _row("502", SKOPEO, RETRY, RETRY, _OUTAGE),
    _row("503", (*PINGS, *LOG_IN, *OURS), RETRY, SUCCESS, "answered 503"),
    _row("503", SKOPEO, RETRY, RETRY, _OUTAGE),
    _row("503, HTML", (*PINGS, *LOG_IN, *OURS), RETRY, SUCCESS, "answered 503"),
    _row("503, HTML", SKOPEO, RETRY, RETRY, _OUTAGE),
    _row("504", (*PINGS, *LOG_IN, *OURS), RETRY, SUCCESS, "answered 504"),
    _row("504", SKOPEO, RETRY, RETRY, _OUTAGE),
    _row("reset", (*PINGS, *LOG_IN, *OURS), RETRY, SUCCESS, "cannot be reached: "),
    _row("reset", SKOPEO, RETRY, RETRY, _BROKE_OFF),
    _row(
        "reset within the response",
        (*PING, *LOG_IN, *LISTINGS, *MANIFEST),
        *(RETRY, SUCCESS, "cannot be reached: "),
    ),
    _row("reset within the response", ("source: blob",), RETRY, RETRY, _BROKE_OFF),
    _row(
        "reset after processing",
        (*PINGS, *LOG_IN, *OURS),
        *(RETRY, SUCCESS, "cannot be reached: "),
    ),
    _row("reset after processing", SKOPEO, RETRY, RETRY, _BROKE_OFF),
    _row(
        "truncated",
        (*PING, *LOG_IN, *LISTINGS, *MANIFEST),
        *(RETRY, SUCCESS, "the response ended early: "),
    ),
    _row("truncated", ("source: blob",), RETRY, RETRY, _BROKE_OFF),
    _row("corrupt", LOG_IN, RETRY, SUCCESS, "not JSON"),
    _row("corrupt", LISTINGS, RETRY, RETRY, "not JSON"),
    _row("corrupt", ("source: manifest",), RETRY, RETRY, "arrived damaged: its content has another digest"),
    _row("corrupt", ("source: blob", "destination: blob PATCH"), RETRY, RETRY, _DAMAGED),
    _row(
        "corrupt",
        ("destination: PUT by digest",),
        REFUSED,
        REFUSED,
        "does not accept a manifest of this type or with these fields",
    ),
    _row("corrupt", PUT, REFUSED, REFUSED, "answered 400"),
    _row("slow", (*PINGS, *LOG_IN, *OURS, *SKOPEO), SUCCESS, SUCCESS),
    _row(
        "hang",
        (*PINGS, *LOG_IN, *OURS),
        RETRY,
        SUCCESS,
        "accepted the request, but sent no response before the timeout: timed out",
    ),
    _row("hang", SKOPEO, RETRY, RETRY, _STALLED),
    _row("wrong digest header", ("source: HEAD",), REFUSED, RETRY, "the image is incomplete at the source"),
    _row(
        "wrong digest header",
        ("destination: HEAD",),
        *(RETRY, SUCCESS, "published, but the destination's tag has sha256:923b80571104"),
    ),
    _row(
        "wrong digest header",
        ("destination: verify",),
        *(RETRY, RETRY, "published, but the destination's tag has sha256:923b80571104"),
    ),
    _row("wrong digest header", (*MANIFEST, *HELD, *WRITES, *PUT), SUCCESS, SUCCESS),
    _row("200, HTML", PING, RETRY, SUCCESS, "answered 200 with a web page ('Please log in'), not like a registry"),
    _row("200, HTML", SKOPEO_PING, DENIED, SUCCESS, _NOT_PERMITTED),
    _row("200, HTML", LOG_IN, RETRY, SUCCESS, "answered 200 with text/html; charset=utf-8, not JSON"),
    _row("200, HTML", LISTINGS, RETRY, RETRY, "answered 200 with text/html; charset=utf-8, not JSON"),
    _row("200, HTML", ("source: HEAD", "destination: HEAD", "destination: verify"), SUCCESS, SUCCESS),
    _row("200, HTML", MANIFEST, RETRY, RETRY, "arrived damaged: its content has another digest"),
    _row("200, HTML", HELD, RETRY, RETRY, "is damaged there: it has"),
    _row("200, HTML", ("source: blob",), RETRY, RETRY, _DAMAGED),
    _row("200, HTML", PUT, RETRY, RETRY, "published, but the destination's tag has"),
    _row(
        "200, HTML",
        ("destination: blob HEAD",),
        RETRY,
        RETRY,
        _MISSING,
    ),
    _row("200, HTML", ("destination: blob POST", "destination: blob PATCH"), RETRY, RETRY, "and is retried"),
    _row("disk full", (*UPLOAD, "destination: PUT by digest"), RETRY, RETRY, _OUTAGE),
    _row("disk full", PUT, RETRY, SUCCESS, "no space left on device"),
    _row("immutable tag, 409", PUT, LOCKED, LOCKED, "tag is immutable"),
    _row("immutable tag, 412", PUT, LOCKED, LOCKED, "configured as immutable"),
    _row("immutable tag, 400", PUT, LOCKED, LOCKED, "the tag is immutable and cannot be overwritten"),
    _row("quota exceeded", WRITES, REFUSED, REFUSED, "has no room left for it; raise its quota or remove images"),
    _row("quota exceeded", PUT, REFUSED, REFUSED, "will exceed the configured upper limit"),
    _row("missing blob", ("destination: PUT by digest",), RETRY, RETRY, _MISSING),
    _row("missing blob", PUT, RETRY, RETRY, "MANIFEST_BLOB_UNKNOWN: blob unknown to registry"),
    *(
        _row(fault, REFERRERS, SUCCESS, SUCCESS, _UNREAD)
        for fault in ("401", "403", "403, HTML", "429, Retry-After: 7200", "429", "500", "503, HTML", "reset", "hang")
    ),
    *(_row(fault, REFERRERS, SUCCESS, SUCCESS) for fault in ("401, token expired", "404", "200, HTML", "slow")),
    _row("certificate expired", PING, CONFIGURATION, "", "shows a certificate that is not accepted"),
    _row("certificate expired", ("source: list",), CONFIGURATION, "", "or have the certificate renewed"),
    _row(
        "certificate expired",
        ("source: new connection", "destination: new connection"),
        *(CONFIGURATION, "", "shows a certificate that is not accepted; give its registry a ca_file, or have"),
    ),
)


BLOB_GET, BLOB_POST, BLOB_PUT = ("source: blob",), ("destination: blob POST",), ("destination: blob PUT",)
BY_DIGEST = ("destination: PUT by digest",)
MOVES = (*BLOB_GET, *BLOB_POST, *BLOB_PUT, *BY_DIGEST)
"""Requests of our own client where it moves the content. It repeats each, and continues a blob where it broke off."""

DIRECT = (
    _direct("401", (*BLOB_GET, *BY_DIGEST), DENIED, DENIED, "answered 401"),
    _direct("401", BLOB_POST, DENIED, SUCCESS, "answered 401"),
    _direct("401", BLOB_PUT, RETRY, SUCCESS, "no longer accepted the login in the middle of an upload"),
    _direct("401", HELD, SUCCESS, SUCCESS),
    _direct("401, token expired", (*BLOB_GET, *BLOB_POST, *BY_DIGEST), DENIED, SUCCESS, "answered 401"),
    _direct("401, token expired", BLOB_PUT, RETRY, SUCCESS, "no longer accepted the login in the middle of an upload"),
    *(
        row
        for fault in ("403", "403, HTML")
        for row in (
            _direct(fault, (*BLOB_GET, *BLOB_PUT, *BY_DIGEST), DENIED, DENIED, "answered 403"),
            _direct(fault, BLOB_POST, DENIED, SUCCESS, "answered 403"),
            _direct(fault, HELD, SUCCESS, SUCCESS),
        )
    ),
    _direct("404", BLOB_GET, REFUSED, REFUSED, "the image is incomplete at the source"),
    _direct("404", BLOB_POST, REFUSED, SUCCESS, "cannot be pushed to; create it at the registry first"),
    _direct("404", BLOB_PUT, RETRY, SUCCESS, "the registry no longer knows the upload"),
    _direct("404", BY_DIGEST, REFUSED, REFUSED, "cannot be pushed to; create it at the registry first"),
    _direct("404", HELD, SUCCESS, SUCCESS),
    _direct("404, HTML", BLOB_PUT, RETRY, SUCCESS, "the registry no longer knows the upload"),
    *(_direct(fault, (*MOVES, *HELD), WAIT, SUCCESS, "answered 429") for fault in ("429, Retry-After: 1", "429")),
    *(
        _direct(fault, (*MOVES, *HELD), WAIT, WAIT, "answered 429")
        for fault in ("429, Retry-After: 7200", "429, Retry-After: a date")
    ),
    *(
        _direct(fault, (*MOVES, *HELD), RETRY, SUCCESS, f"answered {fault[:3]}")
        for fault in ("500", "502", "503", "503, HTML", "504")
    ),
    _direct("reset", (*MOVES, *HELD), RETRY, SUCCESS, "cannot be reached: "),
    _direct("reset within the response", BLOB_GET, RETRY, SUCCESS, "cannot be reached: "),
    _direct("reset after processing", (*BLOB_GET, *BLOB_POST, *BY_DIGEST), RETRY, SUCCESS, "cannot be reached: "),
    _direct("reset after processing", BLOB_PUT, SUCCESS, SUCCESS),
    _direct("truncated", BLOB_GET, RETRY, SUCCESS, "the response ended early: "),
    _direct("corrupt", BLOB_GET, RETRY, RETRY, "arrived damaged: its content has another digest"),
    _direct("corrupt", BLOB_PUT, RETRY, SUCCESS, "the bytes were damaged on their way"),
    _direct("corrupt", BY_DIGEST, REFUSED, REFUSED, "answered 400"),
    _direct("slow", (*MOVES, *HELD), SUCCESS, SUCCESS),
    _direct("hang", (*BLOB_GET, *BLOB_PUT), RETRY, RETRY, "sent no response before the timeout"),
    _direct("hang", (*BLOB_POST, *BY_DIGEST, *HELD), RETRY, SUCCESS, "sent no response before the timeout"),
    _direct("wrong digest header", (*MOVES, *HELD), SUCCESS, SUCCESS),
    _direct("200, HTML", BLOB_GET, RETRY, RETRY, "arrived damaged: it has"),
    _direct("200, HTML", BLOB_POST, RETRY, RETRY, "without saying where to upload to"),
    _direct("200, HTML", BLOB_PUT, RETRY, SUCCESS, "answered 200 to an upload, not 201"),
    _direct("200, HTML", BY_DIGEST, RETRY, RETRY, "MANIFEST_BLOB_UNKNOWN"),
    _direct("200, HTML", HELD, RETRY, RETRY, "is damaged in"),
    _direct("disk full", MOVES[1:], RETRY, SUCCESS, "no space left on device"),
    _direct("quota exceeded", BLOB_POST, REFUSED, SUCCESS, "will exceed the configured upper limit"),
    _direct("quota exceeded", (*BLOB_PUT, *BY_DIGEST), REFUSED, REFUSED, "will exceed the configured upper limit"),
    _direct("missing blob", BY_DIGEST, RETRY, RETRY, "MANIFEST_BLOB_UNKNOWN: blob unknown to registry"),
)
"""The same for routes with ``transfer: direct``, where it differs. Requests before and after the transfer are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One stage of a row."""

    fault: str
    stage: str
    lasting: str
    passing: str
    says: str
    mover: MoverName = "skopeo"

    @property
    def hangs(self) -> bool:
        """The server never answers, so only a timeout of ours ends it."""
        return self.fault == "hang"

    @property
    def stalls(self) -> bool:
        """Skopeo may move nothing for long: it waits for the server, or a minute after a 429."""
        return self.hangs or self.fault.startswith("429")

    def __str__(self) -> str:
        return f"{self.fault} - {self.stage}{', direct' if self.mover == 'direct' else ''}"


def every_case() -> Iterator[Case]:
    for row in (*SPECIFICATION, *DIRECT):
        yield from _cases_of(row)


def cases() -> list[Case]:
    """Return a case of each row, then further cases until each stage occurs; ``FAULTS=all`` returns all cases.

    Of the rows of direct transfer every third is enough for CI.
    """
    if os.environ.get("FAULTS") == "all":
        return list(every_case())
    chosen: dict[Case, None] = {}
    for number, row in enumerate((*SPECIFICATION, *DIRECT[::3])):
        row_cases = list(_cases_of(row))
        chosen[row_cases[number % len(row_cases)]] = None
    for case in every_case():
        if case.stage not in {each.stage for each in chosen}:
            chosen[case] = None
    return list(chosen)


def _cases_of(row: Row) -> Iterator[Case]:
    for stage in row.stages:
        yield Case(
            fault=row.fault, stage=stage, lasting=row.lasting, passing=row.passing, says=row.says, mover=row.mover
        )


Seen = Mapping[tuple[str, str, str], tuple[str, str, str]]
"""Fault, stage and mover → results of the lasting and of the single fault, and part of the message."""
