"""Logins of other tools' files as arguments of ``airflow connections add``, without their passwords."""

from __future__ import annotations

import re
import shlex

from registry_sync.importing.model import Login
from registry_sync.importing.names import registry_name

_ENV = re.compile(r"""\{\{-?\s*env\s+["']?(\w+)["']?\s*-?\}\}|\$\{(\w+)\}""")
"""A variable. ``$NAME`` without brackets counts for users only, because a password may begin with ``$``."""

_USER_ENV = re.compile(r"\$([A-Z_][A-Z0-9_]*)")

_FILE = re.compile(r"""\{\{-?\s*file\s+["']([\w./-]+)["']\s*-?\}\}""")

_USER = re.compile(r"[\w.+@$ /=:-]{1,64}")


def read_login(host: str, user: str, password: str, variable: str = "") -> Login:
    """The login of a registry: a user's name is kept, a password only as the variable or file that it comes from.

    :param variable: of the environment, from which the tool reads the password; default: one named after the host.

    >>> read_login("quay.io", "team+robot", "hunter2")
    Login(user='team+robot', password='"$REGISTRY_QUAY_IO_PASSWORD"')
    """
    own = f"REGISTRY_{registry_name(host).upper().replace('-', '_')}"
    kept = shlex.quote(user) if _USER.fullmatch(user) else f'"${own}_USER"'
    if variable_of_user := _USER_ENV.fullmatch(user.strip()):
        kept = f'"${variable_of_user[1]}"'
    return Login(user=_source(user) or kept, password=_source(password) or f'"${variable or f"{own}_PASSWORD"}"')


def _source(text: str) -> str:
    """The shell word for a value that is only a variable or a file; empty for other values."""
    if match := _ENV.fullmatch(text.strip()):
        return f'"${next(filter(None, match.groups()))}"'
    if match := _FILE.fullmatch(text.strip()):
        return f'"$(cat {match[1]})"'
    return ""
