"""Requests that a page of another origin could send."""

from __future__ import annotations

import pytest
from fastapi import HTTPException, Request

from registry_sync.airflow.pages.headers import require_own_script

OWN = {"content-type": "application/json", "x-registry-sync": "test", "host": "airflow.example:8080"}


def a_request(**headers: str) -> Request:
    given = [(name.encode(), value.encode()) for name, value in {**OWN, **headers}.items()]
    return Request({"type": "http", "method": "POST", "path": "/api/run-again", "headers": given})


@pytest.mark.parametrize(
    "origin", ["null", "", "airflow.example:8080", "https://other.example", "file://", "about:blank"]
)
def test_another_origin_is_refused_without_a_base_url(origin: str) -> None:
    """A sandboxed frame has the origin ``null``, and an unset ``base_url`` has no host either."""
    with pytest.raises(HTTPException) as refused:
        require_own_script(a_request(origin=origin))
    assert (refused.value.status_code, refused.value.detail) == (
        403,
        "The request comes from a page of another origin.",
    )


def test_the_own_origin_is_accepted() -> None:
    require_own_script(a_request(origin="https://airflow.example:8080"))
    require_own_script(a_request())
