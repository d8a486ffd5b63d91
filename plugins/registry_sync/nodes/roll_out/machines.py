"""Forms that bring the script onto single machines."""

from __future__ import annotations

from registry_sync.nodes.roll_out.roll_out import RollOut
from registry_sync.nodes.roll_out.yaml_text import yaml_text

INSTALLED = "/usr/local/sbin/registry-sync-mirrors"
"""Path to which cloud-init, Butane and Ansible write the script on a machine."""


def script(roll_out: RollOut) -> str:
    """The script alone."""
    return roll_out.script()


def cloud_init(roll_out: RollOut) -> str:
    """https://cloudinit.readthedocs.io/en/latest/reference/modules.html#write-files."""
    file = {"path": INSTALLED, "permissions": "0755", "content": roll_out.script()}
    return f"#cloud-config\n{yaml_text({'write_files': [file], 'runcmd': [[INSTALLED]]})}"


def butane(roll_out: RollOut) -> str:
    """https://coreos.github.io/butane/config-fcos-v1_5/. The unit runs before the runtime starts, at every boot."""
    services = {"k3s": "k3s.service k3s-agent.service rke2-server.service rke2-agent.service"}
    before = services.get(roll_out.runtime, f"{roll_out.runtime}.service")
    unit = (
        f"[Unit]\nDescription=Registry mirrors\nBefore={before}\n[Service]\nType=oneshot\n"
        f"Environment=RESTART=true\nExecStart={INSTALLED}\n[Install]\nWantedBy=multi-user.target\n"
    )
    document = {
        "variant": "fcos",
        "version": "1.5.0",
        "storage": {"files": [{"path": INSTALLED, "mode": 0o755, "contents": {"inline": roll_out.script()}}]},
        "systemd": {"units": [{"name": "registry-sync-mirrors.service", "enabled": True, "contents": unit}]},
    }
    return yaml_text(document)


def ansible(roll_out: RollOut) -> str:
    """https://docs.ansible.com/ansible/latest/collections/ansible/builtin/command_module.html."""
    tasks = [
        {
            "name": f"Install the script for the mirrors of pool {roll_out.pool.name}",
            "ansible.builtin.copy": {"dest": INSTALLED, "mode": "0755", "content": roll_out.script()},
        },
        {
            "name": "Configure the mirrors, and restart the runtime only where needed",
            "ansible.builtin.command": INSTALLED,
            "register": "mirrors",
            "changed_when": "mirrors.stdout != ''",
        },
    ]
    return yaml_text(tasks)
