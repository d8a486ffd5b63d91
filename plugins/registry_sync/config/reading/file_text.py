"""The path of the mirrors file, and its text: that of a file, or of all files of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from registry_sync.config.reading.mirrors_folder import join_texts
from registry_sync.errors import MirrorsFileError

PATH_VARIABLE = "REGISTRY_SYNC_MIRRORS_FILE"


def mirrors_path(project: Path) -> Path:
    """The path of the mirrors file: from the environment, else ``include/mirrors.yaml`` in a project or Airflow's home.

    :param project: the folder with ``dags/`` or ``plugins/``. It comes first where it has the file: a DAG bundle has
        that of its commit. Without a file it is still named where it has the folder ``include/``.
    """
    if named := os.environ.get(PATH_VARIABLE):
        return Path(named)
    own, at_home = project / "include" / "mirrors.yaml", _path_at_home()
    return own if own.exists() or (own.parent.is_dir() and not at_home.exists()) else at_home


def unread_file_at_home(project: Path) -> Path | None:
    """The mirrors file in Airflow's home that DAG files there read, where a command in ``project`` reads another."""
    path, at_home = mirrors_path(project), _path_at_home()
    if os.environ.get(PATH_VARIABLE):
        return None
    try:
        return None if path.samefile(at_home) else at_home
    except OSError:  # one does not exist, or cannot be looked at
        return None


def _path_at_home() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser() / "include" / "mirrors.yaml"


def read_mirrors_text(path: Path) -> str:
    """The text of a mirrors file, or of the files ``*.yaml`` of a folder in the order of their names.

    :raises MirrorsFileError: when a file cannot be read, or is not UTF-8 text.
    """
    if not _is_folder(path):
        return _read_text(path, path.name)
    files = {f"{path.name}/{file.name}": file for file in _files(path)}
    return join_texts({name: _read_text(file, name) if _is_read(file) else None for name, file in files.items()})


def _is_folder(path: Path) -> bool:
    """Also ``False`` for a path that cannot be looked at. Reading it as a file then gives the reason."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _files(folder: Path) -> list[Path]:
    """The YAML files of a folder by name. Hidden files are those of editors, of git, and of mounted ConfigMaps.

    :raises MirrorsFileError: when the folder has none to read, or cannot be listed.
    """
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in (".yaml", ".yml") and not file.is_dir()]
    except OSError as error:
        raise MirrorsFileError((f"{folder}: cannot list the folder of mirrors files ({error})",)) from error
    found = sorted(file for file in files if not file.name.startswith("."))
    if not any(map(_is_read, found)):
        raise MirrorsFileError((f"{folder} has no mirrors files; their names end with .yaml, such as team.yaml",))
    return found


def _is_read(file: Path) -> bool:
    return file.suffix == ".yaml"


def _read_text(path: Path, name: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        is_named = os.environ.get(PATH_VARIABLE) == str(path)
        other = f"; write it (docs/first-mirror.md), or name another file by {PATH_VARIABLE}"
        advice = f" ({PATH_VARIABLE} names it)" if is_named else other
        raise MirrorsFileError((f"{path} does not exist{advice}",)) from error
    except OSError as error:
        advice = f"to use another file, set {PATH_VARIABLE}"
        raise MirrorsFileError((f"{path}: cannot read the mirrors file ({error}); {advice}",)) from error
    if b"\0" in content:  # such as of a file that a crash left behind
        line = content.partition(b"\0")[0].count(b"\n") + 1
        raise MirrorsFileError((f"{name}:{line}: this is not text, because it contains a zero byte; save it again",))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = f"{name}:{line}: this is not UTF-8 text ({error.reason}); save the file as UTF-8"
        raise MirrorsFileError((problem,)) from error
