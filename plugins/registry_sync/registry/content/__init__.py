"""Blobs: reading, uploading and copying them, and those that are damaged."""
