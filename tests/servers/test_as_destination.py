"""Each registry server as a destination, in each case of the specification, with the real engine and skopeo."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.servers import ServerProgram
from tests.servers.place import place_of
from tests.servers.specification import Row, rows_of


@pytest.mark.parametrize("row", rows_of("destination"), ids=lambda row: row.words)
def test_a_destination_shows_what_is_specified(
    row: Row,
    program: ServerProgram,
    wire: Interceptor,
    peer: RegistryProcess,
    record_property: Callable[[str, object], None],
) -> None:
    row.check(program, place_of(program, "destination", wire, peer, row.case.__name__))
    record_property("cell", (str(row), program.name, row.cell(program).words))
