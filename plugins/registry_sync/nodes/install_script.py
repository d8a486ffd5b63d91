"""A shell script that puts a runtime's rendered files onto a machine, and restarts the runtime only where needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry_sync.config.node_pools import Runtime
from registry_sync.errors import ConfigurationError
from registry_sync.nodes.render import RenderedFile

TARGETS: Mapping[Runtime, Mapping[str, str]] = {
    "containerd": {"hosts.toml": "/etc/containerd/{path}"},
    "crio": {"registries.conf": "/etc/containers/registries.conf.d/50-registry-sync.conf"},
    "k3s": {"registries.yaml": "/etc/rancher/{service}/registries.yaml"},
}
"""Folder of whole files, by runtime. containerd's config.toml is edited, not replaced."""

ACTIONS: Mapping[Runtime, str] = {
    "containerd": "systemctl restart containerd",
    "crio": "systemctl reload crio",
    "k3s": "systemctl restart k3s 2>/dev/null || systemctl restart k3s-agent",
}
"""Commands that make a runtime read a changed file. containerd needs one for config.toml only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """A rendered file with its absolute path on the machine."""

    path: str
    text: str


def place_files(files: Sequence[RenderedFile], runtime: Runtime) -> list[PlacedFile]:
    """The files that are put onto a machine whole.

    :raises ConfigurationError: for runtimes whose file has to be merged into an existing one.
    """
    if runtime not in TARGETS:
        raise ConfigurationError(
            f"{runtime} has one file for all its settings, which cannot be replaced by a script: render without --as, "
            "and merge the file"
        )
    targets = TARGETS[runtime]
    return [
        PlacedFile(path=targets[file.path.name].format(path=file.path, service="k3s"), text=file.text)
        for file in files
        if file.path.name in targets
    ]


_HEAD = """\
#!/bin/sh
# Rendered by registry_sync. Safe to run again: it changes and restarts nothing that is as it should be.
# ROOT is where the machine's file system is mounted; RESTART runs a command on the machine.
set -eu
ROOT=${ROOT:-}
RESTART=${RESTART:-sh -c}
changed=

put() {  # PATH: replace the file by standard input where it differs
  mkdir -p "$(dirname "$ROOT$1")"
  cat > "$ROOT$1.new"
  if cmp -s "$ROOT$1.new" "$ROOT$1"; then rm "$ROOT$1.new"; return; fi
  mv "$ROOT$1.new" "$ROOT$1"
  echo "$1: written"
  CHANGE
}
"""

_CONTAINERD = """\

# A left-over certs.d/_default applies to every registry: images of others would be pulled from these mirrors.
if [ -e "$ROOT/etc/containerd/certs.d/_default" ]; then
  rm -r "$ROOT/etc/containerd/certs.d/_default"
  echo "/etc/containerd/certs.d/_default: removed"
fi

# config_path has to be one folder: containerd from 2.1 on silently uses no mirror with a list.
config=$ROOT/etc/containerd/config.toml
if [ ! -e "$config" ]; then
  echo "/etc/containerd/config.toml: not there; write one by: containerd config default" >&2
  exit 1
fi
version=$(sed -n 's/^version *= *\\([0-9][0-9]*\\).*/\\1/p' "$config")
case $version in
  2) plugin=io.containerd.grpc.v1.cri ;;
  3|4) plugin=io.containerd.cri.v1.images ;;
  *) echo "/etc/containerd/config.toml: version '$version' is not 2, 3 or 4; nothing was changed in it" >&2; exit 1 ;;
esac
awk -v plugin="$plugin" '
  function bare(line) { sub(/#.*/, "", line); gsub(/[ \\t"\\047]/, "", line); return line }
  function set() { print "  config_path = \\"/etc/containerd/certs.d\\"" }
  bare($0) == "[plugins." plugin ".registry]" { print; set(); inside = done = 1; next }
  /^[ \\t]*\\[/ { inside = 0 }
  inside && /^[ \\t]*config_path[ \\t]*=/ { next }
  { print }
  END { if (!done) { print ""; print "[plugins.\\"" plugin "\\".registry]"; set() } }
' "$config" > "$config.new"
if cmp -s "$config.new" "$config"; then rm "$config.new"
else
  cat "$config.new" > "$config"
  rm "$config.new"
  echo "/etc/containerd/config.toml: config_path written"
  changed=1
fi
"""


def install_script(files: Sequence[RenderedFile], runtime: Runtime) -> str:
    """The script. :raises ConfigurationError: as :func:`place_files` does."""
    change = ":  # read at every pull, without a restart" if runtime == "containerd" else "changed=1"
    parts = [_HEAD.replace("CHANGE", change)]
    parts += [f"\nput {file.path} <<'END_OF_FILE'\n{file.text}END_OF_FILE\n" for file in place_files(files, runtime)]
    if runtime == "containerd":
        parts.append(_CONTAINERD)
    parts.append(f"\nif [ -n \"$changed\" ]; then $RESTART '{ACTIONS[runtime]}'; fi\n")
    return "".join(parts)
