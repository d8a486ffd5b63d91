"""Identities at clouds, and the short-lived credentials for registries that they are given. The only users of SDKs."""
