"""Directions of imports between packages, and the modules that may use HTTP, processes and Airflow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache

import pytest

from testkit.project import PROJECT

PACKAGE = PROJECT / "plugins" / "registry_sync"

ENTRIES = ("__init__", "__main__", "plugin")
"""Modules that others run: Python, and Airflow."""

BASE = ("errors", "text", "text_table")
"""Modules beside the packages. They import only each other."""

LAYERS: dict[str, tuple[str, ...]] = {
    "oci": (),
    "worker": (),
    "registry": ("oci", "worker"),
    "skopeo": ("oci", "worker", "registry.endpoint", "registry.proxies", "registry.sent_secrets"),
    "tags": ("oci",),
    "config": ("oci", "tags", "registry.kinds", "registry.clouds", "registry.same_registry"),
    "routes": ("oci", "tags", "config", "registry.kinds", "registry.same_registry"),
    "events": ("oci", "tags", "config", "routes"),
    "importing": ("oci", "tags", "config", "routes"),
    "sync": ("oci", "worker", "registry", "skopeo", "tags", "config", "routes"),
    "nodes": ("oci", "registry", "tags", "config", "routes"),
    "state": ("oci", "tags", "config", "routes", "sync", "nodes", "registry.web_pages"),
    "checks": ("oci", "registry", "skopeo", "config", "routes", "sync"),
    "airflow": (
        *("oci", "worker", "registry", "skopeo", "tags", "config", "routes"),
        *("events", "sync", "nodes", "state", "checks"),
    ),
    "cli": (
        *("oci", "worker", "registry", "skopeo", "tags", "config", "routes", "importing"),
        *("events", "sync", "nodes", "state", "checks", "airflow"),
    ),
}
"""The packages from the bottom up, each with what it may import beside :data:`BASE`: packages, or single modules."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "requests": (),
    "urllib3": ("registry.wire", "skopeo.container"),
    "http.client": (
        "registry.wire.deadline",
        "registry.wire.framing",
        "registry.wire.http_errors",
        "registry.wire.pools",
        "registry.wire.raw_response",
        "registry.wire.response_head",
    ),
    "urllib.request": ("registry.proxies",),
    "socket": ("registry.wire.sockets",),
    "ssl": (
        "registry.wire.connections",
        "registry.wire.http_errors",
        "registry.wire.plain_request",
        "registry.wire.pools",
        "registry.wire.proxy_errors",
        "registry.wire.raw_response",
        "registry.wire.sockets",
    ),
    "httpx": (),
    "aiohttp": (),
    "subprocess": ("skopeo.local",),
    "docker": ("skopeo.container", "skopeo.docker_daemon", "airflow.hooks.skopeo"),
    "multiprocessing": (),
    "pty": (),
    "yaml": ("config.reading.yaml_source", "config.reading.yaml_errors", "nodes.roll_out.yaml_text"),
    "pydantic": (
        "config.entries",
        "config.reading",
        "state.document",
        "state.times",
        "airflow.pages.run_again",
    ),
    "re2": ("tags.patterns",),
    "pydantic_core": ("config.reading.explain_errors",),
    "croniter": ("config.schedule",),
    "sqlalchemy": (
        "airflow.receiver.database",
        "airflow.receiver.problems",
        "airflow.states.stored_states",
        "airflow.states.open_database",
        "airflow.linked_route",
        "airflow.checks.database",
        "airflow.checks.on_workers",
    ),
    "jinja2": ("tags.templates", "tags.backup_names", "nodes.render", "airflow.pages.rendering"),
    "fastapi": ("airflow.pages",),
    "starlette": ("airflow.pages", "airflow.receiver.app"),
    "airflow": ("airflow", "plugin", "cli.airflow_command"),
}
"""Modules and packages that may import something from outside."""


def modules() -> list[str]:
    """Every module by its dotted name within the package; a package is the name of its folder."""
    paths = (path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__" for parts in paths)


MODULES = modules()


@cache
def imports(module: str) -> frozenset[str]:
    """All imports of a module, also in functions and for type checkers."""
    file = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    file = file if file.exists() else PACKAGE.joinpath(*module.removeprefix("__init__").split("."), "__init__.py")
    return frozenset(imported_by(ast.parse(file.read_text(encoding="utf-8"))))


def imported_by(tree: ast.AST) -> set[str]:
    names = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(origin), level=0, names=aliases):
                names |= {origin, *(f"{origin}.{alias.name}" for alias in aliases)}
            case ast.ImportFrom():
                raise AssertionError("imports are written in full, not with dots")
    return names


