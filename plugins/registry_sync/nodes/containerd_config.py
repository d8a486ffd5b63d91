"""The forms of containerd's ``config.toml``, and what its ``config_path`` does in each version.

https://github.com/containerd/containerd/blob/main/docs/cri/registry.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry_sync.config.runtime_versions import Versions

CRI_PLUGIN = "io.containerd.grpc.v1.cri"
IMAGES_PLUGIN = "io.containerd.cri.v1.images"
IMAGES_PLUGINS = (IMAGES_PLUGIN, CRI_PLUGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigForm:
    """A form of the file: the number under ``version``, the plugin with the registry settings, who reads it."""

    number: int
    plugin: str
    versions: Versions


FORMS = (
    ConfigForm(number=2, plugin=CRI_PLUGIN, versions=Versions()),
    ConfigForm(number=3, plugin=IMAGES_PLUGIN, versions=Versions(floor=(2,))),
    ConfigForm(number=4, plugin=IMAGES_PLUGIN, versions=Versions(floor=(2, 4))),
)
"""Each form is read by its first version and all later ones, also where they migrate it (observed up to 2.4.2)."""

LIST_BREAKS_FROM = Versions(floor=(2, 1))
LIST_IS_DEFAULT_FROM = Versions(floor=(2, 2))

LOCAL_PULL_SETTINGS = ("discard_unpacked_layers", "use_local_image_pull")
"""Settings with which containerd from 2.1 on pulls as before, and reads a list in ``config_path`` again.

containerd/containerd#12415, #12636, #12808; observed with 2.1.9 and 2.4.2.
"""


def newest_form(versions: Versions) -> ConfigForm:
    """The newest form that all ``versions`` read."""
    return [form for form in FORMS if _reads(versions, form)][-1]


def choose_form(document: Mapping[str, Any], versions: Versions) -> ConfigForm:
    """The form of a file from a machine if all ``versions`` read it, or no version is known; else the newest one."""
    number = document.get("version")
    found = [form for form in FORMS if form.number == number and (versions == Versions() or _reads(versions, form))]
    return found[0] if found else newest_form(versions)


def _reads(versions: Versions, form: ConfigForm) -> bool:
    return (versions.floor or ()) >= (form.versions.floor or ())


def advise_on_config_path(document: Mapping[str, Any], form: ConfigForm, versions: Versions) -> str:
    """Say what a list in ``config_path``, or a file without the key, does to mirrors; empty where that is obvious."""
    plugins = _table(document.get("plugins"))
    path = _table(_table(plugins.get(form.plugin)).get("registry")).get("config_path")
    known = _narrow(versions, form)
    if path is None and known.meet(LIST_IS_DEFAULT_FROM):
        return "without it, containerd from 2.2 on has a list of two folders, and silently uses no mirror"
    if not isinstance(path, str) or ":" not in path:
        return ""
    if not known.meet(LIST_BREAKS_FROM):
        return "write one folder: with a list, containerd from 2.1 on silently uses no mirror"
    if settings := sorted(_true_settings(plugins.values())):
        return (
            f"write one folder: with a list, containerd from 2.1 on uses mirrors only as long as {settings[0]} = true "
            "is set"
        )
    return (
        "write one folder: with a list, containerd from 2.1 on silently uses no mirror, unless "
        f"{' or '.join(LOCAL_PULL_SETTINGS)} is true"
    )


def _narrow(versions: Versions, form: ConfigForm) -> Versions:
    """The versions that can have a file of this form."""
    floor = max(versions.floor or (), form.versions.floor or ())
    return Versions(floor=floor or None, ceiling=versions.ceiling)


def _true_settings(plugins: Iterable[Any]) -> Iterator[str]:
    """Settings of local pulls, in a plugin's table, or below its ``containerd`` as version 2 has them."""
    for plugin in map(_table, plugins):
        for table in (plugin, _table(plugin.get("containerd"))):
            yield from (name for name in LOCAL_PULL_SETTINGS if table.get(name) is True)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
