"""Reports: over XCom and back, as tables, and in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.config.registry import Registry
from registry_sync.config.settings import RouteSettings
from registry_sync.errors import DeniedError, RateLimited, RegistrySyncError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.report import OUTCOMES, Outcome, RouteReport, RunReport, TagResult
from registry_sync.sync.report_text import failure_message, report_table, run_summary
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.verification.damaged_images import DamagedImage, DeepCheckResult

DIGEST, OTHER = Digest("sha256", 64 * "a"), Digest("sha256", 64 * "b")
MOMENT = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)

COPIED = TagResult(
    tag="v1",
    outcome="copied",
    reason="missing at the destination",
    digest=DIGEST,
    sent_bytes=1_234_567,
    seconds=1.25,
)
FAILED = TagResult(
    tag="v2", outcome="failed", reason="quota is used up", digest=OTHER, seconds=0.04, error_class="refused"
)

DAMAGED = DamagedImage(
    repository="acr.example/team/app", digest=DIGEST, tags=("v1",), parts=(OTHER,), problem="damaged", at=MOMENT
)

TEXTS = st.text(max_size=8)
TAG_RESULTS = st.builds(
    TagResult,
    tag=TEXTS,
    outcome=st.sampled_from(OUTCOMES),
    reason=TEXTS,
    digest=st.none() | st.just(DIGEST),
    sent_bytes=st.integers(0, 10**15),
    seconds=st.floats(0, 1e6),
    error_class=st.none() | st.just("temporary"),
)
REPORTS = st.builds(
    RouteReport,
    mirror=TEXTS,
    route_key=TEXTS,
    source=TEXTS,
    destination=TEXTS,
    counts=st.dictionaries(st.sampled_from(OUTCOMES), st.integers(0, 1000)),
    tags=st.lists(TAG_RESULTS, max_size=3).map(tuple),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
    sent_bytes=st.integers(0, 10**15),
    seconds=st.floats(0, 1e6),
    dry_run=st.booleans(),
    planned_deletions=st.none()
    | st.builds(PlannedDeletions, marks=st.lists(TEXTS).map(tuple), listed=st.integers(0, 1000)),
    deep_check=st.none() | st.just(DeepCheckResult(damaged=(DAMAGED,), cleared=(OTHER,))),
    error=st.none() | TEXTS,
    error_class=st.none() | TEXTS,
    retry_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)


def a_report(name: str = "team/app", *tags: TagResult, **fields: Any) -> RouteReport:
    counts = dict.fromkeys(OUTCOMES, 0) | fields.pop("counts", {})
    source, destination = f"quay.io/{name}", f"acr.example/{name}"
    return RouteReport(
        mirror="m", route_key=name, source=source, destination=destination, counts=counts, tags=tags, **fields
    )


def a_route() -> Route:
    return Route(
        mirror="m",
        source=Registry(name="quay", host="quay.io"),
        destination=Registry(name="acr", host="acr.example"),
        source_repository=Repository("quay.io", "team/app"),
        destination_repository=Repository("acr.example", "team/app"),
        settings=RouteSettings(),
    )


def lines(text: str) -> list[str]:
    return text.split("\n")


def test_every_outcome_is_counted() -> None:
    assert set(OUTCOMES) == set(get_args(Outcome))


@given(REPORTS)
def test_a_report_comes_back_from_json(report: RouteReport) -> None:
    assert RouteReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_report_as_json() -> None:
    report = a_report("team/app", COPIED, counts={"copied": 1}, notes=("a note",), retry_at=MOMENT)
    document = report.to_json()
    assert document["counts"] == dict.fromkeys(OUTCOMES, 0) | {"copied": 1}
    assert document["retry_at"] == "2026-11-24T12:30:00+00:00"
    assert document["notes"] == ["a note"]
    assert document["tags"] == [
        {
            "tag": "v1",
            "outcome": "copied",
            "reason": "missing at the destination",
            "digest": str(DIGEST),
            "sent_bytes": 1_234_567,
            "seconds": 1.25,
            "error_class": None,
        }
    ]


def test_json_that_is_no_report() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        RouteReport.from_json(
            {"mirror": "m", "route_key": "k", "source": "a", "destination": "b", "counts": {}, "colour": "red"}
        )


@pytest.mark.parametrize(
    ("error", "error_class", "retry_at"),
    [
        (DeniedError("wrong password"), "denied", None),
        (RateLimited("too fast", retry_at=MOMENT), "rate_limited", MOMENT),
    ],
)
def test_a_route_that_failed_as_a_whole_is_reported(
    error: RegistrySyncError, error_class: str, retry_at: datetime | None
) -> None:
    report = RouteReport.of_error(a_route(), error, dry_run=True)
    assert report == RouteReport(
        mirror="m",
        route_key=route_key(a_route()),
        source="quay.io/team/app",
        destination="acr.example/team/app",
        counts={},
        dry_run=True,
        error=str(error),
        error_class=error_class,
        retry_at=retry_at,
    )
    assert (report.is_failed, report.failed_tags) == (True, ())


def test_failed_tags_make_a_failed_route_and_that_a_failed_run() -> None:
    good, bad = a_report("good", COPIED), a_report("bad", COPIED, FAILED)
    run = RunReport(mirror="m", routes=(good, bad))
    assert (good.is_failed, bad.is_failed, bad.failed_tags) == (False, True, (FAILED,))
    assert (run.is_failed, run.failed_routes) == (True, (bad,))
    assert not RunReport(mirror="m", routes=(good,)).is_failed
    assert RunReport(mirror="m", routes=(good,), missing=("team/lost → acr (failed)",)).is_failed


def test_the_table_shows_a_route_in_sync() -> None:
    report = a_report("team/app", counts={"unchanged": 12, "skipped": 3}, seconds=0.349)
    assert lines(report_table([report])) == [
        "repository        destination             copied  unchanged  skipped  failed  digests  sent  seconds",
        "────────────────  ──────────────────────  ──────  ─────────  ───────  ──────  ───────  ────  ───────",
        "quay.io/team/app  → acr.example/team/app       0         12        3       0        0   0 B      0.3",
    ]


def test_the_table_of_several_routes_has_totals_tags_notes_and_errors() -> None:
    again = replace(COPIED, tag="v1.0", sent_bytes=0, seconds=0.1)
    routes = [
        a_report(
            "team/app",
            COPIED,
            again,
            FAILED,
            counts={"copied": 2, "failed": 1, "unchanged": 7},
            sent_bytes=1_234_567,
            seconds=2.5,
        ),
        a_report("team/empty", notes=("the source repository has no tags",), seconds=0.2),
        replace(RouteReport.of_error(a_route(), DeniedError("wrong password"), dry_run=False), seconds=0.1),
    ]
    assert lines(report_table(routes)) == [
        "Failed:",
        "  quay.io/team/app:v2 → acr.example/team/app: quota is used up",
        "  quay.io/team/app → acr.example/team/app: wrong password",
        "",
        "repository          destination               copied  unchanged  skipped  failed  digests    sent  seconds",
        "──────────────────  ────────────────────────  ──────  ─────────  ───────  ──────  ───────  ──────  ───────",
        "quay.io/team/app    → acr.example/team/app         2          7        0       1        1  1.2 MB      2.5",
        "quay.io/team/empty  → acr.example/team/empty       0          0        0       0        0     0 B      0.2",
        "quay.io/team/app    → acr.example/team/app         0          0        0     all        0     0 B      0.1",
        "3 routes                                           2          7        0       1        1  1.2 MB      2.8",
        "",
        "tag                        outcome  digest                 sent  seconds  reason",
        "─────────────────────────  ───────  ───────────────────  ──────  ───────  ──────────────────────────",
        "acr.example/team/app:v1    copied   sha256:aaaaaaaaaaaa  1.2 MB      1.2  missing at the destination",
        "acr.example/team/app:v1.0  copied   sha256:aaaaaaaaaaaa     0 B      0.1  missing at the destination",
        "",
        "quay.io/team/empty → acr.example/team/empty: the source repository has no tags",
    ]


def test_the_table_of_a_dry_run() -> None:
    tag = TagResult(tag="v1", outcome="would_copy", reason="missing at the destination", digest=DIGEST)
    kept = TagResult(tag="v2", outcome="failed", reason="moved; on_moved_tag is fail", error_class="refused")
    report = a_report("team/app", tag, kept, counts={"would_copy": 1, "failed": 1}, dry_run=True)
    assert lines(report_table([report])) == [
        "Failed:",
        "  quay.io/team/app:v2 → acr.example/team/app: moved; on_moved_tag is fail",
        "",
        "repository        destination                  copied  unchanged  skipped  failed  digests  sent  seconds",
        "────────────────  ──────────────────────  ───────────  ─────────  ───────  ──────  ───────  ────  ───────",
        "quay.io/team/app  → acr.example/team/app  1 (dry run)          0        0       1        1   0 B      0.0",
        "",
        "tag                      outcome     digest               sent  seconds  reason",
        "───────────────────────  ──────────  ───────────────────  ────  ───────  ──────────────────────────",
        "acr.example/team/app:v1  would copy  sha256:aaaaaaaaaaaa   0 B      0.0  missing at the destination",
    ]


def test_totals_of_two_routes_count_a_digest_once() -> None:
    """The digest of a failed tag is not among them, and tags of a dry run are."""
    would = TagResult(tag="v1", outcome="would_copy", reason="missing at the destination", digest=DIGEST)
    first = a_report("a", would, replace(would, tag="v2", digest=OTHER), counts={"would_copy": 2}, dry_run=True)
    failed = replace(FAILED, digest=Digest("sha256", 64 * "c"))
    second = a_report("b", replace(COPIED, digest=DIGEST), failed, counts={"copied": 1, "failed": 1})
    assert lines(report_table([first, second]))[3:8] == [
        "repository  destination           copied  unchanged  skipped  failed  digests  sent  seconds",
        "──────────  ───────────────  ───────────  ─────────  ───────  ──────  ───────  ────  ───────",
        "quay.io/a   → acr.example/a  2 (dry run)          0        0       0        2   0 B      0.0",
        "quay.io/b   → acr.example/b            1          0        0       1        1   0 B      0.0",
        "2 routes                               3          0        0       1        2   0 B      0.0",
    ]


def test_the_table_of_what_does_not_happen_in_most_runs() -> None:
    gone = TagResult(tag="v0", outcome="deleted", reason="gone at the source", digest=DIGEST)
    going = TagResult(tag="v1", outcome="would_delete", reason="gone at the source", digest=DIGEST)
    locked = TagResult(tag="v2", outcome="locked", reason="it is locked", digest=OTHER, error_class="locked")
    counts = {"deleted": 1, "would_delete": 1, "locked": 1}
    routes = [a_report("team/app", gone, going, locked, counts=counts), a_report("team/b", counts={"unchanged": 1})]
    assert [row[17:100] for row in lines(report_table(routes))[3:8]] == [
        " destination             copied  unchanged  skipped         deleted  locked  failed",
        " ──────────────────────  ──────  ─────────  ───────  ──────────────  ──────  ──────",
        " → acr.example/team/app       0          0        0  1 (+1 planned)       1       0",
        " → acr.example/team/b         0          1        0               0       0       0",
        "                              0          1        0  1 (+1 planned)       1       0",
    ]
    assert [row.split()[1:3] for row in lines(report_table(routes))[11:]] == [
        ["deleted", "sha256:aaaaaaaaaaaa"],
        ["would", "delete"],
    ]


def test_repairs_have_a_column() -> None:
    repaired = TagResult.repaired("v1", DIGEST, "layer sha256:b was missing at the destination; sent again")
    text = report_table([a_report("team/app", repaired, counts={"unchanged": 3, "repaired": 1})])
    headings, _, cells, *_ = text.splitlines()
    assert headings.split()[2:6] == ["copied", "unchanged", "repaired", "skipped"]
    assert cells.split()[3:7] == ["0", "3", "1", "0"]
    assert "repaired  sha256:aaaaaaaaaaaa" in text


def test_locked_tags_make_a_failed_route() -> None:
    locked = TagResult(tag="v2", outcome="locked", reason="it is locked", error_class="locked")
    report = a_report("team/app", locked, counts={"locked": 1})
    assert (report.is_failed, report.failed_tags, report.locked_tags) == (True, (), (locked,))


def test_a_reason_of_several_lines_becomes_one_line() -> None:
    tags = [replace(tag, reason="the registry said:\n  <html>\r\n\tno\n") for tag in (COPIED, FAILED)]
    shown = lines(report_table([a_report("team/app", *tags)]))
    assert shown[1] == "  quay.io/team/app:v2 → acr.example/team/app: the registry said: <html> no"
    assert shown[-1].endswith("1.2  the registry said: <html> no")


LONG = "it was overwritten at the source, and " + "is read again " * 12 + "until it is in sync"


def test_a_long_reason_stands_below_the_table_once() -> None:
    tags = [replace(COPIED, tag=tag, reason=reason) for tag, reason in (("v1", LONG), ("v2", "moved"), ("v3", LONG))]
    shown = lines(report_table([a_report("team/app", *tags)]))
    assert shown[4:] == [
        "tag                      outcome  digest                 sent  seconds  reason",
        "───────────────────────  ───────  ───────────────────  ──────  ───────  ──────",
        "acr.example/team/app:v1  copied   sha256:aaaaaaaaaaaa  1.2 MB      1.2  [1]",
        "acr.example/team/app:v2  copied   sha256:aaaaaaaaaaaa  1.2 MB      1.2  moved",
        "acr.example/team/app:v3  copied   sha256:aaaaaaaaaaaa  1.2 MB      1.2  [1]",
        "",
        f"[1] {LONG}",
    ]


def test_a_failed_run_names_ten_failures_and_the_report_all() -> None:
    """A whole route, a locked tag and an artifact count as well. No reason is cut."""
    artifact = replace(FAILED, tag=str(OTHER), reason=LONG)
    locked = TagResult(tag="v9", outcome="locked", reason="it is locked", digest=OTHER, error_class="locked")
    many = [replace(FAILED, tag=f"v{number}") for number in range(9)]
    routes = [
        a_report("team/app", artifact, locked, counts={"failed": 1, "locked": 1}),
        a_report("team/b", *many, counts={"failed": 9}),
        RouteReport.of_error(a_route(), DeniedError("wrong\npassword"), dry_run=False),
    ]
    first = [
        f"  quay.io/team/app@{OTHER} → acr.example/team/app: {LONG}",
        "  quay.io/team/app:v9 → acr.example/team/app: it is locked",
        *(f"  quay.io/team/b:v{number} → acr.example/team/b: quota is used up" for number in range(8)),
    ]
    others = [
        "  quay.io/team/b:v8 → acr.example/team/b: quota is used up",
        "  quay.io/team/app → acr.example/team/app: wrong password",
    ]
    run = RunReport(mirror="m", routes=tuple(routes), missing=("team/lost → acr (failed)",))
    sentence = "m: 4 of 4 routes failed, 0 tags copied, 1 locked"
    assert lines(failure_message(run)) == [sentence, *first, "  … and 3 more"]
    shown = lines(report_table(routes))
    assert shown[:13] == ["Failed:", *first, "  … and 2 more, at the end", ""]
    assert shown[-4:] == ["", "Failed too:", *others]


def test_a_failed_run_names_tasks_without_a_report() -> None:
    line = "team/lost → acr (failed) ended without a report; see the log of that task"
    run = RunReport(mirror="m", routes=(), missing=(line,))
    assert lines(failure_message(run)) == [
        "m: 1 of 1 routes failed, 0 tags copied",
        f"  {line}",
    ]


def test_repositories_without_a_selected_tag_are_one_warning_of_the_run() -> None:
    routes = [a_report(f"team/app{number}", selects_none=number != 3) for number in (0, 1, 2, 2, 3, 4, 5, 6)]
    names = ", ".join(routes[number].source for number in (0, 1, 2, 5, 6))
    (warning,) = (line for line in lines(report_table(routes)) if line.startswith("WARNING"))
    assert warning == (
        f"WARNING: a rule selects no tag of 6 repositories: {names}, …; correct tags:, exclude the "
        f"repositories, or write "
        "min_tags: 0 if that is right"
    )
    assert "WARNING" not in report_table([a_report()])


@pytest.mark.parametrize(
    ("routes", "missing", "sentence"),
    [
        ([], [], "m: nothing to do, no repository was selected"),
        (
            [a_report(counts={"unchanged": 3}), a_report(counts={"unchanged": 4})],
            [],
            "m: everything is in sync, nothing was copied (7 tags unchanged)",
        ),
        (
            [a_report(counts={"unchanged": 3, "skipped": 2})],
            [],
            "m: everything is in sync, nothing was copied (3 tags unchanged, 2 skipped)",
        ),
        (
            [a_report(counts={"skipped": 2})],
            [],
            "m: no tag is mirrored, nothing was copied (0 tags unchanged, 2 skipped)",
        ),
        (
            [a_report("team/app", COPIED, counts={"copied": 5, "unchanged": 3, "skipped": 1})],
            [],
            "m: 5 tags copied, 3 unchanged",
        ),
        (
            [a_report("team/a", counts={"skipped": 5}, selects_none=True), a_report(counts={"unchanged": 3})],
            [],
            (
                "m: everything is in sync, nothing was copied (3 tags unchanged, 5 skipped), 1 repositories without a "
                "selected tag"
            ),
        ),
        (
            [a_report(counts={"repaired": 1, "skipped": 2})],
            [],
            "m: everything is in sync, nothing was copied (0 tags unchanged, 2 skipped), 1 repaired",
        ),
        (
            [a_report(counts={"would_copy": 5, "unchanged": 3}, dry_run=True)],
            [],
            "m: 5 tags would be copied (dry run), 3 unchanged",
        ),
        (
            [a_report("team/app", COPIED, FAILED, counts={"copied": 2, "failed": 1}), a_report()],
            [],
            "m: 1 of 2 routes failed, 2 tags copied",
        ),
        (
            [a_report("team/app", FAILED, counts={"would_copy": 2, "failed": 1}, dry_run=True)],
            [],
            "m: 1 of 1 routes failed, 2 tags would be copied (dry run)",
        ),
        (
            [a_report(counts={"copied": 1, "deleted": 2, "would_delete": 3, "unchanged": 4})],
            [],
            "m: 1 tags copied, 4 unchanged, 2 deleted, 3 to be deleted",
        ),
        (
            [a_report(counts={"unchanged": 4, "would_delete": 3})],
            [],
            "m: everything is in sync, nothing was copied (4 tags unchanged), 3 to be deleted",
        ),
        (
            [
                a_report(
                    *("team/app", TagResult(tag="v1", outcome="locked", reason="it is locked")),
                    counts={"unchanged": 4, "locked": 1},
                )
            ],
            [],
            "m: 1 of 1 routes failed, 0 tags copied, 1 locked",
        ),
        (
            [a_report(counts={"copied": 1})],
            ["team/lost → acr (failed)", "routes_to_hub (upstream_failed)"],
            "m: 2 of 3 routes failed, 1 tags copied",
        ),
        ([], ["routes_to_acr (failed)"], "m: 1 of 1 routes failed, 0 tags copied"),
    ],
)
def test_a_run_in_one_sentence(routes: list[RouteReport], missing: list[str], sentence: str) -> None:
    assert run_summary(RunReport(mirror="m", routes=tuple(routes), missing=tuple(missing))) == sentence
