"""The command ``verify``: check that destinations hold the content of the tags in sync, and repair what they lack."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from registry_sync.cli.arguments import FAILED, OK, UNANSWERED, chosen_destinations, named_mirror
from registry_sync.cli.connections import CommandConnections
from registry_sync.cli.planning import find_routes
from registry_sync.config.deep_check import DEFAULT_READ_BYTES, parse_share, parse_size
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.errors import (
    ConfigurationError,
    RateLimited,
    ReferrersUnavailable,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.routes.load import load_mirrors
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.report_text import report_table
from registry_sync.sync.route import verify_route
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Connections, open_session
from registry_sync.sync.verification.deep_check import DeepCheck, Rotation
from registry_sync.tags.rules import only_tags

T = TypeVar("T")

_UNANSWERED = frozenset(error.error_class for error in (RateLimited, ReferrersUnavailable, TemporaryError))
"""Classes of errors after which nothing is known: a registry or service does not respond."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only ``verify`` has."""
    parser.add_argument(
        "--share",
        type=_parsed_by(parse_share),
        default=1.0,
        metavar="PERCENT",
        help="verify only this share of the images, others each day (100%%)",
    )
    parser.add_argument(
        "--read-bytes",
        type=_parsed_by(parse_size),
        default=DEFAULT_READ_BYTES,
        metavar="SIZE",
        help="how much of each repository to download and hash, such as 2GB; 0: only ask for sizes (1 GB)",
    )
    parser.add_argument("--no-repair", action="store_true", help="only report what is missing or damaged")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=print_verification)


def _parsed_by(parse: Callable[[str], T]) -> Callable[[str], T]:
    """``parse`` for argparse, which prints the message of its own error only."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ConfigurationError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def print_verification(arguments: argparse.Namespace) -> int:
    """Verify the selected routes, and print a table. Return 0 only when every selected tag is known to be whole.

    Return 3 when nothing is known to be wrong, and a registry or service did not respond.
    """
    reports = []
    for report in _verify_routes(arguments):
        reports.append(report)
        if not arguments.json:
            print(f"\n{report_table([report])}", flush=True)
    if arguments.json:
        print(json.dumps([report.to_json() for report in reports], indent=2, ensure_ascii=False))
    is_failed, summary = _conclude(reports, has_filter=bool(arguments.tag))
    if any(map(_is_damaged, reports)) and arguments.no_repair:
        summary += "; run it without --no-repair to send again what is missing or damaged"
    if not arguments.json:
        print(f"\n{summary}", file=sys.stderr)
    return _exit_code(reports) if is_failed else OK


def _exit_code(reports: Sequence[RouteReport]) -> int:
    """``UNANSWERED`` when every failure is a registry or service that does not respond."""
    bad = [report for report in reports if _is_not_whole(report)]
    return UNANSWERED if bad and all(map(_is_unknown, bad)) else FAILED


def _is_unknown(report: RouteReport) -> bool:
    """True when a report has failures, and none of them says anything about the content."""
    if report.counts.get("would_copy") or _is_damaged(report):
        return False
    classes = {report.error_class, *(tag.error_class for tag in (*report.failed_tags, *report.locked_tags))} - {None}
    return classes <= _UNANSWERED


def _conclude(reports: Sequence[RouteReport], *, has_filter: bool) -> tuple[bool, str]:
    """The outcome of all routes, with a sentence. A mistyped tag must not look like a success."""
    failed, total = sum(map(_is_not_whole, reports)), len(reports)
    if failed:
        return True, f"{failed} of {total} repositories are not whole, not in sync, or could not be verified"
    if has_filter and not any(report.counts["unchanged"] + report.counts["repaired"] for report in reports):
        return True, f"no tag of {total} repositories was selected, so nothing was verified"
    return False, f"{total} repositories verified: every image that was looked at is whole"


def _is_not_whole(report: RouteReport) -> bool:
    """True for a failure, and for tags that a run would copy, because these are not in sync."""
    return report.is_failed or bool(report.counts.get("would_copy"))


def _is_damaged(report: RouteReport) -> bool:
    return report.deep_check is not None and bool(report.deep_check.damaged)


def _verify_routes(arguments: argparse.Namespace) -> Iterator[RouteReport]:
    file = load_mirrors(arguments.file)
    mirrors = [named_mirror(file, name) for name in arguments.mirror] or _mirrors_to(file, arguments.destination)
    scope = RouteScope(
        tags=only_tags(arguments.tag), dry_run=arguments.no_repair, deep_check=_deep_check(arguments, datetime.now(UTC))
    )
    with CommandConnections() as connections:
        for mirror in mirrors:
            for destination in chosen_destinations(mirror, arguments.destination):
                found = find_routes(file, mirror, destination, arguments.repository, connections)
                for entry in found.routes:
                    yield _verify(entry.route, scope, connections)
                host = file.registries[destination].host
                for failure in found.failures:
                    yield RouteReport.of_unrouted(mirror.name, failure.source, host, failure.error)


def _mirrors_to(file: MirrorsFile, destinations: Sequence[str]) -> list[Mirror]:
    """The mirrors that have all of these destinations. :raises ConfigurationError: when there are none."""
    mirrors = [mirror for mirror in file.mirrors.values() if set(destinations) <= set(mirror.destinations)]
    if not mirrors:
        raise ConfigurationError(f"{file.path} has no mirror with the destinations {list(destinations)}")
    return mirrors


def _deep_check(arguments: argparse.Namespace, now: datetime) -> DeepCheck:
    """The images to verify: all, or the share of the day until ``now``."""
    share, read_bytes = arguments.share, arguments.read_bytes
    if share == 1:
        return DeepCheck(reason="all images", read_bytes=read_bytes)
    rotation = Rotation(start=now - timedelta(days=1), end=now, share=share)
    return DeepCheck(reason=f"{share * 100:g}% of the images", read_bytes=read_bytes, rotation=rotation)


def _verify(route: Route, scope: RouteScope, connections: Connections) -> RouteReport:
    try:
        with open_session(route, connections) as session:
            return verify_route(session, scope)
    except RegistrySyncError as error:
        return RouteReport.of_error(route, error, dry_run=scope.dry_run)
