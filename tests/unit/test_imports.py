"""The directions in which imports point: what each module may know of the others and of the world outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from registry_sync.__main__ import PROJECT

PACKAGE = PROJECT / "plugins" / "registry_sync"

FIRST_ROW = (
    "text",
    "errors",
    "reference",
    "oci",
    "credentials",
    "patterns",
    "semver_ranges",
    "kinds",
    "platforms",
    "referrers",
)
RULES = (
    *FIRST_ROW,
    "tags",
    "moved",
    "prune",
    "naming",
    "schedule",
    "fields",
    "node_versions",
    "node_pools",
    "mirrors",
)
PROTOCOL = "registry.client"
CORE = (
    *RULES,
    "route_map",
    "pool_checks",
    "yaml_document",
    "mirrors_file",
    "window",
    "selection",
    "plan",
    "report",
    "skopeo",
    "skopeo_*",
    "trust",
    "stage",
    "backup",
    "apply",
    "pruning",
    "belongings",
    "subsets",
    "check",
    "explain",
    "sync",
    PROTOCOL,
)

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "__init__": (),
    "text": (),
    "errors": ("text",),
    "user_directory": (),
    "claims": ("user_directory",),
    "private_directory": (),
    "reference": ("errors",),
    "oci": ("errors", "reference"),
    "platforms": ("errors", "reference", "oci"),
    "referrers": ("reference", "platforms"),
    "credentials": (),
    "patterns": ("errors",),
    "semver_ranges": ("errors",),
    "kinds": (),
    "tags": FIRST_ROW,
    "moved": FIRST_ROW,
    "prune": (*FIRST_ROW, "tags"),
    "naming": FIRST_ROW,
    "selection": (*FIRST_ROW, "tags"),
    "schedule": FIRST_ROW,
    "fields": FIRST_ROW,
    "node_versions": FIRST_ROW,
    "node_pools": (*FIRST_ROW, "tags", "fields", "node_versions"),
    "mirrors": (*FIRST_ROW, "naming", "tags", "moved", "prune", "schedule", "fields", "node_pools"),
    "route_map": (*RULES, "selection"),
    "pool_checks": (*RULES, "route_map"),
    "yaml_document": FIRST_ROW,
    "mirrors_file": (*RULES, "pool_checks", "yaml_document"),
    "window": RULES,
    "plan": (*RULES, "selection", "window"),
    "report": (*RULES, "window", "plan"),
    "skopeo*": (*FIRST_ROW, "skopeo_*", "user_directory", "private_directory"),
    "trust": (*RULES, "skopeo", "skopeo_*"),
    "registry.*": (*FIRST_ROW, "registry", "registry.*", "user_directory"),
    "stage": (*RULES, "skopeo", "claims", PROTOCOL),
    "backup": (*FIRST_ROW, "plan", PROTOCOL),
    "apply": (*RULES, "window", "plan", "report", "skopeo", "stage", "backup", PROTOCOL),
    "pruning": (*RULES, "selection", "plan", "report", "apply", "claims", PROTOCOL),
    "belongings": (*RULES, "selection", "window", "plan", "report", "stage", "backup", "apply", PROTOCOL),
    "subsets": (*RULES, "selection", "window", "plan", "apply", PROTOCOL),
    "sync": (
        *RULES,
        "selection",
        "window",
        "plan",
        "report",
        "skopeo",
        "stage",
        "apply",
        "belongings",
        "subsets",
        "pruning",
        PROTOCOL,
    ),
    "check": (*RULES, "mirrors_file", PROTOCOL),
    "explain": (*RULES, "selection", "report", "belongings", "sync", PROTOCOL),
    "nodes.*": (
        *RULES,
        "selection",
        "route_map",
        "pool_checks",
        "yaml_document",
        "mirrors_file",
        "report",
        PROTOCOL,
        "nodes.*",
    ),
    "hooks.*": (*RULES, PROTOCOL, "registry.kinds", "skopeo_*"),
    "triggers.*": FIRST_ROW,
    "operators.*": (*CORE, "nodes.*", "hooks.*", "triggers.*", "operators.*"),
    "dag": (*CORE, "operators.*"),
    "readiness_dag": (*CORE, "dag", "operators.*"),
    "ui.*": (*CORE, "nodes.*", "ui.*"),
    "plugin": ("ui", "ui.*"),
    "__main__": (*CORE, "nodes.*", "hooks.*"),
}
"""DESIGN's section on layout as a table. A module that no row is for has to be given one there and here."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "requests": ("registry.transport",),
    "urllib3": ("registry.transport",),
    "http.client": (),
    "urllib.request": (),
    "socket": (),
    "ssl": ("registry.transport",),
    "httpx": (),
    "aiohttp": (),
    "subprocess": ("skopeo", "skopeo_*"),
    "docker": ("skopeo_container", "hooks.skopeo"),
    "multiprocessing": (),
    "pty": (),
    "yaml": ("yaml_document",),
    "pydantic": ("tags", "moved", "prune", "fields", "node_pools", "mirrors", "mirrors_file"),
    "pydantic_core": ("mirrors_file",),
    "croniter": ("schedule",),
    "jinja2": ("moved", "naming", "nodes.render", "ui.*"),
    "airflow": ("hooks.*", "operators.*", "triggers.*", "dag", "readiness_dag", "ui.*", "plugin"),
}
"""The two doors out, and who else may know what."""

