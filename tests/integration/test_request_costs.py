"""Documented numbers of requests, checked by the benchmarks at smaller sizes."""

from __future__ import annotations

from bench.vendors import measure_pairs, measure_window


def test_a_tag_in_sync_costs_what_is_promised() -> None:
    """Two requests for a hundred tags where both sides list digests, one each for a destination that does not."""
    per_100_tags = {(pair.source, pair.destination): pair.per_100_tags for pair in measure_pairs(200)}
    for pair in (("quay", "acr"), ("quay", "docker_hub"), ("docker_hub", "acr")):
        assert per_100_tags[pair] <= 4
    for pair in (("quay", "ecr"), ("ecr", "acr"), ("gitlab", "acr"), ("artifactory", "acr")):
        assert per_100_tags[pair] <= 4
    for pair in (("quay", "ghcr"), ("ghcr", "acr")):  # GitHub lists a hundred images at once, platforms too
        assert per_100_tags[pair] <= 5
    for destination in ("aliyun", "distribution"):
        assert 100 <= per_100_tags["quay", destination] <= 104


def test_an_hourly_window_reads_only_what_was_modified() -> None:
    """One request for a hundred repositories, then a page and a HEAD for each modified one."""
    hourly = measure_window(repositories=300, tags=20, modified=5)
    assert hourly.read_requests == 3 + 5 + 5
    assert hourly.copied == 5
