"""The forms of containerd's ``config.toml``, and what its ``config_path`` does in each version.

https://github.com/containerd/containerd/blob/main/docs/cri/registry.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
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

_USUAL_LOCAL_PULL_SETTINGS = ("discard_unpacked_layers", "use_local_image_pull")

_LOCAL_PULL_SETTINGS: Mapping[str, Callable[[Any], bool]] = {
    "discard_unpacked_layers": lambda value: value is True,
    "use_local_image_pull": lambda value: value is True,
    "image_pull_with_sync_fs": lambda value: value is True,
    "max_concurrent_downloads": lambda value: type(value) is int and value != 3,
    "disable_snapshot_annotations": lambda value: value is False,
}
"""Settings with which containerd from 2.1 on pulls as before, and reads a list in ``config_path`` again.

``CheckLocalImagePullConfigs`` in
https://github.com/containerd/containerd/blob/main/internal/cri/config/config.go, containerd/containerd#12415, #12636,
#12808; observed with 2.1.9 and 2.4.2. Log-ins under ``registry`` do the same.
"""

_MIGRATED = ("image_pull_with_sync_fs", "max_concurrent_downloads")
_MIGRATED_BESIDE_RUNTIMES = ("discard_unpacked_layers", "disable_snapshot_annotations")
"""Settings that containerd takes over from version 2, from the plugin's table and from ``containerd`` below it.

It takes over the latter only if that table has ``runtimes`` (observed with 2.1.9 and 2.4.2).
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
    """The effect on mirrors of a list in ``config_path``, or of a file without the key; empty where that is obvious."""
    plugins = _table(document.get("plugins"))
    path = _table(_table(plugins.get(form.plugin)).get("registry")).get("config_path")
    known = _narrow(versions, form)
    if path is None and known.meet(LIST_IS_DEFAULT_FROM):
        return "without it, containerd from 2.2 on has a list of two folders, and silently uses no mirror"
    if not isinstance(path, str) or ":" not in path:
        return ""
    if not known.meet(LIST_BREAKS_FROM):
        return "write one folder: with a list, containerd from 2.1 on silently uses no mirror"
    if settings := [*_local_pull_settings(_table(plugins.get(form.plugin)), form)]:
        return (
            f"write one folder: with a list, containerd from 2.1 on uses mirrors only as long as {settings[0]} is set"
        )
    return (
        "write one folder: with a list, containerd from 2.1 on silently uses no mirror, unless "
        f"{' or '.join(_USUAL_LOCAL_PULL_SETTINGS)} is true"
    )


def advise_on_configs(document: Mapping[str, Any], form: ConfigForm, versions: Versions) -> str:
    """The effect of ``registry.configs`` beside ``config_path``. containerd 2 ignores ``tls`` in it (observed)."""
    registry = _table(_table(_table(document.get("plugins")).get(form.plugin)).get("registry"))
    has_tls = any("tls" in _table(config) for config in _table(registry.get("configs")).values())
    if has_tls and not _narrow(versions, form).are_at_least("2"):
        return (
            "with tls in it and config_path, containerd before 2.0 does not load its CRI plugin and the node is "
            "NotReady; remove it"
        )
    return "mirrors do not need it; with it, containerd from 2.1 on pulls as containerd 2.0 does"


def _narrow(versions: Versions, form: ConfigForm) -> Versions:
    """The versions that can have a file of this form."""
    floor = max(versions.floor or (), form.versions.floor or ())
    return Versions(floor=floor or None, ceiling=versions.ceiling)


def _local_pull_settings(plugin: Mapping[str, Any], form: ConfigForm) -> Iterator[str]:
    """The settings of a plugin's table that keep a list in ``config_path`` working, as they are written."""
    read = dict(plugin)
    if form.number == 2:
        containerd = _table(plugin.get("containerd"))
        beside = _MIGRATED_BESIDE_RUNTIMES if "runtimes" in containerd else ()
        read = {
            key: table[key]
            for table, keys in ((containerd, beside), (plugin, _MIGRATED))
            for key in keys
            if key in table
        }
    for key, keeps in _LOCAL_PULL_SETTINGS.items():
        if key in read and keeps(read[key]):
            yield f"{key} = {json.dumps(read[key])}"
    registry = _table(plugin.get("registry"))
    yield from (f"registry.{key}" for key in ("configs", "auths") if _table(registry.get(key)))


def cri_plugin_of(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The table of the CRI plugin in a file of version 2; ``None`` where it has none."""
    plugins = _table(document.get("plugins"))
    return _table(plugins[CRI_PLUGIN]) if CRI_PLUGIN in plugins else None


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
