"""Rules of ``deep_check:``, and reading shares and sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry_sync.errors import ConfigurationError
from registry_sync.text import quoted

DEFAULT_SHARE = 0.1

DEFAULT_READ_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepCheckRules:
    """Rules for verifying the content that a destination holds.

    :ivar schedule: a run whose data interval contains a tick verifies content after its copies.
    :ivar share: part of the images to verify per day, above 0 and at most 1.
    :ivar read_bytes: limit of the bytes that one task reads whole and hashes.
    """

    schedule: str | None = None
    share: float = DEFAULT_SHARE
    read_bytes: int = DEFAULT_READ_BYTES

    def as_written(self) -> str | dict[str, str] | None:
        """The rules as a mirrors file has them: a schedule, or a mapping where more differs from the defaults.

        >>> DeepCheckRules(schedule="@weekly", share=0.25, read_bytes=2_500_000).as_written()
        {'schedule': '@weekly', 'share': '25%', 'read': '2500 KB'}
        """
        if self.schedule is None or self == DeepCheckRules(schedule=self.schedule):
            return self.schedule
        unit = next(unit for unit, size in reversed(_UNITS.items()) if self.read_bytes % size == 0)
        read = f"{self.read_bytes // _UNITS[unit]} {unit}" if self.read_bytes else "0"
        return {"schedule": self.schedule, "share": f"{self.share * 100:g}%", "read": read}


def parse_share(text: str) -> float:
    """Parse a percentage, such as ``10%``, to a part of one.

    >>> parse_share("12.5%")
    0.125

    :raises ConfigurationError: when it is not above 0 % and at most 100 %.
    """
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", text)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise ConfigurationError(
            f"{quoted(text)} is not a share; write a percentage above 0% and at most 100%, such as 10%"
        )
    return share


_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_size(text: str) -> int:
    """Parse a number of bytes with its unit, such as ``2 GB``. Units are decimal.

    >>> parse_size("2 GB"), parse_size("1.5MB"), parse_size("0")
    (2000000000, 1500000, 0)

    :raises ConfigurationError: when it is not a size.
    """
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(B|KB|MB|GB|TB)", "0 B" if text == "0" else text)
    if match is None:
        units = ", ".join(_UNITS)
        raise ConfigurationError(f"{quoted(text)} is not a size; write a number and one of {units}, such as 2 GB, or 0")
    return round(float(match[1]) * _UNITS[match[2]])
