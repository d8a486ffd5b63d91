"""Pages of routes in XCom."""

from __future__ import annotations

from typing import Any

import pytest

from registry_sync.airflow.runs.route_pages import page_key, pull_route, pull_routes
from registry_sync.errors import ConfigurationError


class Instance:
    """A task instance of Airflow, with the XComs of the task that lists the routes."""

    def __init__(self, **values: list[Any]) -> None:
        self.values = values

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> list[Any] | None:
        """Return a value that was pushed, as Airflow does."""
        assert (task_ids, map_indexes) == ("routes_to_acr", -1)
        return self.values.get(key)


@pytest.mark.parametrize(
    ("number", "pages", "problem"),
    [
        (
            21,
            {"routes_1": [{}]},
            "routes_to_acr was cleared, and its list has no route with the number 21 any more; trigger a new run",
        ),
        (
            21,
            {"routes_0": [{}]},
            (
                "Airflow no longer has the XCom 'routes_1' of the task routes_to_acr, with the routes of this run; "
                "clear routes_to_acr, so that it lists them again, or trigger a new run"
            ),
        ),
    ],
)
def test_a_route_that_is_not_there(number: int, pages: dict[str, list[Any]], problem: str) -> None:
    instance: Any = Instance(**pages)
    assert page_key(number) == "routes_1"
    with pytest.raises(ConfigurationError) as caught:
        pull_route(instance, "routes_to_acr", number)
    assert str(caught.value) == problem


def test_a_list_that_was_deleted_is_not_an_empty_one() -> None:
    """The run would be green whatever its tasks did."""
    instance: Any = Instance()
    with pytest.raises(ConfigurationError) as caught:
        pull_routes(instance, "routes_to_acr")
    assert str(caught.value) == (
        "Airflow no longer has the XCom 'return_value' of the task routes_to_acr, with the routes of this run; "
        "clear routes_to_acr, so that it lists them again, or trigger a new run"
    )
    empty: Any = Instance(return_value=[])
    assert pull_routes(empty, "routes_to_acr") == []
