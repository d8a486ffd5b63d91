"""Options of mirrors and rules that have no effect, or contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.config.mirror import Mirror
from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.registry import NO_PROXY, Registry
from registry_sync.registry.kinds import LISTS_PUSH_TIMES
from registry_sync.routes.checks.checked_file import CheckedFile
from registry_sync.routes.graph import rule_place
from registry_sync.routes.route import settings_at


def check_catchup(checked: CheckedFile) -> Iterator[Problem]:
    """``catchup`` without a schedule or a start date."""
    for mirror in checked.file.mirrors.values():
        if mirror.catchup and not (mirror.schedule and mirror.start_date):
            here = "; write catchup: false here" if mirror.inherits("catchup") else ""
            problem = f"catchup needs a schedule and a start_date, from which to catch up{here}"
            yield Problem(("mirrors", mirror.name), problem)


def check_deep_check(checked: CheckedFile) -> Iterator[Problem]:
    """``deep_check`` of a mirror without a schedule, unless ``defaults`` has it: only scheduled runs do deep checks."""
    for mirror in checked.file.mirrors.values():
        if mirror.deep_check.schedule and not mirror.schedule and not mirror.inherits("deep_check"):
            problem = "deep_check needs a schedule, because only scheduled runs do it; write one, or remove it"
            yield Problem(("mirrors", mirror.name), problem)


def check_push_times(checked: CheckedFile) -> Iterator[Problem]:
    """Rules that need push times, of sources that do not report them."""
    for mirror in checked.usable_mirrors():
        source = checked.file.registries[mirror.source]
        if source.api_kind not in LISTS_PUSH_TIMES:
            yield from _rules_by_push_time(mirror, source)


def _rules_by_push_time(mirror: Mirror, source: Registry) -> Iterator[Problem]:
    for index, rule in enumerate(mirror.rules):
        place = rule_place(mirror, index) if "tags" in rule.written_options else ("mirrors", mirror.name)
        for key in rule.settings.tags.push_time_keys:
            advice = "use newest_by: semver or newest_by: name" if key == "newest" else "remove it"
            problem = f"{key} needs push times, which a source of kind {source.api_kind!r} does not report; {advice}"
            yield Problem((*place, "tags"), problem)


def check_signature_lookup(checked: CheckedFile) -> Iterator[Problem]:
    """``registries_d`` without ``policy``."""
    for mirror in checked.file.mirrors.values():
        for index, rule in enumerate(mirror.rules):
            settings = rule.settings
            if settings.registries_d and not settings.policy:
                is_at_rule = bool(rule.written_options & {"policy", "registries_d"})
                place = rule_place(mirror, index) if is_at_rule else ("mirrors", mirror.name)
                yield Problem(
                    place, "registries_d has no effect without policy; add policy:, or set registries_d: null"
                )


def check_mover(checked: CheckedFile) -> Iterator[Problem]:
    """``transfer: direct`` with ``policy``."""
    registries = checked.file.registries
    for mirror in checked.file.mirrors.values():
        known = [name for name in mirror.destinations if name in registries]
        for index, rule in enumerate(mirror.rules):
            direct = [name for name in known if settings_at(rule, registries[name]).transfer == "direct"]
            if rule.settings.policy and direct:
                problem = (
                    f"policy cannot be used with transfer: direct (to {direct[0]!r}), because only skopeo checks "
                    "policies; write transfer: skopeo for this rule, or set policy: null"
                )
                yield Problem(rule_place(mirror, index), problem)


def check_proxies(checked: CheckedFile) -> Iterator[Problem]:
    """A source and a destination with different proxies, which one skopeo cannot use: it has one environment."""
    registries = checked.file.registries
    for mirror in checked.usable_mirrors():
        source, known = registries[mirror.source], [registries[name] for name in mirror.destinations]
        for index, rule in enumerate(mirror.rules):
            copied = (to for to in known if settings_at(rule, to).needs_skopeo and _need_two_proxies(source, to))
            if destination := next(copied, None):
                problem = (
                    f"source {source.name!r} has proxy: {source.proxy} and destination {destination.name!r} proxy: "
                    f"{destination.proxy}, but one skopeo cannot use both; write transfer: direct, or the same proxy"
                )
                yield Problem(rule_place(mirror, index), problem)


def _need_two_proxies(source: Registry, destination: Registry) -> bool:
    if source.proxy is None or destination.proxy in (None, NO_PROXY):
        return False
    return (source.proxy, source.proxy_connection) != (destination.proxy, destination.proxy_connection)
