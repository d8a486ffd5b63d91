"""The script of ``nodes render --as script`` on machines that are not as one expects."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.unit.nodes.test_roll_out import CRI, HOSTS, IMAGES, install, restarts

CONFIG = "/etc/containerd/config.toml"
RESTARTED = ["systemctl try-restart containerd"]


def machine(root: Path, config: str = "version = 2\n") -> Path:
    """A machine with containerd. Return its config.toml."""
    path = root / CONFIG.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(config)
    return path


def test_a_restart_that_an_interrupted_run_owes_is_made_by_the_next(tmp_path: Path) -> None:
    machine(tmp_path)
    broken = install(tmp_path, restart="/bin/false")
    assert broken[:2] == (1, [f"{HOSTS}: written", f"{CONFIG}: config_path written"])
    assert install(tmp_path) == (0, [], "")
    assert restarts(tmp_path) == RESTARTED
    assert install(tmp_path) == (0, [], "")
    assert restarts(tmp_path) == RESTARTED


def test_left_over_parts_of_an_interrupted_run_do_no_harm(tmp_path: Path) -> None:
    config = machine(tmp_path)
    hosts = tmp_path / HOSTS.lstrip("/")
    hosts.parent.mkdir(parents=True)
    for left in (config, hosts):
        left.with_name(f"{left.name}.new").write_text("half a li")
    assert install(tmp_path)[0] == 0
    assert not list(tmp_path.rglob("*.new"))


def test_the_first_state_of_other_tools_files_is_kept(tmp_path: Path) -> None:
    config, hosts = machine(tmp_path), tmp_path / HOSTS.lstrip("/")
    hosts.parent.mkdir(parents=True)
    hosts.write_text("# Spegel's\n")
    Path(config).chmod(0o600)
    assert install(tmp_path)[0] == 0
    assert hosts.with_name("hosts.toml.before-registry-sync").read_text() == "# Spegel's\n"
    assert config.with_name("config.toml.before-registry-sync").read_text() == "version = 2\n"
    assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "removed"),
    [
        ('[host."https://gsoci.azurecr.io"]\n', True),
        ("# Rendered by registry_sync for pool old\n", True),
        ('server = "https://cache.example"\n', False),
        ("", False),
    ],
)
def test_a_default_of_others_is_kept(tmp_path: Path, text: str, removed: bool) -> None:
    left = machine(tmp_path).parent / "certs.d" / "_default" / "hosts.toml"
    left.parent.mkdir(parents=True)
    left.write_text(text)
    code, _, errors = install(tmp_path)
    assert (code, left.exists()) == (0, not removed)
    kept = (
        "/etc/containerd/certs.d/_default: kept, it names none of these mirrors; it applies to every registry without "
        "a folder of its own\n"
    )
    assert errors == ("" if removed else kept)


LEGACY = (
    "{key} is set; with config_path beside it, containerd drops its CRI plugin, and the node is NotReady. Move it to "
    "hosts.toml files first"
)
MIRRORS = LEGACY.format(key="registry.mirrors")
TLS = LEGACY.format(key="registry.configs.*.tls")
TABLE = f'write the registry settings as a table, [plugins."{CRI}".registry]'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'[plugins."{CRI}".registry.mirrors."docker.io"]\n  endpoint = ["https://x"]\n', MIRRORS),
        (f'[plugins."{CRI}".registry.mirrors]\n"docker.io" = {{endpoint = ["https://x"]}}\n', MIRRORS),
        (f'[plugins."{CRI}".registry]\nmirrors."docker.io".endpoint = ["https://x"]\n', MIRRORS),
        (f'[plugins."{CRI}".registry.configs."a.example".tls]\n  ca_file = "/ca"\n', TLS),
        (f'[plugins."{CRI}".registry.configs."a.example"]\n  tls = {{ca_file = "/ca"}}\n', TLS),
        (f'[plugins."{CRI}".registry.configs."a.example"]\n  tls.ca_file = "/ca"\n', TLS),
        (f'[plugins."{CRI}".registry.configs]\n  "a.example".tls.ca_file = "/ca"\n', TLS),
        (f'[plugins."{CRI}".registry.configs]\n  "a.example" = {{ tls = {{ca_file = "/ca"}} }}\n', TLS),
        (f'[plugins."{CRI}".registry]\n  configs."a.example" = {{auth = {{}}, tls.ca_file = "/ca"}}\n', TLS),
        (f'[plugins."{CRI}"]\nregistry.config_path = "/a:/b"\n', f"line 3: {TABLE}"),
        (f'[plugins."{CRI}"]\nregistry = {{config_path = "/a"}}\n', f"line 3: {TABLE}"),
        (f'[plugins]\n"{CRI}" = {{registry = {{config_path = "/a"}}}}\n', f"line 3: {TABLE}"),
        (f'plugins."{CRI}".registry.config_path = "/a"\n', f"line 2: {TABLE}"),
        (
            f'[plugins."{CRI}".registry]\n  config_path = "/etc/cri/conf.d"\n',
            "config_path is /etc/cri/conf.d; move its folders to /etc/containerd/certs.d first, and set that",
        ),
    ],
)
def test_a_config_that_an_edit_would_break_is_kept(tmp_path: Path, text: str, reason: str) -> None:
    config = machine(tmp_path, f"version = 2\n{text}")
    before = config.read_bytes()
    assert install(tmp_path) == (1, [f"{HOSTS}: written"], f"{CONFIG}: {reason}; nothing was changed in it\n")
    assert (config.read_bytes(), restarts(tmp_path)) == (before, [])
    assert {path.name for path in config.parent.iterdir()} == {"config.toml", "certs.d"}


@pytest.mark.parametrize(
    "text",
    [
        # As containerd 1.7 writes it: empty tables of the old form, which config_path accepts.
        (
            f'[plugins."{CRI}".registry]\n  config_path = ""\n  [plugins."{CRI}".registry.auths]\n'
            f'  [plugins."{CRI}".registry.configs]\n  [plugins."{CRI}".registry.mirrors]\n'
        ),
        f'[plugins."{CRI}".registry.configs."a.example".auth]\n  username = "robot"\n',
        f'[ plugins . "{CRI}" . registry ] # ours\n"config_path" = "/etc/docker/certs.d:/etc/containerd/certs.d"\n',
        f'[plugins."{CRI}"]\n  sandbox_image = "pause" # registry = 1\n[plugins."other"]\nversion = 7\n',
        f'[plugins."{CRI}".registry]\r\n  config_path = ""\r\n',
        f'[[stream]]\nregistry = "x"\n[plugins."{IMAGES}".registry]\n  config_path = "/elsewhere"\n',
        f'[plugins."{CRI}".registry]',
    ],
)
def test_a_config_in_an_odd_form_is_edited(tmp_path: Path, text: str) -> None:
    config = machine(tmp_path, f"imports = [\n]\n  version=2 # old\n{text}")
    before = tomllib.loads(config.read_text())
    assert install(tmp_path)[0] == 0
    after = tomllib.loads(config.read_text())
    assert after["plugins"][CRI]["registry"].pop("config_path") == "/etc/containerd/certs.d"
    before["plugins"].setdefault(CRI, {}).setdefault("registry", {}).pop("config_path", None)
    assert after == before
    assert install(tmp_path) == (0, [], "")
    assert restarts(tmp_path) == RESTARTED


def test_an_imported_file_that_overrides_the_folder_is_named(tmp_path: Path) -> None:
    config = machine(tmp_path, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n')
    other = config.parent / "conf.d" / "99-other.toml"
    other.parent.mkdir()
    other.write_text(f'[plugins."{CRI}".registry]\n  config_path = "/etc/a:/etc/b"\n')
    problem = (
        "/etc/containerd/conf.d/99-other.toml: it sets config_path too, and overrides config.toml where it is "
        "imported; remove it there\n"
    )
    before = config.read_text()
    assert install(tmp_path)[::2] == (1, problem)
    assert config.read_text() == before
    other.write_text(f'[plugins."{CRI}".registry]\n  config_path = "/etc/containerd/certs.d"\n')
    assert install(tmp_path) == (0, [f"{CONFIG}: config_path written"], "")
    assert restarts(tmp_path) == RESTARTED


@pytest.mark.parametrize(
    "text",
    [
        '.registry.mirrors."docker.io"]\n  endpoint = ["https://x"]',
        '.registry]\n  mirrors."a".endpoint = ["https://x"]',
    ],
)
def test_mirrors_of_an_imported_file_are_named(tmp_path: Path, text: str) -> None:
    """With config_path beside them, the node would be NotReady."""
    config = machine(tmp_path, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n')
    other = config.parent / "conf.d" / "mirrors.toml"
    other.parent.mkdir()
    other.write_text(f'version = 2\n[plugins."{CRI}"{text}\n')
    before = config.read_text()
    problem = (
        "/etc/containerd/conf.d/mirrors.toml: it sets registry.mirrors, with which containerd drops its CRI plugin "
        "beside config_path, where it is imported; move them to hosts.toml files first\n"
    )
    assert install(tmp_path)[::2] == (1, problem)
    assert (config.read_text(), restarts(tmp_path)) == (before, [])
    other.write_text(f'version = 2\n[plugins."{CRI}".registry.mirrors]\n')
    assert install(tmp_path)[0] == 0


def test_an_imported_file_that_replaces_the_plugin_is_named(tmp_path: Path) -> None:
    """With such a file, containerd 1.6 used no mirror; 2.1 and 2.4 did."""
    config = machine(tmp_path, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n')
    other = config.parent / "conf.d" / "99-nvidia.toml"
    other.parent.mkdir()
    other.write_text(f'version = 2\n[plugins."{CRI}".containerd.runtimes.nvidia]\n')
    before = config.read_text()
    assert install(tmp_path, version="1.7")[::2] == (
        1,
        (
            "/etc/containerd/conf.d/99-nvidia.toml: containerd before 2.0 takes the whole table of its CRI plugin from "
            "it, and would use no mirror. Repeat the registry table in it, or, for containerd 2, render with --version "
            "'>=2'\n"
        ),
    )
    assert config.read_text() == before
    with other.open("a") as file:
        file.write(f'[plugins."{CRI}".registry]\nconfig_path = "/etc/containerd/certs.d"\n')
    assert install(tmp_path, version="1.7")[0] == 0


def test_an_imported_file_is_joined_by_containerd_2(tmp_path: Path) -> None:
    config = machine(tmp_path, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n')
    (config.parent / "conf.d").mkdir()
    (config.parent / "conf.d" / "a.toml").write_text(f'[plugins."{CRI}".containerd.runtimes.nvidia]\n')
    assert install(tmp_path)[0] == 0


def test_a_link_within_the_machine_is_followed(tmp_path: Path) -> None:
    config = machine(tmp_path)
    real = config.rename(config.with_name("real.toml"))
    config.symlink_to("real.toml")
    assert install(tmp_path)[0] == 0
    assert config.is_symlink()
    assert "certs.d" in real.read_text()


@pytest.mark.parametrize("link", ["containerd", "containerd/config.toml", "containerd/certs.d"])
def test_a_link_out_of_the_mounted_folder_is_refused(tmp_path: Path, link: str) -> None:
    """In a pod of the DaemonSet it would lead into the pod."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (machine(root).parent / "certs.d").mkdir()
    path = root / "etc" / link
    path.rename(outside)
    path.symlink_to(outside)
    code, _, errors = install(root)
    assert code == 1
    assert errors.endswith(
        f": a symbolic link leads out of {root}/etc; nothing was written. Run this script on the machine itself\n"
    )
    assert not list(outside.rglob("hosts.toml"))


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    """Root may write everywhere, so a file stands where a folder is needed."""
    config = machine(tmp_path)
    (config.parent / "certs.d").write_text("")
    assert install(tmp_path)[0] != 0
    assert (config.read_text(), restarts(tmp_path)) == ("version = 2\n", [])


