"""Processes of this machine, as /proc shows them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def skopeos(host: str) -> list[int]:
    """Process ids of each skopeo that copies from or to ``host``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(argv[0]).name == "skopeo" and any(word.startswith(f"docker://{host}/") for word in argv):
                found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process runs. A zombie, which its parent has not waited for, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
