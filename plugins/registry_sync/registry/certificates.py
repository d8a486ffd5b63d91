"""Certificates and private keys as PEM, as people paste them into forms and variables."""

from __future__ import annotations

import re
from pathlib import Path

from registry_sync.errors import ConfigurationError

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)

_LINE = 64
"""Characters of Base64 in a line. https://www.rfc-editor.org/rfc/rfc7468#section-2"""


def is_pem(text: str) -> bool:
    """Return whether a text is PEM itself, and not the path of a file."""
    return "-----BEGIN " in text


def parse_pem(text: str, what: str) -> str:
    r"""The blocks of a PEM text, with the line ends that one-line form fields and variables lose.

    >>> parse_pem("-----BEGIN CERTIFICATE----- TUlJQg== -----END CERTIFICATE-----", "the CA")
    '-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n'

    :param what: names the text in the message.
    :raises ConfigurationError: when it has no whole block, or an encrypted key, for which there is no password.
    """
    blocks = list(_BLOCK.finditer(text.replace("\\n", "\n")))
    if not blocks:
        raise ConfigurationError(f"{what} is not PEM: it has no whole block from -----BEGIN …----- to -----END …-----")
    if any("ENCRYPTED" in block[0] for block in blocks):
        raise ConfigurationError(f"{what} is encrypted, and there is no field for its password; store it decrypted")
    return "".join(_wrapped(block[1], "".join(block[2].split())) for block in blocks)


def read_pem_file(path: Path, what: str) -> str:
    """The PEM of a file of this worker.

    :param what: names the text in the message, such as ``client_key of registry 'quay'``.
    :raises ConfigurationError: when the file cannot be read, or :func:`parse_pem` refuses its content.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{what}: {str(path)!r} cannot be read on this worker: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{what}: {str(path)!r} is not PEM") from error
    return parse_pem(content, f"{what}, {str(path)!r},")


def _wrapped(label: str, content: str) -> str:
    lines = [content[start : start + _LINE] for start in range(0, len(content), _LINE)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
