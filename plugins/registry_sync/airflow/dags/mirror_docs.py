"""The documentation of a mirror's DAG, in Markdown: its source, its destinations and its rules.

The same file gives the same text, because Airflow makes a new version of a DAG whose text changes. The text is bounded,
whatever the number of repositories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import Rule, rule_summary
from registry_sync.config.settings import RouteSettings
from registry_sync.tags.overwrite_policy import OverwritePolicy
from registry_sync.tags.rules import TagRule

MAX_RULES = 50

MAX_ITEMS = 10
"""Tags, patterns and the like that one line names."""


def describe(mirror: Mirror, file: MirrorsFile) -> str:
    """Describe a mirror, with the settings of its rules where they differ from the mirror's own."""
    source = file.registries[mirror.source]
    destinations = [_destination(file.registries[name]) for name in mirror.destinations]
    parts = (
        f"### {mirror.name}",
        mirror.description,
        f"Copies images from {_code(source.host)} ({source.name}) {_when(mirror)}, to:\n\n{_bullets(destinations)}",
        f"What is copied, unless a repository says otherwise:\n\n{_bullets(_lines(_common(mirror)))}",
        f"Repositories:\n\n{_bullets(_rules(mirror))}",
        (
            "One task per repository and destination copies the tags that are missing or changed, keeps their digests, "
            "and verifies them. To retry a failed task, clear it; it copies only what is still missing."
        ),
        f"Defined in {_code(_short(file.mirror_files.get(mirror.name, file.path), file.path))}.",
    )
    return "\n\n".join(part for part in parts if part)


def _destination(registry: Registry) -> str:
    promise = f", promise: {_promise(registry.fresh_within.text)}" if registry.fresh_within else ""
    return f"{_code(registry.host)} ({registry.name}){promise}"


def _promise(duration: str) -> str:
    return f"no tag is missing for longer than {duration}"


def _when(mirror: Mirror) -> str:
    if not mirror.schedule:
        return "only when it is triggered"
    catchup = f", and for every interval since {mirror.start_date:%Y-%m-%d}" if mirror.catchup else ""
    return f"on the schedule {_code(mirror.schedule)} (UTC){catchup}"


def _common(mirror: Mirror) -> dict[str, str]:
    """The settings of the mirror itself. Each is taken from a rule that does not override it."""
    return {
        label: text(rule.settings)
        for label, (options, text) in _SETTINGS.items()
        if (rule := next((rule for rule in mirror.rules if not rule.written_options & options), None))
    }


def _rules(mirror: Mirror) -> Iterator[str]:
    """The first rules, each with the settings that it writes itself, and the number of the others."""
    for rule in mirror.rules[:MAX_RULES]:
        yield "\n    - ".join([rule_summary(rule), *_lines(_own(rule))])
    if (others := len(mirror.rules) - MAX_RULES) > 0:
        yield f"… and {others} more"


def _own(rule: Rule) -> dict[str, str]:
    return {
        label: text(rule.settings) for label, (options, text) in _SETTINGS.items() if rule.written_options & options
    }


def _tags(settings: RouteSettings) -> str:
    rules = settings.tags.rules
    if len(rules) == 1:
        return _tag_rule(rules[0])
    numbered = [f"({number}) {_tag_rule(rule)}" for number, rule in enumerate(rules[:MAX_ITEMS], start=1)]
    return f"one of {len(rules)} rules: {_listed(numbered, len(rules), '; ')}"


def _tag_rule(rule: TagRule) -> str:
    """A rule in words; its filters in the order in which they apply."""
    names = [f"{tag} (pinned)" if pin else tag for tag, pin in list(rule.named.items())[:MAX_ITEMS]]
    named = f"by name {_listed(map(_code, names), len(rule.named))}" if rule.named else ""
    if rule.named and not rule.has_filters:
        return named
    filters = [_FILTER_WORDS[key](rule) for key in rule.filters]
    least = f"at least {rule.min_tags}, else the run fails" if rule.min_tags else ""
    selected = ", ".join(filters) or "all"
    return "; ".join(filter(None, [f"{named}, and those {selected}" if named else selected, least]))


