"""A Kyverno policy that renames the images of pods, for pools that pull only from another registry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from registry_sync.errors import ConfigurationError
from registry_sync.nodes.roll_out.roll_out import RollOut
from registry_sync.nodes.roll_out.yaml_text import yaml_stream
from registry_sync.oci.reference import DOCKER_HUB
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.image_names import NameMap, NameRow
from registry_sync.tags.patterns import GLOB_PART

MAX_RULES = 50
"""Rules of one mutation: CEL refuses expressions that are nested more than 250 deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteRule:
    """A rule in RE2's syntax. ``excluded``: expressions of images that it leaves as they are."""

    pattern: str
    replacement: str
    excluded: tuple[str, ...] = ()


def rewrite_rules(names: NameMap) -> list[RewriteRule]:
    """The rules of a map of names. The first that matches an image applies: names before globs."""
    rows = sorted(names.rows(), key=lambda row: (_is_glob(row.image), row.image))
    return [_rule(row) for row in rows]


def _rule(row: NameRow) -> RewriteRule:
    host, _, name = row.image.partition("/")
    excluded = (pattern for pattern in row.excluded if not pattern.startswith("/"))
    parts = GLOB_PART.findall(row.becomes)
    numbers = iter(range(1, len(parts) + 1))
    replacement = "".join(f"\\{next(numbers)}" if _is_glob(part) else part for part in parts)
    return RewriteRule(
        pattern=_image_pattern(host, name),
        replacement=f"{replacement}\\{next(numbers)}",
        excluded=tuple(_image_pattern(host, f"{row.namespace}/{pattern}") for pattern in excluded),
    )


def _image_pattern(host: str, name: str) -> str:
    """An image as people write it: with its tag and digest, with the default port, without Docker Hub's host."""
    place = f"{re.escape(host)}(?::443)?/"
    rest = "".join(map(_glob_part, GLOB_PART.findall(name)))
    if host == DOCKER_HUB:
        place = r"(?:(?:index\.|registry-1\.)?docker\.io(?::443)?/)?"
        library, _, within = name.partition("/")
        if library == "library":
            short = "".join(map(_glob_part, GLOB_PART.findall(within))).replace("[^:@]", "[^:@/]")
            rest = f"(?:library/)?{short}"
    return f"^{place}{rest}((?::[^:@/]+)?(?:@.+)?)$"


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")


def _glob_part(part: str) -> str:
    if part == "*":
        return "([^:@]*)"
    if part == "?":
        return "([^:@])"
    return f"({part.replace('[!', '[^', 1)})" if part.startswith("[") else re.escape(part)


def kyverno(roll_out: RollOut) -> str:
    """Two policies: for the containers of new pods, and for those that ``kubectl debug`` adds.

    The policy changes pods only: their controllers keep the names that people wrote. It ignores updates, because
    another name in a running pod would restart its container. https://kyverno.io/docs/policy-types/mutating-policy/

    :raises ConfigurationError: when the pool has mirrors, which are for the names that pods have, or no route to it.
    """
    if roll_out.mirrors:
        raise ConfigurationError(
            f"pool {roll_out.pool.name!r} has mirrors, which machines would no longer ask for renamed images; kyverno "
            "is for a pool without mirrors"
        )
    names = NameMap(roll_out.file, roll_out.pool)
    rules = rewrite_rules(names)
    if not rules:
        raise ConfigurationError(
            f"pool {roll_out.pool.name!r}: no route copies anything to {roll_out.registry.name!r}; no image is renamed"
        )
    left_out = "".join(f"# Not covered: {text}\n" for text in _left_out(roll_out, names))
    head = (
        f"# Rendered by registry_sync for pool {roll_out.pool.name}, for Kyverno 1.17 and later.\n"
        "# Images get their names at the pool's registry. A tag that no route copies is renamed too, and not found.\n"
    )
    name = f"registry-sync-{roll_out.name}"
    documents = [
        _policy(name, "pods", "CREATE", ("containers", "initContainers"), rules),
        _policy(f"{name}-ephemeral", "pods/ephemeralcontainers", "UPDATE", ("ephemeralContainers",), rules),
    ]
    return f"{head}{left_out}{yaml_stream(documents)}"


def _left_out(roll_out: RollOut, names: NameMap) -> Iterator[str]:
    """Patterns of the mirrors file that the policy leaves out: names cannot be derived from regular expressions."""
    for routes in RouteMap.of(roll_out.file).namespaces:
        patterns = [*(routes.rule.include or ()), *(routes.rule.exclude or ())]
        for pattern in (pattern for pattern in patterns if pattern.is_expression):
            if routes.destination.host == names.registry.host:
                yield f"{pattern.text} of {routes.source.host}/{routes.rule.namespace}, of mirror {routes.mirror.name}"


def _policy(
    name: str, resource: str, operation: str, fields: Sequence[str], rules: Sequence[RewriteRule]
) -> dict[str, Any]:
    matched = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": [resource]}
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "MutatingPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Ignore",
            "autogen": {"podControllers": {"controllers": []}},
            "matchConstraints": {"resourceRules": [matched]},
            "mutations": [
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _expression(fields, some)}}
                for some in _batches(rules)
            ],
        },
    }


def _batches(rules: Sequence[RewriteRule]) -> Iterator[Sequence[RewriteRule]]:
    for start in range(0, len(rules), MAX_RULES):
        yield rules[start : start + MAX_RULES]


def _expression(fields: Sequence[str], rules: Sequence[RewriteRule]) -> str:
    parts = [
        f"    {field}: has(object.spec.{field}) ? object.spec.{field}.map(c, Object.spec.{field}{{\n"
        f"      name: c.name,\n      image: {_choice(rules)}\n    }}) : []"
        for field in fields
    ]
    return "Object{\n  spec: Object.spec{\n" + ",\n".join(parts) + "\n  }\n}\n"


def _choice(rules: Sequence[RewriteRule]) -> str:
    """The name of ``c.image`` by the first rule that matches it."""
    lines = [
        f"c.image.matches(r'{rule.pattern}')"
        + "".join(f" && !c.image.matches(r'{pattern}')" for pattern in rule.excluded)
        + f" ? regex.replace(c.image, r'{rule.pattern}', r'{rule.replacement}') :"
        for rule in rules
    ]
    return "\n        ".join([*lines, "c.image"])
