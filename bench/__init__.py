"""Benchmarks: what mirroring costs, in requests at the registries, seconds and memory. Never part of the tests."""