ADAPTERS = ONLY_IN["airflow"]


def modules() -> list[str]:
    """Every module of the package by its dotted name within it; a package is the name of its folder."""
    paths = (path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__" for parts in paths)


MODULES = modules()


def source_of(module: str) -> Path:
    file = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    return file if file.exists() else PACKAGE.joinpath(*module.removeprefix("__init__").split("."), "__init__.py")


def imported(module: str, tree: ast.AST | None = None) -> set[str]:
    """What a module imports anywhere in it, also within functions and for type checkers."""
    names = set[str]()
    for node in ast.walk(tree or ast.parse(source_of(module).read_text())):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(origin), level=0, names=aliases):
                names |= {origin, *(f"{origin}.{alias.name}" for alias in aliases)}
            case ast.ImportFrom():
                raise AssertionError(f"{module}: imports are written in full, not with dots")
    return names


def own(module: str) -> Iterator[str]:
    """The modules of the package that a module imports."""
    for name in imported(module):
        within = name.removeprefix("registry_sync.")
        if within != name and within in MODULES:
            yield within


def is_in(name: str, patterns: tuple[str, ...]) -> bool:
    """``ui.*`` is for all that is in ``ui``, and for the folder itself."""
    return any(fnmatchcase(name, each) or (each.endswith(".*") and name == each[:-2]) for each in patterns)


def rules_of(module: str) -> list[str]:
    return [each for each in MAY_IMPORT if is_in(module, (each,))]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    rules = rules_of(module)
    assert len(rules) == 1, f"{module} is in {rules or 'no row'} of MAY_IMPORT; it has to be in one"
    forbidden = sorted(each for each in own(module) if not is_in(each, MAY_IMPORT[rules[0]]))
    assert forbidden == [], f"{module} may import {MAY_IMPORT[rules[0]]} and nothing else of ours"


@pytest.mark.parametrize("outside", ONLY_IN)
def test_each_door_out_is_in_one_place(outside: str) -> None:
    users = [each for each in MODULES if any(f"{name}.".startswith(f"{outside}.") for name in imported(each))]
    strays = [each for each in users if not is_in(each, ONLY_IN[outside])]
    assert strays == [], f"{outside} is for {ONLY_IN[outside] or 'no module'}"


def test_the_doors_are_where_we_think() -> None:
    assert {each for each in MODULES if "requests" in imported(each)} == {"registry.transport"}
    assert "subprocess" in imported("skopeo") | imported("skopeo_process")


def test_the_command_line_imports_hooks_only_where_it_needs_them() -> None:
    tree = ast.parse(source_of("__main__").read_text())
    at_once = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("hooks" in name for node in at_once for name in imported("__main__", node))


WITHOUT_AIRFLOW = """
import importlib, sys
from importlib.abc import MetaPathFinder

class NoAirflow(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "airflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoAirflow())
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(name for name in sys.modules if name.startswith("registry_sync.")))
"""


def run_without_airflow(*modules: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_AIRFLOW, *modules]
    environment = {"PYTHONPATH": str(PROJECT / "plugins")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_core_needs_no_airflow() -> None:
    core = [f"registry_sync.{each}" for each in MODULES if each != "__init__" and not is_in(each, ADAPTERS)]
    ended = run_without_airflow(*core)
    assert ended.stderr == ""
    assert set(core) <= set(ended.stdout.split())


def test_what_needs_airflow_says_so() -> None:
    """Otherwise the test before this one would prove nothing."""
    ended = run_without_airflow("registry_sync.operators.outcome")
    assert ended.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'airflow'"