REGISTRIES = "/etc/rancher/k3s/registries.yaml"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mirrors: {quay.io: {}}\n", "it was not rendered by registry_sync, and was kept"),
        (
            "# Rendered by registry_sync\nmirrors: {}\nconfigs:\n  a.example: {}\n",
            "it has configs:, such as log-ins, which the rendered file lacks; it was kept",
        ),
    ],
)
def test_settings_of_other_registries_of_k3s_are_kept(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / REGISTRIES.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert install(tmp_path, "k3s") == (1, [], f"{REGISTRIES}: {problem}. Merge the files by hand\n")
    assert (path.read_text(), [path.name for path in path.parent.iterdir()]) == (text, ["registries.yaml"])


@pytest.mark.parametrize("text", ["", "# nothing yet\n\n", "# Rendered by registry_sync for pool old\nmirrors: {}\n"])
def test_an_empty_or_earlier_file_of_k3s_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / REGISTRIES.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert install(tmp_path, "k3s") == (0, [f"{REGISTRIES}: written"], "")


def test_settings_that_containerd_2_ignores_do_not_stop_the_script(tmp_path: Path) -> None:
    config = machine(tmp_path, f'version = 3\n[plugins."{IMAGES}".registry.configs."a.example".tls]\nca_file = "/ca"\n')
    assert install(tmp_path)[0] == 0
    registry = tomllib.loads(config.read_text())["plugins"][IMAGES]["registry"]
    assert registry["config_path"] == "/etc/containerd/certs.d"
