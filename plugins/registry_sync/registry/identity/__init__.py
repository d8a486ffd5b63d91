"""Identities at clouds, and their short-lived credentials for registries, by the SDKs of the clouds."""