def is_in(name: str, places: tuple[str, ...]) -> bool:
    """Return whether a module is one of the places, or inside one."""
    return any(f"{name}.".startswith(f"{place}.") for place in places)


def own_imports(module: str) -> list[str]:
    """The modules of the package that a module imports."""
    within = (name.removeprefix("registry_sync.") for name in imports(module) if name.startswith("registry_sync."))
    return sorted(name for name in within if name in MODULES and name not in LAYERS)


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_downwards(package: str) -> None:
    allowed = (*BASE, package, *LAYERS[package])
    inside = [module for module in MODULES if is_in(module, (package,))]
    wrong = [
        f"{module} imports {name}" for module in inside for name in own_imports(module) if not is_in(name, allowed)
    ]
    assert wrong == []


def test_every_module_is_in_a_layer() -> None:
    assert [each for each in MODULES if not is_in(each, (*LAYERS, *BASE, *ENTRIES))] == []
    assert [name for each in BASE for name in own_imports(each) if not is_in(name, BASE)] == []


DESIGN = (PROJECT / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_design_page_has_this_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*) ?\|$", DESIGN, re.MULTILINE)
    assert {name: tuple(re.findall(r"`([\w.]+)`", allowed)) for name, allowed in rows} == LAYERS


def test_the_design_page_draws_these_layers() -> None:
    """The drawing leaves out arrows that others imply, and the single modules, which its text names."""
    below = {name: {each for each in allowed if "." not in each} for name, allowed in LAYERS.items()}
    implied = {name: {far for near in allowed for far in below[near]} for name, allowed in below.items()}
    arrows = set(re.findall(r"^ +(\w+) --> (\w+)$", DESIGN, re.MULTILINE))
    assert arrows == {(name, near) for name, allowed in below.items() for near in allowed - implied[name]}


@pytest.mark.parametrize("outside", ONLY_IN)
def test_each_door_out_is_in_one_place(outside: str) -> None:
    users = [module for module in MODULES if any(f"{name}.".startswith(f"{outside}.") for name in imports(module))]
    assert [module for module in users if not is_in(module, ONLY_IN[outside])] == []


@pytest.mark.parametrize(
    ("outside", "module"), [(outside, module) for outside, places in ONLY_IN.items() for module in places]
)
def test_http_and_processes_are_used_where_allowed(outside: str, module: str) -> None:
    inside = [name for each in MODULES if is_in(each, (module,)) for name in imports(each)]
    assert any(f"{name}.".startswith(f"{outside}.") for name in inside)


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
print(*sorted(sys.modules))
"""


def run_without_airflow(*names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_AIRFLOW, *names]
    environment = {"PYTHONPATH": str(PROJECT / "plugins")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_core_needs_no_airflow() -> None:
    core = [f"registry_sync.{each}" for each in MODULES if not is_in(each, (*ENTRIES, "airflow"))]
    ended = run_without_airflow(*core)
    assert ended.stderr == ""
    assert set(core) <= set(ended.stdout.split())


def test_what_a_task_needs_imports_little() -> None:
    """Each of these costs 20 to 40 ms of CPU, and most routes need none of them."""
    ended = run_without_airflow("registry_sync.routes.load", "registry_sync.registry.open", "registry_sync.sync.route")
    assert ended.stderr == ""
    assert {"jinja2", "croniter", "requests", "docker"}.isdisjoint(ended.stdout.split())


def test_a_route_imports_no_entry_models() -> None:
    """They and pydantic take as long as all other imports together."""
    ended = run_without_airflow("registry_sync.registry.open", "registry_sync.skopeo.local", "registry_sync.sync.route")
    assert ended.stderr == ""
    assert {"pydantic", "registry_sync.config.entries"}.isdisjoint(ended.stdout.split())


def test_modules_that_need_airflow_say_so() -> None:
    """The error shows that the previous test finds such imports."""
    ended = run_without_airflow("registry_sync.airflow.runs.retries")
    assert ended.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'airflow'"