_FILTER_WORDS: Mapping[str, Callable[[TagRule], str]] = {
    "include": lambda rule: f"matching {_patterns(rule.include)}",
    "exclude": lambda rule: f"except {_patterns(rule.exclude)}",
    "semver": lambda rule: f"of versions {_code(rule.semver)}{f' in {_code(rule.version)}' if rule.version else ''}",
    "older_than": lambda rule: f"pushed more than {rule.older_than} ago",
    "younger_than": lambda rule: f"pushed less than {rule.younger_than} ago",
    "newest": lambda rule: f"the newest {rule.newest} by {rule.order.replace('_', ' ')}",
}

_POLICY_WORDS: Mapping[OverwritePolicy, str] = {
    "follow": "overwritten at the destination",
    "keep": "kept at the destination",
    "fail": "kept at the destination, and the run fails",
}


def _moved(settings: RouteSettings) -> str:
    """Name the treatment of tags that the destination has with another image."""
    policies = settings.on_moved_tag[:MAX_ITEMS]
    if [pattern.text for pattern, _ in policies] == ["*"]:
        text = _POLICY_WORDS[policies[0][1]]
    else:
        words = [f"{_code(pattern)} {_POLICY_WORDS[policy]}" for pattern, policy in policies]
        text = f"{_listed(words, len(settings.on_moved_tag), '; ')}; the first pattern that matches counts"
    return f"{text}; the old image stays as {_code(settings.backup_tag.text)}" if settings.backup_tag else text


def _platforms(settings: RouteSettings) -> str:
    return _listed(map(_code, settings.platforms[:MAX_ITEMS]), len(settings.platforms)) if settings.platforms else "all"


def _attached(settings: RouteSettings) -> str:
    copied = "copied with their image" if settings.signatures else "not copied"
    return f"{copied}; only images that {_code(settings.policy)} accepts" if settings.policy else copied


def _pruning(settings: RouteSettings) -> str:
    rules = settings.prune
    if rules is None or rules.tags == "none":
        return "off, nothing is deleted"
    done = "only reported (`dry_run`)" if rules.dry_run else f"deleted, at most {rules.max_percent} % at once"
    kept = f", except {_patterns(rules.keep)}" if rules.keep else ""
    return f"tags {_PRUNED[rules.tags]} are {done}{kept}"


_PRUNED: Mapping[str, str] = {
    "gone_at_source": "that the source no longer has",
    "not_selected": "that the source no longer has, or the rules no longer select,",
}


def _fresh(settings: RouteSettings) -> str:
    return _promise(settings.fresh_within.text) if settings.fresh_within else "none"


_SETTINGS: Mapping[str, tuple[frozenset[str], Callable[[RouteSettings], str]]] = {
    "Tags": (frozenset({"tags"}), _tags),
    "A tag that moved": (frozenset({"on_moved_tag", "backup_tag"}), _moved),
    "Platforms": (frozenset({"platforms"}), _platforms),
    "Signatures and SBOMs": (frozenset({"signatures", "policy"}), _attached),
    "Pruning": (frozenset({"prune"}), _pruning),
    "Promise": (frozenset({"fresh_within"}), _fresh),
}
"""The settings by their labels: the options of each, and its text."""


def _patterns(patterns: Iterable[object] | None) -> str:
    every = tuple(patterns or ())
    return _listed(map(_code, every[:MAX_ITEMS]), len(every))


def _listed(texts: Iterable[str], total: int, separator: str = ", ") -> str:
    """The first texts, and the number of the others."""
    shown = list(texts)
    others = [f"… and {total - len(shown)} more"] if total > len(shown) else []
    return separator.join([*shown, *others])


def _code(text: object) -> str:
    """A text as code in Markdown. A text with a backtick needs two around it."""
    return f"`` {text} ``" if "`" in str(text) else f"`{text}`"


def _lines(settings: Mapping[str, str]) -> Iterator[str]:
    return (f"**{label}**: {text}" for label, text in settings.items())


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _short(file: Path, path: Path) -> str:
    """The file, or its folder and the file, with the folder above: enough to find it, and the same on every machine."""
    return "/".join(file.parts[-2 - (file != path) :])
